"""A history table that is gone: never made again empty, told once, and made again from landing row by row as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from division_files import DEMO, Drop, demo
from openpyxl import load_workbook
from typer.testing import CliRunner

from demo.estat import Simulator, Table, edits
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import approvals, holds, load, marts
from kpi_warehouse.cli import app
from kpi_warehouse.decisions.undo import undo
from kpi_warehouse.errors import GateRejected, HistoryLost, StorageFailed
from kpi_warehouse.replay import replay
from kpi_warehouse.settings import settings

MOVES, SUPPORT, BRIEFING = "estat_migration_monthly", "vacant_house_support", "migration_briefing"
INFLOW = {"tab": "02", "cat01": "0", "cat02": "60000", "area": "43000"}


def query(url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(text.encode()).fetchall()


def history(url: str, feed: str) -> list[tuple[Any, ...]]:
    """Every row there ever was, with the spans in which it was known."""
    return query(url, f"select r::text from raw.{feed} as r order by r::text")


def later(table: Table) -> Table:
    return replace(table, updated_on=table.updated_on + timedelta(days=1))


def lose(url: str, feed: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"drop table raw.{feed} cascade")


def judged(period: str | None = None) -> int:
    load_id = load.fetch(MOVES, period, force=True).load_id
    load.stage(load_id)
    load.gate(load_id)
    return load_id


@pytest.fixture
def moves(warehouse: str, use_estat: Callable[[Simulator], None]) -> str:
    """Months of e-Stat with revisions, a mark that was held, an older reading that came late, and one set back."""
    first = synthetic_migration(["2024-01", "2024-02", "2024-03"])
    with Simulator([first]) as estat:
        use_estat(estat)
        late = judged()
        estat.publish(later(edits.revise_month(first, "2024-01")))
        load.publish(judged("2024-01"))
        load.publish(late)
        grown = later(later(synthetic_migration(["2024-01", "2024-02", "2024-03", "2024-04"])))
        estat.publish(edits.set_text(grown, "2024-04", INFLOW, "※"))
        load.run(MOVES, since="2024-01", force=True)
        estat.publish(later(later(edits.revise_month(grown, "2024-04"))))
        load.run(MOVES, since="2024-01", force=True)
        replay(late, "提供元に確認した")
    assert len({row[0] for row in query(warehouse, f"select known_from from raw.{MOVES}")}) >= 4
    return warehouse


@pytest.fixture
def files(warehouse: str, drop: Drop, tmp_path: Path) -> str:
    """Files with an approved correction that ended, and with a held value that was released."""
    drop(demo("移住定住の状況"))
    with pytest.raises(GateRejected):
        load.run(BRIEFING)
    (waiting,) = approvals.open_proposals(BRIEFING)
    approvals.approve(waiting.proposal_id, "地域振興課に確認")
    drop(demo("訂正", DEMO / "corrected"))
    load.run(BRIEFING)

    drop(demo("空家対策"))
    load.run(SUPPORT)
    ((place,),) = query(
        warehouse, f"select source_cell from raw.{SUPPORT} where value_status = 'actual' and value = 42"
    )
    workbook = load_workbook(demo("空家対策"))
    sheet, _, cell = str(place).rpartition("!")
    workbook[sheet][cell].value = str(workbook[sheet][cell].value).replace("42", "43")
    workbook.save(tmp_path / "changed.xlsx")
    drop(tmp_path / "changed.xlsx", "空家対策総合支援事業の実績（R6）（訂正）.xlsx")
    load.run(SUPPORT)
    (held,) = holds.held_rows(SUPPORT)
    holds.release(held.held_id, "土木部に確認した")
    return warehouse


def rebuild(feed: str, *options: str) -> tuple[int, str]:
    shown = CliRunner().invoke(app, ["rebuild", feed, *options])
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
    return shown.exit_code, shown.output


def incidents(url: str) -> list[tuple[Any, ...]]:
    return query(url, "select feed, resolved_at is not null from ops.incident where cause = 'history_lost'")


def test_a_history_of_estat_is_made_again_as_it_was(moves: str) -> None:
    before = history(moves, MOVES)
    books = query(moves, "select md5(string_agg(l::text, '|' order by load_id)) from ops.load as l")
    assert rebuild(MOVES)[1].count("今ある表と同じ") == 1

    lose(moves, MOVES)
    for _ in range(2):
        with pytest.raises(HistoryLost):
            marts.build()
    assert incidents(moves) == [(MOVES, False)]
    code, said = rebuild(MOVES)
    assert code == 0 and "作り直しました" in said, said
    assert history(moves, MOVES) == before
    assert query(moves, "select md5(string_agg(l::text, '|' order by load_id)) from ops.load as l") == books
    assert incidents(moves) == [(MOVES, True)]
    assert query(moves, "select count(*) from pg_tables where schemaname = 'stage'") == [(0,)]


def test_a_load_that_was_taken_back_is_taken_back_again(moves: str) -> None:
    ((newest,),) = query(
        moves, "select load_id from ops.load where state = 'published' order by published_at desc limit 1"
    )
    undo(newest, "誤って戻したため")
    before = history(moves, MOVES)
    lose(moves, MOVES)
    code, said = rebuild(MOVES)
    assert code == 0 and "作り直しました" in said, said
    assert history(moves, MOVES) == before


@pytest.mark.parametrize("feed", [BRIEFING, SUPPORT])
def test_a_history_of_files_is_made_again_with_what_was_decided(files: str, feed: str) -> None:
    before = history(files, feed)
    lose(files, feed)
    code, said = rebuild(feed)
    assert code == 0 and "作り直しました" in said, said
    assert history(files, feed) == before


def test_a_load_into_a_lost_history_fails_and_is_told_once(files: str, drop: Drop, tmp_path: Path) -> None:
    lose(files, SUPPORT)
    workbook = load_workbook(demo("空家対策"))
    workbook.properties.title = "保存し直した"
    workbook.save(tmp_path / "again.xlsx")
    drop(tmp_path / "again.xlsx", "空家対策総合支援事業の実績（R6）（再）.xlsx")
    for _ in range(2):
        with pytest.raises(HistoryLost, match="kpi rebuild"):
            load.run(SUPPORT)
    assert incidents(files) == [(SUPPORT, False)]
    assert query(files, f"select to_regclass('raw.{SUPPORT}')") == [(None,)]
    rebuild(SUPPORT)
    assert load.run(SUPPORT).state == "unchanged"


def test_what_differs_is_put_in_place_only_when_that_is_said(files: str) -> None:
    before = history(files, BRIEFING)
    with psycopg.connect(files) as connection:
        connection.execute(
            f"update raw.{BRIEFING} set value = value + 1 where period = '2024-05-01' and known_to = 'infinity'"
        )
    wrong = history(files, BRIEFING)
    code, said = rebuild(BRIEFING)
    assert code == 1 and "--replace" in said
    assert history(files, BRIEFING) == wrong
    assert rebuild(BRIEFING, "--replace")[0] == 0
    assert history(files, BRIEFING) == before


def test_bytes_that_are_gone_leave_everything_as_it_is(files: str) -> None:
    before = history(files, BRIEFING)
    for file in (settings().home / "landing").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(StorageFailed):
        load_landing_gone()
    assert history(files, BRIEFING) == before


def load_landing_gone() -> None:
    from kpi_warehouse.rebuild.from_landing import rebuild as from_landing

    from_landing(BRIEFING)
