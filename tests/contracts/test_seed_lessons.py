"""What the reader and the gate make of the demo files, which are the seed's own numbers (docs/gates.md)."""

from __future__ import annotations

import io
import re
import unicodedata
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook

from demo.inbox_files.__main__ import FILES, INBOX
from kpi_warehouse.contract import Contract, FileSource, contracts, file_source
from kpi_warehouse.gate.rules import named_rule, rule_query
from kpi_warehouse.japanese.periods import fiscal_year
from kpi_warehouse.readers.file_rows import read_file
from kpi_warehouse.readers.layout import Reading
from kpi_warehouse.settings import settings

BRIEFING = "移住定住の状況（R6.9月末）.xlsx"
CORRECTED = "corrected/移住定住の状況（R6.9月末）（訂正）.xlsx"
HOUSES = "空家対策総合支援事業の実績（R6）.xlsx"
EVENTS = "移住相談会等の実施状況（R6）.xlsx"
EXPO = "くまもと産業復興エキスポ.xlsx"
SCHOOLS = "私立学校経常費補助の実績.xlsx"
PROGRESS = "進捗管理シート（R6.10月末）.xlsx"
Cells = dict[str, str | int | None]


def contract_of(name: str) -> Contract:
    folded = unicodedata.normalize("NFKC", Path(name).name)
    feeds = [feed for feed in contracts(settings().contracts) if isinstance(feed.source, FileSource)]
    return next(
        feed for feed in feeds if any(fnmatchcase(folded, each) for each in file_source(feed).file_names)
    )


def reading(name: str, cells: Cells | None = None) -> Reading:
    """A demo file read under its contract, with some cells of its first sheet written over."""
    body = (INBOX / name).read_bytes()
    if cells:
        book = load_workbook(io.BytesIO(body))
        for place, content in cells.items():
            book.worksheets[0][place] = content
        changed = io.BytesIO()
        book.save(changed)
        body = changed.getvalue()
    return read_file(contract_of(name), body, Path(name).name)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_demo_file_is_read_without_a_fault(name: str) -> None:
    found = reading(name)
    assert (found.faults, found.drift) == ([], [])
    assert found.rows


@pytest.mark.parametrize(
    ("name", "cells", "place", "code"),
    [
        pytest.param(BRIEFING, {"D8": None}, "D8", "blank", id="I03 eight values for nine months"),
        pytest.param(BRIEFING, {"E6": "3月"}, "E6", "duplicate_heading", id="I06 a month twice, one lost"),
        pytest.param(BRIEFING, {"M22": "7,000"}, "M22", "stray_cell", id="I07 tick of an axis"),
        pytest.param(HOUSES, {"C13": 19}, "C13", "stray_cell", id="I08 page number"),
        pytest.param(HOUSES, {"A2": "（知事公室）"}, "A2", "stray_cell", id="I24 label left lying"),
        pytest.param(HOUSES, {"G5": "78世帯"}, "G5", "unit", id="I29 another unit"),
        pytest.param(HOUSES, {"G8": "？"}, "G8", "unreadable_number", id="I30 unknown mark"),
        pytest.param(
            EVENTS, {"B7": "R6.10.2（火）～22（火）"}, "B7", "unreadable_period", id="I35 wrong weekday"
        ),
    ],
)
def test_the_reader_refuses(name: str, cells: Cells, place: str, code: str) -> None:
    faults = {(fault.place.partition("!")[2], fault.code) for fault in reading(name, cells).faults}
    assert (place, code) in faults


