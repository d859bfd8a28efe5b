"""A recovery tells of the KPI figures that follow from its load, and of no others that changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asked_feeds import BASE, MOVES, THIRD, USUAL, rows, with_rules
from psycopg.types.json import Jsonb

from demo.estat import Simulator, edits
from kpi_warehouse import load
from kpi_warehouse.alerts.incidents import find, incidents, notifications
from kpi_warehouse.alerts.messages import message_of
from kpi_warehouse.decisions import undo
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.warehouse.connection import connect


@pytest.fixture
def estat(
    warehouse: str, use_estat: Callable[[Simulator], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    with Simulator([BASE]) as simulator:
        use_estat(simulator)
        with_rules(tmp_path, monkeypatch, MOVES)
        load.run(MOVES)
        yield simulator


def show(year: int, value: int, loaded_at: object) -> None:
    """What the marts show of K12 from now on, in place of what they showed of that year."""
    row = {
        "kpi_id": "K12",
        "kpi_name": "社会増減",
        "period_label": f"{year}年",
        "period_start": f"{year}-01-01",
        "period_end": f"{year}-12-31",
        "value": f"{value:,}",
        "unit": "人",
        "loaded_at": f"{loaded_at}",
    }
    with connect() as connection:
        connection.execute(
            "insert into ops.build (state, schema_name, code_version, started_at) values ('published', 'marts', 'test', now())"
        )
        connection.execute(
            "update ops.published_row set published_to = clock_timestamp() where row_key = %s and published_to = 'infinity'",
            [f"K12 {year}"],
        )
        connection.execute(
            "insert into ops.published_row (relation, row_key, published_from, build_id, row) values"
            " ('mart_kpi_history', %s, clock_timestamp(), (select max(build_id) from ops.build), %s)",
            [f"K12 {year}", Jsonb(row)],
        )


def published_at(url: str, load_id: int) -> object:
    return rows(url, "select published_at from ops.load where load_id = %s", load_id)[0][0]


def told(incident_id: int, kind: str) -> str:
    with connect() as connection:
        (notification,) = [one for one in notifications(incident_id) if one["kind"] == kind]
        return message_of(connection, find(connection, incident_id), notification).body


@pytest.fixture
def mended(warehouse: str, estat: Simulator) -> int:
    """A month that was refused and came right; the number of the incident."""
    first = published_at(warehouse, 1)
    for year in (2023, 2024):
        show(year, 10, first)
    broken = edits.add_persons(USUAL, THIRD, {"tab": "04", "cat01": "0", "cat02": "60000", "area": "43000"})
    estat.publish(broken)
    with pytest.raises(GateRejected):
        load.run(MOVES)
    (incident,) = incidents()
    estat.publish(USUAL)
    assert load.run(MOVES).load_id == 3
    return incident.incident_id


def test_a_figure_of_its_feed_and_period_is_listed_and_another_year_is_not(
    warehouse: str, mended: int
) -> None:
    show(2024, 20, published_at(warehouse, 3))
    show(2023, 11, published_at(warehouse, 1))
    body = told(mended, "resolve")
    assert "・K12 社会増減 2024年：10人 → 20人" in body
    assert "2023年" not in body.split("変わったKPI：")[1]


def test_a_figure_that_another_feed_brought_is_not_listed(warehouse: str, mended: int) -> None:
    show(2024, 20, "2026-01-01T00:00:00+09:00")
    assert "変わったKPI：ありません" in told(mended, "resolve")


def test_taking_back_tells_what_it_changed(warehouse: str, mended: int) -> None:
    show(2024, 20, published_at(warehouse, 3))
    undo.undo(3, "総務省が取り下げた")
    (incident,) = incidents()
    show(2024, 10, published_at(warehouse, 1))
    body = told(incident.incident_id, "open")
    assert "・K12 社会増減 2024年：20人 → 10人" in body and "・理由：総務省が取り下げた" in body, body
