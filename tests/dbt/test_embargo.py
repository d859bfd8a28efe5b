"""A figure that is accepted before it may be seen: nobody reads it, or what follows from it, until its instant; then everyone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from openpyxl import load_workbook
from psycopg import sql
from what_bi_reads import everything

from kpi_warehouse import holds, load, marts
from kpi_warehouse.contract import load_contract
from kpi_warehouse.draft_roles import draft_roles
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.load import contract_of
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import hand_in
from kpi_warehouse.warehouse.embargo import public_from
from kpi_warehouse.warehouse.server import Running

FEED = "kpi_progress"
OWNERS, PASSWORD = ("shokunomiyako", "kodomo"), "of-a-test-server"
# KPI, value, period, kind and day of publication, as a division writes them; the last figure's digits occur nowhere else.
Filled = tuple[str, float | str, str, str, datetime | str | None]
OLD: Filled = ("K05", 700, "R4年度", "実績", None)
REVISED, NEW = "712.25", "618.273"
TODAY = datetime.now(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
SOON = TODAY + timedelta(days=30)


def sheet(tmp_path: Path, name: str, *filled: Filled) -> Path:
    """The progress sheet with these figures."""
    (blank,) = [
        file for file in (settings().project / "demo/inbox").iterdir() if "進捗管理シート" in file.name
    ]
    path = tmp_path / f"進捗管理シート（{name}）.xlsx"
    shutil.copyfile(blank, path)
    workbook = load_workbook(path)
    form = workbook.worksheets[0]
    assert [form[f"{column}5"].value for column in "FGHI"] == ["実績値", "時点", "値の種類", "公表日"]
    rows = {form.cell(row, 1).value: row for row in range(6, form.max_row + 1)}
    for row in rows.values():
        for column in "FGHIJ":
            form[f"{column}{row}"] = None
    for kpi, value, period, kind, public_on in filled:
        for column, text in zip("FGHI", (value, period, kind, public_on), strict=True):
            form[f"{column}{rows[kpi]}"] = text
    workbook.save(path)
    return path


def deliver(path: Path) -> str:
    hand_in(contract_of(FEED), path)
    return load.run(FEED).state


@pytest.fixture(scope="module")
def drafts(
    loader: psycopg.Connection, built: tuple[Running, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A revision of K05 waits for its owner's word, a first figure of K06 for its day; the marts are built. Two owners log in."""
    folder = tmp_path_factory.mktemp("sheets")
    assert deliver(sheet(folder, "一回目", OLD)) == "published"
    later: tuple[Filled, ...] = (
        ("K05", float(REVISED), "R4年度", "実績", SOON),
        ("K06", float(NEW), "R5年度", "実績", SOON),
    )
    assert deliver(sheet(folder, "二回目", *later)) == "published"
    assert marts.build().state == "published"
    roles = [role.name for role in draft_roles()]
    assert roles == [role.name for role in draft_roles()]
    with psycopg.connect(built[0].url("kpi_marts", "postgres"), autocommit=True) as admin:
        for owner in OWNERS:
            admin.execute(
                f"create role bi_{owner} login password '{PASSWORD}' in role kpi_draft_{owner}".encode()
            )
        yield built[0]
        for name in (*(f"bi_{owner}" for owner in OWNERS), *roles):
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def as_owner(server: Running, owner: str) -> psycopg.Connection:
    """A session of the login of an owner's BI tool."""
    return psycopg.connect(
        server.url("kpi_marts", "postgres"), user=f"bi_{owner}", password=PASSWORD, autocommit=True
    )


@pytest.fixture(scope="module")
def reader(drafts: Running) -> Iterator[psycopg.Connection]:
    """BI, after K05's owner said that the revision is right; that word does not lift the embargo."""
    (waiting,) = holds.held_rows(FEED)
    holds.release(waiting.held_id, "確かめた")
    assert marts.build().state == "published"
    with psycopg.connect(drafts.url("kpi_marts", "kpi_reader"), autocommit=True) as connection:
        yield connection


DRAFTS = "select kpi_id, value, draft_status_ja from marts.mart_draft_value order by 1"