def test_columns_in_another_order_say_the_same() -> None:
    turned = reading(SCHOOLS, {"B3": "R3年度", "D3": "R5年度", "B4": "12校", "D4": "10校"})
    values = [
        {(row.period, row.measure_code, row.value) for row in each.rows}
        for each in (reading(SCHOOLS), turned)
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("name", "cells", "place", "said"),
    [
        pytest.param(HOUSES, {"D5": "１９人"}, "D5", (19, "人", None, None), id="I25"),
        pytest.param(HOUSES, {}, "G8", (None, "人", None, "※"), id="I30"),
        pytest.param(HOUSES, {"A8": "空き家バンク登録のための調査等"}, "F8", (173, "人", None, None), id="I31"),
        pytest.param(EVENTS, {}, "E5", (Decimal("1.2"), "倍", "約", None), id="I28"),
        pytest.param(PROGRESS, {"F15": "1,000 万ｍ３", "G15": "R9年度"}, "F15", (1000, "万㎥", None, None), id="I26 I27"),
    ],
)  # fmt: skip
def test_the_reader_understands(name: str, cells: Cells, place: str, said: tuple[Any, ...]) -> None:
    row = next(row for row in reading(name, cells).rows if row.source_cell.partition("!")[2] == place)
    assert (row.value, row.unit, row.qualifier, row.value_mark) == said


def test_the_expo_of_february_is_of_the_fiscal_year_before() -> None:
    assert {fiscal_year(row.period) for row in reading(EXPO).rows} == {2023}


