"""A delivery that is plausible only on a person's word: asked once, published by name and reason, or settled by a good one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asked_feeds import (
    BASE,
    MOVES,
    RULE,
    THIRD,
    TWICE,
    UNUSUAL,
    USUAL,
    current,
    rows,
    served,
    states,
    with_rules,
)
from typer.testing import CliRunner, Result

from demo.estat import Simulator
from kpi_warehouse import load
from kpi_warehouse.alerts.incidents import find, incidents, notifications
from kpi_warehouse.alerts.messages import message_of
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateAsked
from kpi_warehouse.warehouse.connection import connect


@pytest.fixture
def estat(
    warehouse: str,
    use_estat: Callable[[Simulator], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Simulator]:
    """A warehouse that knows two months, a contract that asks, and a source that serves an unusual third month."""
    with Simulator([BASE]) as simulator:
        use_estat(simulator)
        with_rules(tmp_path, monkeypatch, MOVES, TWICE)
        load.run(MOVES)
        simulator.publish(UNUSUAL)
        yield simulator


def kpi(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def asked() -> GateAsked:
    with pytest.raises(GateAsked) as question:
        load.run(MOVES)
    return question.value


def message(incident_id: int, kind: str = "open") -> tuple[str, str]:
    with connect() as connection:
        (notification,) = [one for one in notifications(incident_id) if one["kind"] == kind]
        told = message_of(connection, find(connection, incident_id), notification)
    return told.subject, told.body


def test_nothing_of_it_is_published_and_the_owner_is_asked_once(warehouse: str, estat: Simulator) -> None:
    before = rows(warehouse, f"select count(*), max(known_from) from raw.{MOVES}")
    ended = kpi("load", MOVES)
    assert ended.exit_code == 3, ended.output
    assert "gate.asked" in ended.stderr and "kpi hold release 2 --reason" in ended.stderr
    assert rows(warehouse, f"select count(*), max(known_from) from raw.{MOVES}") == before
    assert states(warehouse)[1] == (2, "asked", "asked")
    assert rows(warehouse, "select distinct load_id from ops.period_digest") == [(1,)]

    (incident,) = incidents()
    assert (incident.cause, incident.severity, incident.occurrences) == ("asked", "要対応", 1)
    subject, body = message(incident.incident_id)
    assert subject.startswith("【KPI公表前の問い合わせ／要対応】")
    for said in (
        "いつもと違う点：",
        "2倍を超えない",
        "考えられること：",
        "kpi hold release 2 --reason",
        "前回までに受け付けた値",
    ):
        assert said in body, body
    assert [one["kind"] for one in notifications(incident.incident_id)] == ["open"]


def test_the_same_again_adds_no_question(warehouse: str, estat: Simulator) -> None:
    first = asked().message_ja
    for _ in range(2):
        assert asked().message_ja == first
    assert [state for _, state, _ in states(warehouse)] == ["published", "asked", "superseded", "superseded"]
    (incident,) = incidents()
    assert len(notifications(incident.incident_id)) == 1
    for verb in (load.gate, load.publish):
        with pytest.raises(GateAsked):
            verb(2)
    assert current(warehouse, THIRD) == []


def test_a_good_delivery_settles_the_question(warehouse: str, estat: Simulator) -> None:
    asked()
    estat.publish(USUAL)
    assert load.run(MOVES).state == "published"
    assert states(warehouse)[1] == (2, "superseded", "asked")
    assert rows(warehouse, "select load_id, answer, later_load_id from ops.answer") == [(2, "superseded", 3)]
    assert incidents() == []
    (ended,) = incidents(resolved=True)
    assert [one["kind"] for one in notifications(ended.incident_id)] == ["open", "resolve"]
    assert current(warehouse, THIRD) == [(served(USUAL, THIRD),)]


def test_a_question_is_of_the_whole_delivery(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asked_feeds import rule

    from kpi_warehouse.errors import ContractError

    with_rules(tmp_path, monkeypatch, MOVES, rule(RULE, "select 1", scope="rows"))
    with pytest.raises(ContractError, match="scope：table"):
        load.contract_of(MOVES)
