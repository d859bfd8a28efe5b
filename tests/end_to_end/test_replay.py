"""`kpi replay FEED --since`: a preview that leaves no trace, and the same for good."""

from __future__ import annotations

import hashlib
import shutil
from datetime import date
from pathlib import Path

import psycopg
import pytest
from division_files import Drop, demo, rows
from typer.testing import CliRunner

from kpi_warehouse import load
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateRejected, KpiError
from kpi_warehouse.replay import past_loads, preview_since, publish_since
from kpi_warehouse.settings import PROJECT, settings

FEED = "migration_briefing"
LONG_AGO = date(2000, 1, 1)


def everything(url: str) -> dict[str, str]:
    """A digest of every row of every table the warehouse has, and the databases of its server."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema') order by 1"
        ).fetchall()
        digests = {}
        for (table,) in tables:
            content = connection.execute(f"select t::text from {table} as t order by 1").fetchall()
            digests[table] = hashlib.sha256(repr(content).encode()).hexdigest()
        digests["databases"] = repr(
            connection.execute("select datname from pg_database where datname like 'kpi_preview%'").fetchall()
        )
    return digests


@pytest.fixture
def refused(warehouse: str, drop: Drop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The briefing with its lost digit was refused; since then its contract calls that a warning, and holds the cell alone."""
    drop(demo("移住定住の状況"))
    with pytest.raises(GateRejected):
        load.run(FEED)
    folder = tmp_path / "expectations"
    shutil.copytree(PROJECT / "expectations", folder)
    contract = folder / f"{FEED}.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace("severity: critical", "severity: warning", 1), encoding="utf-8")
    monkeypatch.setenv("KPI_CONTRACTS", str(folder))
    settings.cache_clear()
    return warehouse


def test_a_preview_says_what_would_change_and_changes_nothing(refused: str) -> None:
    before = everything(refused)
    (one,) = preview_since(FEED, LONG_AGO)
    assert (one.state, one.closed_rows, one.file_name) == ("published", 0, "移住定住の状況（R6.9月末）.xlsx")
    assert one.opened_rows == len(one.changes) == 53
    may = {c.label: c.after for c in one.changes if c.period == "2024-05-01" and "転入" in c.label}
    assert len(may) == 2 and not any("大阪圏" in label for label in may), "16 for 165 waits for its owner"
    assert everything(refused) == before
    assert list((settings().home / "returned").rglob("*.xlsx")) != [], "the slip of the real refusal stays"


def test_published_it_is_as_the_preview_said_and_again_it_changes_nothing(refused: str) -> None:
    preview = preview_since(FEED, LONG_AGO)
    done = list(publish_since(FEED, LONG_AGO))
    assert [(o.state, o.changes) for o in done] == [(o.state, o.changes) for o in preview]
    assert rows(refused, f"select count(*) from raw.{FEED} where known_to = 'infinity'") == [(53,)]
    assert {one.state for one in publish_since(FEED, LONG_AGO)} == {"unchanged"}


def test_a_file_that_is_still_wrong_is_refused_in_the_preview_and_nobody_is_told(
    warehouse: str, drop: Drop
) -> None:
    drop(demo("移住定住の状況"))
    with pytest.raises(GateRejected):
        load.run(FEED)
    told = rows(warehouse, "select count(*) from ops.notification")
    (one,) = preview_since(FEED, LONG_AGO)
    assert one.state == "gate.rejected" and "16 → 165" in one.message_ja
    assert rows(warehouse, "select count(*) from ops.notification") == told


def test_what_was_accepted_under_the_same_contract_does_not_change(warehouse: str, drop: Drop) -> None:
    drop(demo("空家対策"))
    load.run("vacant_house_support")
    (one,) = preview_since("vacant_house_support", LONG_AGO)
    assert (one.state, one.changes) == ("unchanged", [])


def test_from_the_command_line(refused: str) -> None:
    shown = CliRunner().invoke(app, ["replay", FEED, "--since", "2000-01-01", "--changes", "3"])
    assert shown.exit_code == 0, shown.output
    assert (
        "新しい行 53、閉じる行 0、保留 1" in shown.output
        and "ほか 50 件" in shown.output
        and "何も変えていません" in shown.output
    )
    assert CliRunner().invoke(app, ["replay", FEED]).exit_code == 2
    assert CliRunner().invoke(app, ["replay", FEED, "--since", "きのう"]).exit_code == 2


def test_nothing_to_replay_is_said(warehouse: str) -> None:
    with pytest.raises(KpiError, match="やり直せる取込がありません"):
        past_loads(FEED, LONG_AGO)
