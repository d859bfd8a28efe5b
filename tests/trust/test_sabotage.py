"""A load that no test of the marts would let through, in each feed in turn: it alone stays out, and comes back when it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from demo.estat import Simulator
from kpi_warehouse import holds, load, marts
from kpi_warehouse.replay import replay
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import hand_in
from kpi_warehouse.warehouse.connection import connect
from tests.trust.life_files import MAKERS, Handed
from tests.trust.life_months import Months

MOVES = "estat_migration_monthly"
FILES = [make.__name__ for make in MAKERS if make.__name__ != "_briefing"]


def deliver(folder: Path, file: Handed) -> int:
    """Hand a file in and publish it, with every row that waits; returns the load."""
    path = folder / file.name
    path.write_bytes(file.body)
    hand_in(load.contract_of(file.feed), path)
    published = load.run(file.feed)
    for one in holds.held_rows(file.feed):
        holds.release(one.held_id, "所管課に確認した")
    return published.load_id


def spoil(feed: str, load_id: int) -> None:
    """Turn what a load brought into something that no reader and no gate can bring: a status without a meaning."""
    with connect("kpi_loader") as connection:
        connection.execute(
            sql.SQL("update {} set value_status = 'nonsense' where load_id = %s").format(
                sql.Identifier("raw", feed)
            ),
            [load_id],
        )
        # What is accepted is no longer what was delivered: the same bytes are news again.
        connection.execute("delete from ops.period_digest where feed = %s", [feed])


@pytest.fixture
def year_six(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_estat: Callable[[Simulator], None]
) -> Iterator[Months]:
    """A warehouse with the first autumn of every feed, built."""
    months = Months.until("2025-09")
    with Simulator([*months.tables("2024-09")]) as source:
        use_estat(source)
        monkeypatch.setenv("KPI_TODAY", "2024-11-20")
        settings.cache_clear()
        load.run(MOVES)
        for make in MAKERS:
            if make.__name__ in FILES:
                deliver(tmp_path, make(6, months))
        assert marts.build().left_out == ()
        monkeypatch.setenv("KPI_TODAY", "2025-11-20")
        settings.cache_clear()
        yield months


def open_incidents(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select feed, summary_ja from ops.incident where cause = 'load_set_aside' and resolved_at is null"
        ).fetchall()


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("names", [FILES[:3], *([name] for name in FILES[3:])], ids="".join)
def test_it_alone_stays_out_and_its_correction_heals_it(
    warehouse: str, year_six: Months, tmp_path: Path, names: list[str]
) -> None:
    """Three at once, then one by one; the other files of the year are shown meanwhile."""
    spoilt = {}
    for make in MAKERS:
        if make.__name__ in FILES:
            file = make(7, year_six)
            number = deliver(tmp_path, file)
            if make.__name__ in names:
                spoil(file.feed, number)
                spoilt[file.feed] = number
    built = marts.build()
    assert {step.feed: step.load_id for step in built.left_out} == spoilt
    told = dict(open_incidents(warehouse))
    assert told.keys() == spoilt.keys()
    for feed, number in spoilt.items():
        assert f"取込番号{number}" in told[feed] and "nonsense" in told[feed]
    shown = {row["feed"]: row["load_id"] for row in marts.programme_values()}
    with psycopg.connect(warehouse) as connection:
        health = dict(connection.execute("select feed, gate_status from marts.mart_load_health").fetchall())
    assert {feed for feed, status in health.items() if status == "set_aside"} == spoilt.keys()
    assert not set(shown.values()) & set(spoilt.values())

    for number in spoilt.values():
        replay(number)  # the same bytes, read rightly: a corrected delivery
    healed = marts.build()
    assert (healed.state, healed.left_out) == ("published", ())
    assert open_incidents(warehouse) == []