def test_drafts_are_shown_to_their_owner_alone(drafts: Running) -> None:
    with as_owner(drafts, "shokunomiyako") as owner:
        assert owner.execute(DRAFTS.encode()).fetchall() == [
            ("K05", Decimal(REVISED), "確認待ち"),
            ("K06", Decimal(NEW), "公表日前"),
        ]
        assert owner.execute('select count(*) from marts_ja."未公表の値"').fetchone() == (2,)
        assert owner.execute("select count(*) from marts.mart_kpi_board").fetchone() == (32,)
    with as_owner(drafts, "kodomo") as other:
        assert holding(other, REVISED) == holding(other, NEW) == set()
        assert other.execute("select count(*) from marts.mart_draft_value").fetchone() == (0,)
        for attempt in ("set role kpi_draft_shokunomiyako", "set role kpi_transformer"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                other.execute(attempt.encode())
        # Switching the policy off makes the query an error, not an answer.
        other.execute("set row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            other.execute(DRAFTS.encode())
    with psycopg.connect(drafts.url("kpi_marts", "kpi_reader")) as everyone:
        assert everyone.execute("select count(*) from marts.mart_draft_value").fetchone() == (0,)
        assert everyone.execute('select count(*) from marts_ja."未公表の値"').fetchone() == (0,)


def holding(reader: psycopg.Connection, text: str) -> set[str]:
    return {name for name, rows in everything(reader).items() if any(text in row for row in rows)}


def waiting_rows(loader: psycopg.Connection) -> list[tuple[object, ...]]:
    return loader.execute(
        "select kpi_code, value, public_from from raw.kpi_progress where public_from is not null order by 1"
    ).fetchall()


def test_the_instant_stands_on_the_row(loader: psycopg.Connection, reader: psycopg.Connection) -> None:
    at = SOON.replace(hour=8, minute=30, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert waiting_rows(loader) == [("K05", Decimal(REVISED), at), ("K06", Decimal(NEW), at)]
    assert loader.execute(
        "select feed, public_from, sum(rows) from ops.embargo group by 1, 2"
    ).fetchall() == [(FEED, at, 2)]


def test_before_its_instant_it_is_in_nothing_that_bi_reads(reader: psycopg.Connection) -> None:
    for figure in (REVISED, NEW):
        assert holding(reader, figure) == set()
    assert reader.execute(
        "select kpi_id, value from marts.fct_kpi_value where kpi_id in ('K05', 'K06')"
    ).fetchall() == [("K05", Decimal(700))]


@pytest.mark.nightly
def test_nothing_that_bi_reads_depends_on_it(loader: psycopg.Connection, reader: psycopg.Connection) -> None:
    """Other figures under embargo make the same marts to the byte: no sum, rank, status or text follows from them."""
    before = everything(reader)
    assert len(before) > 25
    loader.execute(
        "update raw.kpi_progress set value = value * 3 + 1, value_text = 'x', note = 'y', value_status = 'revised'"
        " where public_from is not null"
    )
    try:
        assert marts.build(force=True).state == "published"
        assert everything(reader) == before
    finally:
        loader.execute(
            "update raw.kpi_progress set value = (value - 1) / 3, value_text = null, note = null, value_status = 'actual'"
            " where public_from is not null"
        )


def test_what_a_refusal_quotes_is_not_shown(
    loader: psycopg.Connection, reader: psycopg.Connection, tmp_path: Path
) -> None:
    with pytest.raises(GateRejected, match="40404円"):
        deliver(sheet(tmp_path, "三回目", OLD, ("K07", "40404円", "R5年度", "実績", SOON)))
    assert loader.execute(
        "select error_ja like '%40404円%' from ops.load order by load_id desc limit 1"
    ).fetchall() == [(True,)]
    assert holding(reader, "40404") == set()
    assert any("公表前の値" in row for row in everything(reader)["marts.mart_load_health"])


@pytest.mark.nightly
def test_at_its_instant_it_appears_by_itself(loader: psycopg.Connection, reader: psycopg.Connection) -> None:
    marts.build()
    assert marts.build().state == "unchanged"
    (before, now) = (
        loader.execute("select clock_timestamp(), clock_timestamp() + interval '1 ms'").fetchone() or ()
    )
    loader.execute("update raw.kpi_progress set public_from = %s where public_from is not null", [now])
    loader.execute("update raw.kpi_progress set public_to = %s where public_to is not null", [now])
    loader.execute("update ops.embargo set public_from = %s", [now])

    assert marts.wait_for_embargo() > before
    assert marts.build().state == "published"
    assert marts.build().state == "unchanged"
    assert holding(reader, REVISED) >= {
        "marts.fct_kpi_value", "marts.mart_kpi_history", "marts.mart_kpi_board", "marts.mart_kpi_change",
        "marts.fct_programme_value", "marts.mart_programme_value", "marts.fct_kpi_source_row", "marts_ja.KPIボード",
        "receipt()", "board_as_of()",
    }  # fmt: skip
    assert "marts.mart_kpi_history" in holding(reader, NEW)
    assert holding(reader, "(K05,") and all(
        REVISED in row for row in everything(reader)["marts.fct_kpi_value"] if row.startswith("(K05,")
    )
    then = next(row for row in marts.board(before) if row["kpi_id"] == "K05")
    assert then["actual_value"] == 700


@pytest.mark.nightly
def test_a_later_version_that_is_public_at_once_ends_the_wait_of_an_earlier_one(
    loader: psycopg.Connection, reader: psycopg.Connection, tmp_path: Path
) -> None:
    def shown() -> list[tuple[object, ...]]:
        marts.build()
        return reader.execute("select value from marts.fct_kpi_value where kpi_id = 'D05'").fetchall()

    beside: tuple[Filled, ...] = (
        ("K05", float(REVISED), "R4年度", "実績", SOON),
        ("K06", float(NEW), "R5年度", "実績", SOON),
    )
    for value, day in ((1, None), (2, SOON), (3, SOON + timedelta(days=9))):
        deliver(
            sheet(tmp_path, f"D05は{value}", *beside, ("D05", value, "R5年度（10月末現在）", "年度途中", day))
        )
    assert shown() == [(1,)]
    deliver(sheet(tmp_path, "D05は4", *beside, ("D05", 4, "R5年度（10月末現在）", "年度途中", None)))
    assert shown() == [(4,)]
    assert loader.execute(
        "select count(*) from raw.kpi_progress where kpi_code = 'D05' and known_to < 'infinity' and public_to > now()"
    ).fetchone() == (0,)


@pytest.mark.parametrize(
    ("feed", "day", "row", "instant"),
    [
        ("uij_turn", 27, "null::date as public_on, date '2024-09-30' as period_end", "2024-10-27 08:30+09"),
        ("uij_turn", 31, "null::date as public_on, date '2024-08-31' as period_end", "2024-09-30 08:30+09"),
        ("uij_turn", 31, "null::date as public_on, date '2024-12-31' as period_end", "2025-01-31 08:30+09"),
        (
            "uij_turn",
            9,
            "date '2024-11-05' as public_on, date '2024-09-30' as period_end",
            "2024-11-05 08:30+09",
        ),
        ("estat_migration_monthly", 29, "date '2024-01-01' as period", "2024-02-29 08:30+09"),
    ],
)
def test_a_rule_of_the_contract_says_the_day(
    loader: psycopg.Connection, tmp_path: Path, feed: str, day: int, row: str, instant: str
) -> None:
    known = contract_of(feed).path
    path = tmp_path / known.name
    rule = (
        'slaProperties:\n  - property: publicFrom\n    value: "08:30"\n'
        f"    customProperties: [{{property: monthsAfter, value: 1}}, {{property: day, value: {day}}}]\n"
    )
    path.write_text(known.read_text("utf-8").replace("slaProperties:\n", rule), "utf-8")
    contract = load_contract(path)

    def asked(accepted: str) -> object:
        known_from = sql.SQL("timestamptz {}").format(sql.Literal(accepted))
        query = sql.SQL("select {} from (select {}) as r").format(
            public_from(contract, "r", known_from), sql.SQL(row)
        )
        return (loader.execute(query).fetchone() or ())[0]

    assert asked("2024-01-01 00:00+09") == datetime.fromisoformat(instant)
    # What is accepted after its instant is shown at once.
    assert asked("2030-01-01 00:00+09") is None
