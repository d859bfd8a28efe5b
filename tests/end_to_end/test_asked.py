"""A delivery that is plausible only on a person's word: asked once, published by name and reason, or settled by a good one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from asked_feeds import (
    BASE,
    KUMAMOTO_IN,
    MOVES,
    RULE,
    THIRD,
    TWICE,
    UNUSUAL,
    USUAL,
    current,
    rows,
    rule,
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
from kpi_warehouse.decisions import questions
from kpi_warehouse.errors import ContractError, GateAsked, KpiError, StorageFailed
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
    with_rules(tmp_path, monkeypatch, MOVES, rule(RULE, "select 1", scope="rows"))
    with pytest.raises(ContractError, match="scope：table"):
        load.contract_of(MOVES)


def test_it_is_published_whole_by_name_and_reason(warehouse: str, estat: Simulator) -> None:
    question = asked().message_ja
    listed = kpi("hold", "list")
    assert listed.exit_code == 0 and "公表前の問い合わせ 1 件" in listed.output
    assert all(line.strip() in listed.output for line in question.splitlines())
    assert kpi("hold", "release", "2", "--reason", " ", "--no-build").exit_code == 1

    ended = kpi("hold", "release", "2", "--reason", "3月の就職・転勤。市町村課に確認", "--no-build")
    assert ended.exit_code == 0, ended.output
    assert states(warehouse)[1] == (2, "published", "released")
    assert current(warehouse, THIRD) == [(served(UNUSUAL, THIRD),)]
    assert rows(warehouse, "select answer, reason_ja from ops.answer") == [
        ("released", "3月の就職・転勤。市町村課に確認")
    ]
    assert incidents() == []
    (told,) = incidents(resolved=True)
    assert "3月の就職・転勤。市町村課に確認" in str(told.resolution_ja)
    # It is part of what later deliveries are compared with, and the same again is nothing new.
    again = kpi("hold", "release", "2", "--reason", "もう一度", "--no-build")
    assert again.exit_code == 0 and "すでに" in again.output
    assert load.run(MOVES).state == "unchanged"
    assert rows(warehouse, "select count(*) from ops.answer") == [(1,)]
    assert kpi("hold", "list").output.count("公表前の問い合わせ") == 0


def test_two_releases_at_once_publish_once(warehouse: str, estat: Simulator) -> None:
    asked()

    def one(_: int) -> bool | str:
        try:
            return questions.release(2, "確認済み").is_new
        except KpiError as error:
            return error.code

    with ThreadPoolExecutor(2) as both:
        done = list(both.map(one, range(2)))
    assert done.count(True) == 1 and set(done) <= {True, False, "load.busy"}
    assert rows(warehouse, f"select count(distinct known_from) from raw.{MOVES}") == [(2,)]


def test_a_release_that_fails_on_the_way_leaves_the_question(
    warehouse: str, estat: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = asked().message_ja
    before = rows(warehouse, f"select count(*) from raw.{MOVES}")

    def full(*_: object, **__: object) -> None:
        raise psycopg.errors.DiskFull("no space")

    with monkeypatch.context() as patched:
        patched.setattr(load, "supersede_questions", full)
        with pytest.raises(StorageFailed):
            questions.release(2, "確認済み")
    assert rows(warehouse, "select state, error_ja from ops.load where load_id = 2") == [("asked", question)]
    assert rows(warehouse, "select count(*) from ops.answer") == [(0,)]
    assert rows(warehouse, f"select count(*) from raw.{MOVES}") == before
    # A crash of the server empties the stage table: it is made again from landing.
    with connect() as connection:
        connection.execute(f"drop table stage.{MOVES}_2 cascade")
    assert questions.release(2, "確認済み").published.state == "published"
    assert current(warehouse, THIRD) == [(served(UNUSUAL, THIRD),)]


def test_a_release_after_something_newer_is_refused(warehouse: str, estat: Simulator) -> None:
    asked()
    estat.publish(USUAL)
    load.run(MOVES)
    with pytest.raises(KpiError, match="取込番号 3"):
        questions.release(2, "確認済み")
    assert current(warehouse, THIRD) == [(served(USUAL, THIRD),)]
    with pytest.raises(KpiError, match="問い合わせ中ではありません"):
        questions.release(1, "確認済み")


def test_a_rejected_delivery_stays_out_and_asks_again_with_that_said(
    warehouse: str, estat: Simulator
) -> None:
    asked()
    ended = kpi("hold", "reject", "2", "--reason", "誤植と総務省に確認")
    assert ended.exit_code == 0, ended.output
    assert states(warehouse)[1] == (2, "rejected", "asked")
    (incident,) = incidents()
    assert (incident.cause, incident.summary_ja.splitlines()[1]) == ("asked", "・理由：誤植と総務省に確認")
    with pytest.raises(KpiError, match="すでに「受け入れない」"):
        questions.release(2, "やはり正しい")

    assert "取込番号 2 とまったく同じ内容" in asked().message_ja
    assert len(incidents()) == 1 and len(notifications(incident.incident_id)) == 1
    assert questions.release(3, "総務省の訂正で、やはり正しかった").published.state == "published"
    assert incidents() == []


def test_another_contract_is_asked_by_its_own_rules(
    warehouse: str, estat: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked()
    other = rule("no_march", f"select period from {{batch}} where {KUMAMOTO_IN} and period = '2024-03-01'")
    with_rules(tmp_path, monkeypatch, MOVES, TWICE, other)
    with pytest.raises(GateAsked, match="別の点"):
        questions.release(2, "確認済み")
    assert states(warehouse)[1] == (2, "asked", "asked")
    assert current(warehouse, THIRD) == []
    assert questions.release(2, "3月であることも確認済み").published.state == "published"
