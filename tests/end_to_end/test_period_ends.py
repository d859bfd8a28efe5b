"""A period has a start and an end: sums from one start to ever later ends stand beside each other, and what lived before
ends were part of the key lives on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from division_files import Drop, rows

from kpi_warehouse import holds, load
from kpi_warehouse.contract import find_contract
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.warehouse.connection import MIGRATIONS, migrate
from kpi_warehouse.warehouse.server import Running
from kpi_warehouse.warehouse.tables import HISTORY_COLUMNS
from tests.kpi_sheet import Answer, filled_in

KPI, MATCHING = "kpi_progress", "professional_matching"
ENDS = "0011"


def matches(path: Path, end: str, whole: int, part: int) -> Path:
    path.write_text(
        f"期間,区分,成約件数\r\nR3.11～{end},成約件数,{whole}\r\nR3.11～{end},うち、半導体関連企業の件数,{part}\r\n",
        encoding="utf-8-sig",
    )
    return path


def test_each_end_of_a_sum_is_a_figure_of_its_own(warehouse: str, drop: Drop, tmp_path: Path) -> None:
    for name, end, whole, part in (
        ("プロ人材1.csv", "R6.10月末", 235, 56),
        ("プロ人材2.csv", "R7.3月末", 260, 60),
        ("プロ人材3.csv", "R8.3月末", 330, 81),
    ):
        drop(matches(tmp_path / name, end, whole, part))
        assert load.run(MATCHING).held_rows == 0
    path = (
        f"select period_end::text, value::integer from raw.{MATCHING}"
        " where known_to = 'infinity' and measure_code = 'matches' order by 1"
    )
    assert rows(warehouse, path) == [("2024-10-31", 235), ("2025-03-31", 260), ("2026-03-31", 330)]
    assert rows(warehouse, f"select count(*) from raw.{MATCHING} where known_to < 'infinity'") == [(0,)]

    # A later correction of one end is a revision of that end.
    drop(matches(tmp_path / "プロ人材4.csv", "R7.3月末", 262, 60))
    load.run(MATCHING)
    assert rows(warehouse, path)[1] == ("2025-03-31", 262)
    assert rows(warehouse, f"select period_end::text from raw.{MATCHING} where known_to < 'infinity'") == [
        ("2025-03-31",)
    ]

    # A sum is never below that of an earlier end, nor above that of a later one.
    drop(matches(tmp_path / "プロ人材5.csv", "R7.3月末", 335, 60))
    assert load.run(MATCHING).held_rows == 1
    drop(matches(tmp_path / "プロ人材6.csv", "R8.9月末", 300, 90))
    assert load.run(MATCHING).held_rows == 1
    # What a delivery covers is its periods: half of one that was accepted whole has vanished.
    (tmp_path / "プロ人材7.csv").write_text(
        "期間,区分,成約件数\r\nR3.11～R8.3月末,成約件数,331\r\n", encoding="utf-8-sig"
    )
    drop(tmp_path / "プロ人材7.csv")
    with pytest.raises(GateRejected, match="消えて"):
        load.run(MATCHING)


@pytest.fixture
def lived(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A warehouse of the version before, with accepted history, a row that waits, an approved correction and a delivery
    under way."""
    admin = server.url("postgres", "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("create database kpi_lived owner kpi_owner")
    monkeypatch.setenv("KPI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KPI_DATABASE_URL", server.url("kpi_lived"))
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    settings.cache_clear()
    try:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        migrate(str(ScriptDirectory.from_config(config).get_revision(ENDS).down_revision))
        with psycopg.connect(server.url("kpi_lived")) as connection:
            _live(connection)
        yield server.url("kpi_lived")
    finally:
        settings.cache_clear()
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("drop database if exists kpi_lived with (force)")


def _live(connection: psycopg.Connection) -> None:
    """Raw tables whose key ends with the start of a period, as they were made then."""
    for feed in (KPI, MATCHING):
        contract = find_contract(PROJECT / "expectations", feed)
        columns = [f"{c.name} {c.sql_type}" for c in contract.columns]
        columns += [f"{n} {kind}" for n, kind in (contract.source.place_columns | HISTORY_COLUMNS).items()]
        keys = ["period desc", *(n for n in contract.key_names if n not in ("period", "period_end"))]
        for statement in (
            "set role kpi_loader",
            f"create table raw.{feed} ({', '.join(columns)})",
            f"create unique index {feed}_current on raw.{feed} ({', '.join(keys)}) where known_to = 'infinity'",
            f"create table stage.{feed}_9 (period date, source_cell text)",
            "insert into ops.load (feed, contract_version, contract_sha256, code_version, trigger, forced, state)"
            f" values ('{feed}', '1', '', 'test', 'test', false, 'published')",
            f"insert into ops.period_digest (feed, period, rows, digest, load_id) select '{feed}', '2024-04-01', 2, '7',"
            " max(load_id) from ops.load",
            "insert into ops.load_period select load_id, '2024-04-01', 2, '7', true from ops.load"
            f" where feed = '{feed}'",
        ):
            connection.execute(statement.encode())
    said = "period_kind, measure_code, value, value_text, unit, value_status, source_page, source_cell"
    for kpi, start, end, kind, value, unit, known_to in (
        ("K04", "2024-04-01", "2025-03-31", "累計", 2100, "人", "infinity"),
        ("K04", "2024-04-01", "2025-03-31", "累計", 2000, "人", "2025-06-01"),
        ("K05", "2024-04-01", "2025-03-31", "年度", 700, "億円", "infinity"),
        ("K06", "2024-04-01", None, "年度", 500, "人/年", "infinity"),
    ):
        connection.execute(
            f"insert into raw.{KPI} (kpi_code, period, period_end, {said}, load_id, known_from, known_to)"
            " values (%s, %s, %s, %s, 'actual_value', %s, %s, %s, 'actual', 1, '進捗!F9', 1, '2025-05-20', %s)",
            [kpi, start, end, kind, value, str(value), unit, known_to],
        )
    connection.execute(
        "insert into ops.held_row (load_id, feed, period, row, expectation, reason_ja, source_ref) values"
        f" (1, '{KPI}', '2024-04-01', '{{\"period_end\": \"2025-03-31\", \"kpi_code\": \"K07\"}}', 'x', 'x', 'x')"
    )
    connection.execute(
        "insert into ops.repair_proposal (load_id, feed, kind, message_ja) values (1, %s, 'one', 'x')", [KPI]
    )
    connection.execute(
        "insert into ops.correction (proposal_id, feed, key, place, label, sha256, expect, value, owner_ja, reason_ja)"
        ' select proposal_id, feed, \'{"period": "2024-04-01", "period_kind": "年度", "kpi_code": "K05",'
        " \"measure_code\": \"actual_value\"}', 'x', 'x', 'x', 1, 2, 'x', 'x' from ops.repair_proposal"
    )


def test_a_warehouse_that_lived_under_the_old_key_lives_on(lived: str, tmp_path: Path) -> None:
    migrate()
    for feed in (KPI, MATCHING):
        ((index,),) = rows(lived, f"select indexdef from pg_indexes where indexname = '{feed}_current'")
        assert "period_end) WHERE (known_to = 'infinity'" in str(index)
        assert rows(
            lived,
            "select is_nullable from information_schema.columns"
            f" where table_schema = 'raw' and table_name = '{feed}' and column_name = 'period_end'",
        ) == [("NO",)]
        assert rows(lived, f"select to_regclass('stage.{feed}_9')") == [(None,)]
    assert rows(lived, f"select count(*), count(*) filter (where known_to < 'infinity') from raw.{KPI}") == [
        (4, 1)
    ]
    assert rows(lived, f"select period_end from raw.{KPI} where kpi_code = 'K06'") == [(date(2025, 3, 31),)]
    assert rows(lived, f"select period_end, rows from ops.period_digest where feed = '{KPI}'") == [
        (date(2025, 3, 31), 3)
    ]
    assert rows(lived, "select period_end from ops.held_row") == [(date(2025, 3, 31),)]
    assert rows(lived, "select key ->> 'period_end' from ops.correction") == [("2025-03-31",)]

    # The next year's sheet goes through on it, and last year's stays.
    from kpi_warehouse.sources.inbox_receive import receive_all

    inbox = settings().home / "inbox"
    inbox.mkdir(parents=True)
    answers = {
        "K04": Answer(4300, "R6.4～R8.3", "累計"),
        "K05": Answer(760, "R7年度"),
        "K06": Answer(520, "R7年度"),
    }
    (inbox / "進捗管理シート（R8.5）.xlsx").write_bytes(filled_in(answers))
    receive_all(wait=True)
    published = load.run(KPI)
    assert (published.opened_rows, published.closed_rows, published.held_rows) == (3, 0, 0)
    assert rows(
        lived,
        f"select kpi_code, period_end::text, value::integer from raw.{KPI} where known_to = 'infinity' order by 1, 2",
    ) == [
        ("K04", "2025-03-31", 2100),
        ("K04", "2026-03-31", 4300),
        ("K05", "2025-03-31", 700),
        ("K05", "2026-03-31", 760),
        ("K06", "2025-03-31", 500),
        ("K06", "2026-03-31", 520),
    ]
    # Last year's open question is not settled by next year's rows.
    assert [held.row["kpi_code"] for held in holds.held_rows(KPI)] == ["K07"]