class Gate:
    """The contract's rules over a reading, on tables of their own; nothing accepted before."""

    def __init__(self, url: str) -> None:
        self.url = url

    def broken(self, contract: Contract, found: Reading) -> dict[str, tuple[str, int]]:
        """Rule → severity and number of rows it finds."""
        names = [column.name for column in contract.columns]
        with psycopg.connect(self.url) as connection:
            columns = ", ".join(f"{column.name} {column.sql_type}" for column in contract.columns)
            connection.execute(f"create temp table batch ({columns})")
            connection.execute("create temp table checks (place text, stated numeric, computed numeric)")
            for row in found.rows:
                said = {**row._asdict(), **row.axes}
                marks = ", ".join(["%s"] * len(names))
                connection.execute(f"insert into batch values ({marks})", [said[name] for name in names])
            values = {row.source_cell: row.value for row in found.rows}
            for check in found.checks:
                computed = sum(values[place] or 0 for place in check.members)
                connection.execute(
                    "insert into checks values (%s, %s, %s)", (check.place, check.stated, computed)
                )
            broken = {}
            for rule in contract.rules:
                named = named_rule(contract, rule)
                views = named.views(contract) if named else {}
                made = [f"{name} as ({self._resolved(query, views)})" for name, query in views.items()]
                sql = self._resolved(rule_query(contract, rule), views)
                sql = f"with {', '.join(made)} select * from ({sql}) as q" if made else sql
                count = len(connection.execute(sql).fetchall())
                if count:
                    broken[rule.name] = (rule.severity, count)
            connection.rollback()
        return broken

    def _resolved(self, query: str, views: dict[str, str]) -> str:
        """A query with tables in the place of its placeholders; the whole delivery has changed."""
        return re.sub(
            r"\{([a-z_0-9:]+)\}",
            lambda found: (
                {"staged": "batch", **{view: view for view in views}}.get(found[1]) or self._table(found)
            ),
            query,
        )

    @staticmethod
    def _table(placeholder: re.Match[str]) -> str:
        """Nothing was accepted before: history and other feeds are empty."""
        name, _, feed = placeholder[1].partition(":")
        if feed:
            columns = [
                column
                for each in contracts(settings().contracts)
                if each.feed == feed
                for column in each.columns
            ]
            empty = ", ".join(f"null::{column.sql_type} as {column.name}" for column in columns)
            return f"(select {empty} where false)"
        return "(select * from batch where false)" if name == "history" else name


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        pytest.param(
            BRIEFING,
            {},
            {"totals_hold": "critical", "like_the_other_months": "warning", "unit_slip": "critical"},
            id="I01 I02",
        ),
        pytest.param(CORRECTED, {}, {}, id="C05 the corrected file"),
        pytest.param(HOUSES, {}, {"increase_is_explained_by_new_towns": "warning"}, id="I16"),
        pytest.param(
            HOUSES,
            {"G5": "78人", "G6": "46市町村", "A11": None},
            {
                "coming_year_is_planned": "warning",
                "increase_is_explained_by_new_towns": "warning",
                "mark_has_its_footnote": "critical",
                "municipalities_at_most_45": "critical",
            },
            id="I11 I29 I30",
        ),
        pytest.param("UIJターン・奨学金返還等支援実績（R6.10月末）.csv", {}, {}, id="C35"),
        pytest.param("プロ人材マッチング成約件数.csv", {}, {}, id="C36"),
        pytest.param("http/line_subscribers.json", {}, {}, id="F04"),
        pytest.param(EVENTS, {}, {}, id="F05"),
        pytest.param(
            EVENTS,
            {"D5": "427組264名"},
            {"groups_within_people": "critical"},
            id="I29 組 and 名 changed places",
        ),
        pytest.param(
            "インターンシップ実施率.xlsx",
            {},
            {"target_has_its_year": "critical", "year_is_known": "warning", "one_definition": "warning"},
            id="I05 I20 I21 C45",
        ),
        pytest.param("県立高校半導体関連人材育成事業.xlsx", {}, {"year_is_known": "warning"}, id="C42"),
        pytest.param(
            "県立高校半導体関連人材育成事業.xlsx",
            {"D8": 205},
            {"totals_hold": "critical", "year_is_known": "warning"},
            id="I01 in a breakdown",
        ),
        pytest.param("伴走型支援の実績.csv", {}, {}, id="F13"),
        pytest.param(SCHOOLS, {}, {"grant_has_its_year": "warning"}, id="I15 I33"),
        pytest.param(EXPO, {}, {}, id="C47 C48"),
        pytest.param(EXPO, {"E5": "２３，１９０人"}, {"subset_within_whole": "critical"}, id="C48 broken"),
        pytest.param(PROGRESS, {}, {}, id="D08"),
        pytest.param(
            PROGRESS, {"F17": "△1,624", "G17": "令和5年", "H17": "実績"}, {}, id="I10 I14 K12 as it should be"
        ),
        pytest.param(
            PROGRESS,
            {"F17": "▲2,186", "G17": "R5年度", "H17": "実績"},
            {"period_fits_the_kind": "critical"},
            id="I14",
        ),
        pytest.param(
            PROGRESS,
            {"D14": "車線", "F14": 4, "G14": "R6年度", "H14": "実績"},
            {"unit_of_the_catalogue": "critical", "two_measures_in_one_name": "warning"},
            id="I17",
        ),
        pytest.param(
            PROGRESS,
            {"D15": "万m3", "F15": 900, "G15": "R6年度", "H15": "実績"},
            {"accumulation_is_decided": "warning"},
            id="I18 I27",
        ),
        pytest.param(
            PROGRESS,
            {"F9": 2075, "G9": "R6年度", "H9": "実績"},
            {"period_fits_the_kind": "critical"},
            id="I19",
        ),
        pytest.param(
            PROGRESS,
            {"F11": 300, "G11": "R6年度（10月末現在）", "H11": "実績"},
            {"open_year_is_not_final": "critical"},
            id="I11 a part that claims to be final",
        ),
    ],
)
def test_the_gate_says(warehouse: str, name: str, cells: Cells, expected: dict[str, str]) -> None:
    found = reading(name, cells)
    assert found.faults == []
    broken = Gate(warehouse).broken(contract_of(name), found)
    assert {rule: severity for rule, (severity, _) in broken.items() if severity != "info"} == expected


@pytest.mark.parametrize("name", [HOUSES, "UIJターン・奨学金返還等支援実績（R6.10月末）.csv"])
def test_small_counts_are_recorded_and_pass(warehouse: str, name: str) -> None:
    """I34: of the whole prefecture they may be published."""
    broken = Gate(warehouse).broken(contract_of(name), reading(name, {}))
    severity, rows = broken["small_cells"]
    assert severity == "info" and rows
