"""Counts of people that are too small to be shown: nobody gets them back from totals, in the marts or in the open data."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from kpi_warehouse import marts
from kpi_warehouse.contract import file_source, load_contract
from kpi_warehouse.errors import ContractError
from kpi_warehouse.load import contract_of
from kpi_warehouse.publication import publish as publishing
from kpi_warehouse.publication.publish import publish
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.tables import ensure_raw

FEED, GROUPS, BELOW = "company_contacts", 80, 10
Cells = dict[tuple[date, str], Decimal]


@pytest.fixture(scope="module")
def delivered(loader: psycopg.Connection) -> Cells:
    """Many years of participants by activity, most groups with small counts, and the marts made of them."""
    chance, cells = random.Random(20), {}
    with connect() as connection:
        ensure_raw(connection, contract_of(FEED))
        row = connection.execute(
            "insert into ops.load (feed, contract_version, contract_sha256, code_version, trigger, forced, state, published_at)"
            " values (%s, '1', '', '', 'test', false, 'published', now()) returning load_id",
            [FEED],
        ).fetchone()
        assert row is not None
        for year in range(1930, 1930 + GROUPS):
            for activity in range(chance.randint(1, 8)):
                value = chance.choice([chance.randint(1, 12), chance.randint(0, 30), chance.randint(10, 400)])
                cells[date(year, 4, 1), f"a{activity}"] = Decimal(value)
                connection.execute(
                    f"insert into raw.{FEED} (period, period_kind, activity_code, measure_code, value, value_text, unit,"
                    " value_status, period_end, source_page, source_cell, load_id, known_from, known_to)"
                    " values (%s, '年度', %s, 'participants', %s, %s, '名', 'actual', %s, 1, %s, %s, now(), 'infinity')",
                    [
                        date(year, 4, 1),
                        f"a{activity}",
                        value,
                        str(value),
                        date(year + 1, 3, 31),
                        f"A{year}",
                        row[0],
                    ],
                )
    marts.build()
    return cells


def shown(cells: Cells) -> dict[date, list[tuple[Decimal, Decimal | None]]]:
    """Per group what each cell is, and what the marts show of it."""
    with connect("kpi_reader") as reader:
        rows = reader.execute(
            "select period_start, breakdown::jsonb ->> 'activity_code', value, value_mark, value_text, value_status, note"
            " from marts.fct_programme_value where feed = %s",
            [FEED],
        ).fetchall()
    assert len(rows) == len(cells)
    groups: dict[date, list[tuple[Decimal, Decimal | None]]] = defaultdict(list)
    for year, activity, value, mark, text, status, note in rows:
        hidden = (None, "秘匿", None, "suppressed", None)
        assert (value, mark, text, status, note) == hidden or value == cells[year, activity]
        groups[year].append((cells[year, activity], value))
    return groups


def test_no_small_count_is_shown_and_no_total_gives_one_back(delivered: Cells) -> None:
    attacked = 0
    for group in shown(delivered).values():
        hidden = [true for true, value in group if value is None]
        small = [true for true in hidden if 0 < true < BELOW]
        assert all(value is not None for true, value in group if not small or true == 0)
        assert not any(0 < true < BELOW and value is not None for true, value in group)
        if not small or len(hidden) == len(group):
            continue  # nothing hidden, or nothing shown that a total could be compared with
        attacked += 1
        # The attacker knows the group's total, the rule, and even how many of the hidden counts are small ones.
        total = sum(true for true, _ in group) - sum(value for _, value in group if value is not None)
        others = len(small) - 1
        large = len(hidden) - len(small)
        possible = [v for v in range(1, BELOW) if total - v >= others + large * BELOW]
        assert large >= 1 and possible == list(range(1, BELOW)), (hidden, total)
    assert attacked > 20


def test_open_data_and_the_other_marts_hide_the_same(
    delivered: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes longer than all else, and has the rows of the others.
    monkeypatch.setattr(publishing, "workbook_bytes", lambda _: b"")
    monkeypatch.setenv("KPI_PUBLICATION", str(tmp_path))
    settings.cache_clear()
    publish()
    rows = [
        row
        for row in pq.read_table(tmp_path / "latest/programme_value.parquet").to_pylist()
        if row["feed"] == FEED and row["measure_code"] == "participants"
    ]
    hidden = [row for row in rows if row["value_mark"] == "秘匿"]
    assert len(rows) == len(delivered) and hidden
    assert all(row["value"] is None and row["value_status_ja"] == "秘匿" for row in hidden)
    assert not any(row["value"] is not None and 0 < row["value"] < BELOW for row in rows)
    settings.cache_clear()


def test_bi_cannot_read_what_lies_behind(delivered: Cells) -> None:
    with connect("kpi_reader") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(f"select value from raw.{FEED}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("below: 10", "below: 1", "below：2 以上"),
        ("axis: activity_code", "axis: school", "axis：値を分けるキー列"),
        ("measures: [participants]", "measures: [people]", "measures：指標のコード"),
    ],
)
def test_a_slip_in_the_contract_is_told(tmp_path: Path, old: str, new: str, expected: str) -> None:
    contract = contract_of(FEED)
    assert file_source(contract).small_cells is not None
    path = tmp_path / contract.path.name
    path.write_text(contract.path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ContractError, match=expected):
        load_contract(path)
