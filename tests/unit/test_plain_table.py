"""A plain table goes by COPY: the same rows at the same places as the layout engine reads, or the engine reads it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import workbook_files as files
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from layout_books import layout

from kpi_warehouse.contract import Contract, file_source, load_contract
from kpi_warehouse.errors import GateRejected, UnreadableFile
from kpi_warehouse.readers import calamine_child, calamine_process, file_rows, plain_copy, plain_text
from kpi_warehouse.readers.layout import Reading, read_layout
from kpi_warehouse.readers.plain_block import NotPlain, Source
from kpi_warehouse.readers.plain_book import PlainBook
from kpi_warehouse.readers.plain_table import NULL, PlainTable, copy_field
from kpi_warehouse.readers.plain_text import PlainText
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.workbook import OpenedWorkbook
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import open_load
from kpi_warehouse.warehouse.tables import create_stage, stage_defaults

CONTRACT = load_contract(Path(__file__).parents[1] / "bench/contracts/resident_counts.odcs.yaml")
LONG = ["年月", "市町村", "年齢階級", "指標", "値"]
WIDE = """
tables:
  - name: wide
    year: calendar
    columns:
      - {heading: [年月], is: period, periodKind: 月}
      - {heading: [市町村], is: axis, column: area_code}
      - {heading: [年齢階級], is: axis, column: age_code}
      - {heading: [人口], is: value, measure: population, unit: 人, period: row}
      - {heading: [世帯], is: value, measure: households, unit: 世帯, period: row, blank: skip}
      - {heading: [状況], is: status, statuses: {実績: actual, 予定: planned}, optional: true}
      - {heading: [備考], is: note, optional: true}
      - {heading: [整理番号], is: ignored, reason: 課の控え, optional: true}
