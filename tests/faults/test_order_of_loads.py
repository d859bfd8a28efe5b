"""What is current follows from when a source was read, whatever the order of numbers, retries and lost answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event, get_ident
from typing import Any

import psycopg
import pytest
from silent_proxy import silent_proxy
from typer.testing import CliRunner

from demo.estat import Simulator, Table, edits
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import load
from kpi_warehouse.cli import app
from kpi_warehouse.errors import LoadConflict
from kpi_warehouse.marts_inputs import inputs_now
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import LOAD_LOCK

FEED = "estat_migration_monthly"
MONTHS = ["2024-01", "2024-02", "2024-03"]
ROWS = 3 * 3 * 3 * 48
OLD = synthetic_migration(MONTHS)


def rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def later(table: Table, days: int = 1) -> Table:
    return replace(table, updated_on=table.updated_on + timedelta(days=days))


def book(url: str, load_id: int) -> tuple[Any, ...]:
    query = "select state, verdict, opened_rows, published_at is not null, error_code from ops.load where load_id = %s"
    return rows(url, query, load_id)[0]


def figures(url: str, month: str) -> set[tuple[Any, ...]]:
    """The figures of a month as they are current."""
    query = (
        "select indicator_code, sex_code, nationality_code, area_code, persons"
        f" from raw.{FEED} where known_to = 'infinity' and period = %s::date"
    )
    return set(rows(url, query, f"{month}-01"))


def gated(period: str | None = None, run_ref: str | None = None) -> int:
    load_id = load.fetch(FEED, period, run_ref=run_ref, force=True).load_id
    load.stage(load_id)
    load.gate(load_id)
    return load_id


@pytest.fixture
def estat(use_estat: Callable[[Simulator], None]) -> Iterator[Simulator]:
    with Simulator([OLD]) as simulator:
        use_estat(simulator)
        yield simulator


def test_a_load_that_two_publish_at_once_keeps_its_place_in_the_book(
    warehouse: str, estat: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_id = gated()
    looked, go_on = Event(), Event()
    main, intact = get_ident(), load.stage_intact

    def slowly(*arguments: Any) -> bool:
        found = intact(*arguments)
        if get_ident() != main:  # it has read the load's state; now the other one publishes
            looked.set()
            assert go_on.wait(30)
        return found

    monkeypatch.setattr(load, "stage_intact", slowly)
    with ThreadPoolExecutor(1) as pool:
        zombie = pool.submit(load.publish, load_id)
        assert looked.wait(30)
        try:
            load.publish(load_id)
        except LoadConflict as busy:
            assert busy.code == "load.busy"
        go_on.set()
        zombie.result(30)

    assert load.publish(load_id).opened_rows == 3 * ROWS
    assert book(warehouse, load_id) == ("published", "passed", 3 * ROWS, True, None)


def test_a_retried_fetch_leaves_a_load_alone_that_another_task_still_publishes(
    warehouse: str, estat: Simulator
) -> None:
    load_id = gated(run_ref="run")
    before = book(warehouse, load_id)
    with psycopg.connect(warehouse) as zombie:
        zombie.execute("select pg_advisory_lock(%s, %s)", [LOAD_LOCK, load_id])
        with pytest.raises(LoadConflict):
            load.fetch(FEED, run_ref="run")
        assert book(warehouse, load_id) == before
    load.publish(load_id)
    again = load.fetch(FEED, run_ref="run")
    assert again.load_id != load_id and again.state == "unchanged"
    assert book(warehouse, load_id) == ("published", "passed", 3 * ROWS, True, None)


@pytest.mark.parametrize("verb", ["fetch", "stage", "gate", "publish"])
def test_a_step_whose_commit_was_not_answered_is_what_the_database_says_it_is(
    verb: str, warehouse: str, estat: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs: dict[str, Callable[[int], Any]] = {
        "fetch": lambda _: load.fetch(FEED, run_ref="run").load_id,
        "stage": load.stage,
        "gate": load.gate,
        "publish": load.publish,
    }
    load_id = 0
    for name, call in verbs.items():
        if name != verb:
            load_id = call(load_id) if name == "fetch" else (call(load_id) and load_id)
            continue
        with silent_proxy(warehouse, b"update ops.step set finished_at") as proxy:
            monkeypatch.setenv("KPI_DATABASE_URL", proxy.url)
            settings.cache_clear()
            done = call(load_id)
            assert proxy.swallowed.is_set()
        monkeypatch.setenv("KPI_DATABASE_URL", warehouse)
        settings.cache_clear()
        load_id = done if name == "fetch" else load_id

    assert book(warehouse, load_id) == ("published", "passed", 3 * ROWS, True, None)
    assert rows(warehouse, "select distinct outcome from ops.step where outcome = 'failed'") == []
    assert rows(warehouse, "select count(*) from ops.incident") == [(0,)]


def test_periods_that_were_read_later_give_way_and_the_others_are_published(
    warehouse: str, estat: Simulator
) -> None:
    older = gated()
    estat.publish(later(edits.revise_month(OLD, "2024-01")))
    newer = gated("2024-01")
    assert load.publish(newer).opened_rows == ROWS
    january = figures(warehouse, "2024-01")

    published = load.publish(older)
    assert (published.state, published.opened_rows, published.closed_rows) == ("published", 2 * ROWS, 0)
    assert [f"{period:%Y-%m}" for period in published.overtaken] == ["2024-01"]
    assert figures(warehouse, "2024-01") == january


def test_a_cleared_run_that_reads_newer_bytes_under_its_old_number_is_newer(
    warehouse: str, estat: Simulator
) -> None:
    cleared = gated(run_ref="run")
    assert load.publish(gated()).opened_rows == 3 * ROWS
    estat.publish(later(edits.revise_month(OLD, "2024-02")))

    assert gated(run_ref="run") == cleared
    published = load.publish(cleared)
    assert published.state == "published" and published.closed_rows > 0 and published.overtaken == ()
    assert load.run(FEED).state == "unchanged"


def test_marts_are_stale_when_a_load_with_a_smaller_number_publishes_last(
    warehouse: str, estat: Simulator
) -> None:
    older = gated()
    newer = gated("2024-01")
    load.publish(newer)
    with connect("kpi_transformer") as connection:
        before = inputs_now(connection)
    load.publish(older)
    with connect("kpi_transformer") as connection:
        after = inputs_now(connection)
    assert before.history != after.history
    assert (before.newest_load_id, after.newest_load_id) == (newer, older)


def test_a_replay_sets_no_newer_figure_back_unless_it_is_told_why(warehouse: str, estat: Simulator) -> None:
    first = gated()
    load.publish(first)
    old = figures(warehouse, "2024-01")
    estat.publish(later(edits.revise_month(OLD, "2024-01")))
    load.publish(gated("2024-01"))
    new = figures(warehouse, "2024-01")
    assert new != old

    shown = CliRunner().invoke(app, ["replay", str(first)])
    assert shown.exit_code == 0, shown.output
    assert "--set-back" in shown.output and f"次の {len(new - old):,} 件は変えません" in shown.output
    assert figures(warehouse, "2024-01") == new

    preview = CliRunner().invoke(app, ["replay", FEED, "--since", "2000-01-01"])
    assert f"次の {len(new - old):,} 件は変えません" in preview.output and "--set-back" in preview.output

    assert CliRunner().invoke(app, ["replay", str(first), "--set-back", " "]).exit_code == 2
    reason = "提供元が誤りと認めたため"
    assert CliRunner().invoke(app, ["replay", str(first), "--set-back", reason]).exit_code == 0
    assert figures(warehouse, "2024-01") == old
    assert rows(warehouse, "select set_back_ja from ops.load where set_back_ja is not null") == [(reason,)]

    # What is read after that is newer again.
    assert load.run(FEED, since="2024-01", force=True).closed_rows > 0
    assert figures(warehouse, "2024-01") == new
