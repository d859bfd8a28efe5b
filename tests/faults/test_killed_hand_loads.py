"""kill -9 of `kpi load FEED --file`: called again it goes on, and a file that waits behind it is taken after it."""

from __future__ import annotations

import os
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner

from kpi_warehouse import file_outcome, load
from kpi_warehouse.cli import app
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.sources import file_delivery, inbox_receive

SUPPORT, BRIEFING = "vacant_house_support", "migration_briefing"
FORK = get_context("fork")
# Just before each of these the command dies: from "landed, without a delivery" to "written, not committed".
PLACES: dict[str, tuple[Any, str]] = {
    "landed, no delivery": (inbox_receive, "accept"),
    "received, no load": (load, "open_load"),
    "load without its file": (file_delivery, "next_delivery"),
    "fetched": (load, "_stage"),
    "staged": (load, "_gate"),
    "gated": (load, "_publish"),
    "written, not committed": (file_outcome, "settle"),
}


def demo(part: str) -> Path:
    (file,) = (file for file in (PROJECT / "demo/inbox").iterdir() if part in file.name)
    return file


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def load_file(feed: str, file: Path) -> tuple[int, str]:
    shown = CliRunner().invoke(app, ["load", feed, "--file", str(file)])
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
    return shown.exit_code, shown.output


def killed_at(place: tuple[Any, str], feed: str, file: Path) -> None:
    def run() -> None:
        module, name = place
        setattr(module, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        load_file(feed, file)

    child = FORK.Process(target=run)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


@pytest.fixture
def inbox(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    settings.cache_clear()
    return warehouse


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_hand_load_goes_on_when_it_is_called_again(place: str, inbox: str) -> None:
    killed_at(PLACES[place], SUPPORT, demo("空家対策"))
    code, said = load_file(SUPPORT, demo("空家対策"))
    assert code == 0 and "publish  published" in said, said
    assert rows(inbox, "select state from ops.delivery") == [("loaded",)]
    published = "select count(*), count(distinct load_id) from ops.load where state = 'published'"
    assert rows(inbox, published) == [(1, 1)]
    assert rows(inbox, "select count(*) from ops.incident where resolved_at is null") == [(0,)]
    code, said = load_file(SUPPORT, demo("空家対策"))
    assert code == 0 and "同じ内容" in said


def test_a_file_behind_a_killed_one_is_taken_after_it(inbox: str, tmp_path: Path) -> None:
    killed_at(PLACES["staged"], SUPPORT, demo("空家対策"))
    second = tmp_path / "空家対策総合支援事業の実績（R6）（訂正）.xlsx"
    workbook = load_workbook(demo("空家対策"))
    workbook.properties.title = "開いて保存した"
    workbook.save(second)
    code, said = load_file(SUPPORT, second)
    assert code == 0 and "途中で止まっていた取込の続き" in said, said
    states = [state for (state,) in rows(inbox, "select state from ops.delivery order by delivery_id")]
    assert states == ["loaded", "unchanged"]


def test_a_refusal_killed_before_it_is_told_is_told_when_it_is_called_again(inbox: str) -> None:
    killed_at(PLACES["written, not committed"], BRIEFING, demo("移住定住の状況"))
    code, said = load_file(BRIEFING, demo("移住定住の状況"))
    assert code == 3 and "F16" in said
    assert rows(inbox, "select state from ops.delivery") == [("rejected",)]
    assert rows(inbox, "select cause, count(*) from ops.incident where resolved_at is null group by 1") == [
        ("gate_rejected", 1)
    ]