"""
ROW = tuple[str, ...]
NAME = "住民の数.csv"


def contract(made: str | None = None, form: str = "delimited") -> Contract:
    source = replace(file_source(CONTRACT), format=form)
    return replace(CONTRACT, source=replace(source, layout=layout(made)) if made else source)


def by_engine(feed: Contract, reading: Reading) -> list[ROW]:
    return sorted(_shown(feed, row) for row in file_rows._rows(feed, reading.rows))


def _shown(feed: Contract, row: Sequence[object]) -> ROW:
    at = feed.stage_columns.index("value")
    return tuple(_number(each) if number == at else copy_field(each) for number, each in enumerate(row))


def _number(value: object) -> str:
    return NULL if value in (None, NULL) else str(Decimal(str(value)).normalize())


def by_copy(feed: Contract, source: Source) -> list[ROW]:
    """What COPY would write; raises NotPlain."""
    table, rows = None, []
    for block in source.blocks():
        table = table or PlainTable(feed, source, block)
        for columns, buffer in table.lines(block):
            for line in bytes(buffer).decode().removesuffix("\n").split("\n"):
                said = stage_defaults(feed) | dict(zip(columns, line.split("\t"), strict=True))
                said["value"] = _number(said["value"])
                rows.append(tuple(said.get(name, NULL) for name in feed.stage_columns))
    assert table is not None
    table.finish()
    assert table.rows == len(rows)
    periods = [row[0] for row in rows] + [str(row.period) for row in table.odd]
    assert table.periods == (date.fromisoformat(min(periods)), date.fromisoformat(max(periods)))
    return sorted([*rows, *(_shown(feed, row) for row in file_rows._rows(feed, table.odd))])


def plain(body: bytes, feed: Contract) -> list[ROW]:
    source = file_source(feed)
    return by_copy(feed, PlainText(body, NAME, encoding=source.encoding, delimiter=source.delimiter))


def agrees(body: bytes, feed: Contract) -> bool:
    """Whether the plain way was taken; then it must have come to what the engine reads without a fault."""
    try:
        rows = plain(body, feed)
    except NotPlain:
        return False
    reading = file_rows.read_file(feed, body, NAME)
    assert not reading.faults and not reading.drift and not reading.checks
    assert rows == by_engine(feed, reading)
    return True


AREAS = ["熊本市", "熊本県八代市", "43203", "432041", "上益城郡御船町", "水俣市"]
AGES = ["0～4歳", "5～9歳", "a10", "100歳以上"]
MEASURES = ["人口総数", "世帯数", "出生数", "moved_in"]
MONTHS = ["令和6年5月", "2024-06", "R6.7", "２０２４年８月", "平成31年4月"]
NUMBERS = st.one_of(
    st.integers(-99_999, 10**12).map(str),
    st.decimals(-9999, 9999, places=2).map(str),
    st.sampled_from(["0", "007", "1.50", "-0.5"]),
)


@st.composite
def long_rows(draw: st.DrawFn) -> list[list[str]]:
    keys = [
        [month, area, age, measure]
        for month in MONTHS
        for area in AREAS
        for age in AGES
        for measure in MEASURES
    ]
    chosen = draw(st.lists(st.integers(0, len(keys) - 1), min_size=1, max_size=40, unique=True))
    return [[*keys[at], draw(NUMBERS)] for at in chosen]


@st.composite
def written(draw: st.DrawFn, rows: list[list[str]], heading: Sequence[str] = LONG) -> bytes:
    end, encoding = (
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.sampled_from(["cp932", "utf-8", "utf-8-sig"])),
    )
    delimiter, quoted = draw(st.sampled_from([",", "\t"])), draw(st.booleans())
    lines = [
        delimiter.join(f'"{cell}"' if quoted and at % 2 else cell for at, cell in enumerate(row))
        for row in [list(heading), *rows]
    ]
    return (end.join(lines) + draw(st.sampled_from(["", end]))).encode(encoding)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "BLOCK", 400)


def many(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@many(20)
@given(st.data())
def test_clean_rows_are_read_alike_and_by_copy(data: st.DataObject) -> None:
    assert agrees(data.draw(written(data.draw(long_rows()))), contract())


ODD_VALUES = ["▲12", "１２", "X", "-", "***", "12人", "12 ", "約30", "(5)", "1,234", "", " ", "abc", "12世帯", "1e5", "+3",
              "5\u3000", "X※1", "1.2.3", "0" * 16, "2024年5月", "計", "R6"]  # fmt: skip
ODD_LABELS = [
    "",
    " ",
    "全国",
    "東京都",
    "合計",
    "人口総数",
    "値",
    "年月",
    "※1",
    "熊本市※1",
    "ｸﾏﾓﾄ",
    "2024年13月",
    "x\ty",
]


@many(60)
@given(st.data())
def test_whatever_is_in_a_cell_both_ways_agree(data: st.DataObject) -> None:
    rows = data.draw(long_rows())
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.integers(0, len(rows) - 1))
        column = data.draw(st.sampled_from([4, 4, 4, 0, 1, 2, 3]))
        rows[row][column] = data.draw(st.sampled_from(ODD_VALUES if column == 4 else ODD_LABELS))
    agrees(data.draw(written(rows)), contract())


@pytest.mark.parametrize("value", ["▲12", "１２", "X", "12人", "約30", "1,234"])
def test_values_that_say_more_are_read_by_the_engine_within_the_plain_way(value: str) -> None:
    rows = [
        ["令和6年5月", "熊本市", "0～4歳", "人口総数", "5"],
        ["令和6年6月", "熊本市", "0～4歳", "人口総数", f'"{value}"'],
    ]
    assert agrees("\n".join(map(",".join, [LONG, *rows])).encode("cp932"), contract())


LINES = [
    "", ",,,,", "令和6年5月,熊本市", "令和6年9月,熊本市,0～4歳,世帯数,5,6", "※1 注", "出典：県", '"令和6年9月,熊本市,0～4歳,世帯数,5',
    '令和6年9月,熊"本市,0～4歳,世帯数,5', '"令和6年\n9月",熊本市,0～4歳,世帯数,5', "令和6年9月,熊本市,0～4歳,世帯数,5\x00",
    "年月,市町村,年齢階級,指標,値", "令和6年9月,熊本市,0～4歳,世帯数,5\r6", "\x1a", "令和6年5月,熊本市,0～4歳,人口総数,1",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("where", [1, 5, 8])
@pytest.mark.parametrize("encoding", ["cp932", "utf-8"])
def test_a_line_that_is_no_row_is_left_to_the_engine(line: str, where: int, encoding: str) -> None:
    rows = [f"令和6年5月,熊本市,{age},{measure},1" for age in AGES[:2] for measure in MEASURES]
    lines = [",".join(LONG), *rows]
    lines.insert(where, line)
    assert not agrees("\n".join(lines).encode(encoding), contract())


@pytest.mark.parametrize(
    "heading",
    ["年月,市町村,年齢階級,指標", "年月,市町村,年齢階級,指標,値,新しい列", "年月,市町村,年齢階級,指標,数",
     "住民の数,,,,", "年月,市町村,年齢階級,指標,指標", "sep=,"],
)  # fmt: skip
def test_another_heading_is_left_to_the_engine(heading: str) -> None:
    body = f"{heading}\n令和6年5月,熊本市,0～4歳,人口総数,1\n令和6年6月,熊本市,0～4歳,人口総数,1\n"
    assert not agrees(body.encode("cp932"), contract())


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-16", None), ("euc_jp", None), ("utf-8", "cp932"), ("cp932", "utf-8"), ("iso2022_jp", None)],
)
def test_another_encoding_is_left_to_the_engine(encoding: str, declared: str | None) -> None:
    feed = contract()
    feed = replace(feed, source=replace(file_source(feed), encoding=declared))
    body = f"{','.join(LONG)}\n令和6年5月,熊本市,0～4歳,人口総数,1\n".replace("～", "-").encode(encoding)
    with pytest.raises(NotPlain):
        plain(body, feed)


def test_bytes_of_no_character_are_found_wherever_they_stand() -> None:
    lines = [
        ",".join(LONG),
        *(f"令和6年5月,熊本市,{age},{measure},1" for age in AGES for measure in MEASURES),
    ]
    good = "\r\n".join(lines).encode("cp932")
    assert agrees(good, contract())
    for at in range(0, len(good), 7):
        spoilt = good[:at] + b"\xfd" + good[at:]
        with pytest.raises(NotPlain):
            plain(spoilt, contract())
        with pytest.raises(UnreadableFile):
            file_rows.read_file(contract(), spoilt, NAME)


@st.composite
def wide_rows(draw: st.DrawFn) -> list[list[Any]]:
    keys = [[month, area, age] for month in MONTHS for area in AREAS for age in AGES]
    chosen = draw(st.lists(st.integers(0, len(keys) - 1), min_size=1, max_size=25, unique=True))
    return [
        [
            *keys[at],
            draw(NUMBERS),
            draw(st.one_of(NUMBERS, st.just(""))),
            draw(st.sampled_from(["実績", "予定", ""])),
            draw(st.sampled_from(["", "再集計", "速報 による"])),
            str(draw(st.integers(0, 99))),
        ]
        for at in chosen
    ]


WIDE_HEADING = ["年月", "市町村", "年齢階級", "人口", "世帯", "状況", "備考", "整理番号"]


@many(20)
@given(st.data())
def test_several_values_a_row_with_status_note_and_a_column_nobody_loads(data: st.DataObject) -> None:
    assert agrees(data.draw(written(data.draw(wide_rows()), WIDE_HEADING)), contract(WIDE))


@many(30)
@given(st.data())
def test_several_values_a_row_whatever_is_in_a_cell(data: st.DataObject) -> None:
    rows = data.draw(wide_rows())
    column = data.draw(st.sampled_from([3, 4, 5, 6, 7]))
    rows[data.draw(st.integers(0, len(rows) - 1))][column] = data.draw(
        st.sampled_from(ODD_VALUES + ODD_LABELS)
    )
    agrees(data.draw(written(rows, WIDE_HEADING)), contract(WIDE))


# -- workbooks


def opened(rows: Sequence[Sequence[Any]]) -> OpenedWorkbook:
    """A workbook as calamine would have given it."""
    columns = [calamine_child.column(cells) for cells in zip(*rows[1:], strict=True)]
    sheet = calamine_process._sheet("表", False, list(rows[0]), columns, len(rows) - 1, [])
    return OpenedWorkbook("xlsx", [sheet], {"表": SheetMarks()}, {})


def agrees_in_a_workbook(rows: Sequence[Sequence[Any]], feed: Contract) -> bool:
    workbook = opened(rows)
    try:
        copied = by_copy(feed, PlainBook(workbook))
    except NotPlain:
        return False
    reading = read_layout(workbook.book(), file_source(feed).layout, feed.columns)
    assert not reading.faults and not reading.drift and not reading.checks
    assert copied == by_engine(feed, reading)
    return True


NATIVE = st.one_of(
    st.integers(-(10**15), 10**15).map(float),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.1 + 0.2, -0.0, 1e-7, 1e16]),
)
CELLS = st.one_of(
    NATIVE,
    st.sampled_from(
        ["12", "▲3", "X", "", "abc", "12人", True, date(2024, 5, 1), 43100.0, "計", float("nan")]
    ),
)


@many(40)
@given(st.data())
def test_workbooks_are_read_alike(data: st.DataObject) -> None:
    rows: list[list[Any]] = [[*row[:4], data.draw(NATIVE)] for row in data.draw(long_rows())]
    assert agrees_in_a_workbook([LONG, *rows], contract(form="workbook"))
    for _ in range(data.draw(st.integers(1, 3))):
        row, column = (
            data.draw(st.integers(0, len(rows) - 1)),
            data.draw(st.sampled_from([0, 1, 2, 3, 4, 4, 4])),
        )
        rows[row][column] = data.draw(CELLS)
    agrees_in_a_workbook([LONG, *rows], contract(form="workbook"))


@pytest.mark.parametrize(
    "spoil", ["hidden_row", "hidden_column", "formula", "merged", "second_sheet", "error"]
)
def test_a_sheet_with_more_than_values_is_left_to_the_engine(spoil: str) -> None:
    def fill(sheet: Any) -> None:
        for row in [LONG, *(["令和6年5月", "熊本市", age, "人口総数", 7] for age in AGES)]:
            sheet.append(row)
        match spoil:
            case "hidden_row":
                sheet.row_dimensions[3].hidden = True
            case "hidden_column":
                sheet.column_dimensions["E"].hidden = True
            case "formula":
                sheet["E3"] = "=1+1"
            case "merged":
                sheet.merge_cells("A2:A3")
            case "second_sheet":
                sheet.parent.create_sheet("控え")["A1"] = "古い値"
            case "error":
                sheet["E3"] = "#N/A"
            case _:
                pass

    from kpi_warehouse.readers.workbook import open_workbook

    with pytest.raises(NotPlain):
        by_copy(contract(form="workbook"), PlainBook(open_workbook(files.xlsx(fill), "表.xlsx")))
    spoil = ""
    assert by_copy(contract(form="workbook"), PlainBook(open_workbook(files.xlsx(fill), "表.xlsx")))


# -- the stage


def staged(feed: Contract, load_id: int, body: bytes, name: str) -> tuple[list[Any], list[Any], str]:
    """Rows of the stage, faults, and what was said."""
    with connect() as connection:
        create_stage(connection, feed, load_id)
        connection.commit()
        said = ""
        try:
            said = str(file_rows.stage_file(connection, feed, load_id, body, name))
        except (GateRejected, psycopg.DataError) as error:
            said = f"{type(error).__name__}: {error}"
            connection.rollback()
        names = ", ".join(feed.stage_columns)
        rows = connection.execute(
            f"select {names} from stage.{feed.feed}_{load_id} order by source_cell"
        ).fetchall()  # type: ignore[arg-type]
        faults = connection.execute("select * from ops.cell_fault order by position").fetchall()
    return rows, faults, said


def bodies() -> dict[str, tuple[bytes, str]]:
    number = random.Random(1)
    rows = [
        [month, area, age, measure, str(number.randrange(1000))]
        for month in MONTHS for area in AREAS for age in AGES for measure in MEASURES
    ]  # fmt: skip
    rows[77][4], rows[78][4] = "▲5", "X"

    def text(changed: list[list[str]]) -> bytes:
        return "\r\n".join(map(",".join, [LONG, *changed])).encode("cp932")

    def sheet(page: Any) -> None:
        for row in [LONG, *([*each[:4], float(each[4]) if each[4].isdigit() else each[4]] for each in rows)]:
            page.append(row)

    unknown, twice = [list(row) for row in rows], [*rows, rows[3]]
    unknown[200][1] = "東京都"
    return {
        "good": (text(rows), NAME),
        "an unknown label": (text(unknown), NAME),
        "a key that comes twice": (text(twice), NAME),
        "workbook": (files.xlsx(sheet), "住民の数.xlsx"),
    }


@pytest.mark.parametrize("what", ["good", "an unknown label", "a key that comes twice", "workbook"])
def test_the_stage_holds_the_same_by_either_way(
    warehouse: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    body, name = bodies()[what]
    feed = contract(form="workbook" if what == "workbook" else "delimited")
    load_id = open_load(feed, period=None, trigger="test", run_ref=None, forced=False)
    slow = staged(feed, load_id, body, name)
    monkeypatch.setattr(plain_copy, "LARGE", {"delimited": 1, "workbook": 1})
    engine: list[object] = []
    monkeypatch.setattr(file_rows, "read_layout", lambda *given: engine.append(given) or read_layout(*given))
    fast = staged(feed, load_id, body, name)
    assert fast == slow
    assert bool(engine) == bool(slow[1])
    assert bool(slow[0]) != bool(slow[1])
