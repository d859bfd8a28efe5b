"""Workbooks that are plain tables, and the stage after either way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import psycopg
import pytest
import workbook_files as files
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.comments import Comment
from openpyxl.styles import Font
from plain_reading import (
    AGES,
    AREAS,
    LONG,
    MEASURES,
    MONTHS,
    NAME,
    by_copy,
    by_engine,
    contract,
    long_rows,
    many,
)

from kpi_warehouse.contract import Contract, file_source
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.readers import (
    calamine_child,
    calamine_process,
    file_rows,
    plain_book,
    plain_copy,
    plain_text,
)
from kpi_warehouse.readers.layout import read_layout
from kpi_warehouse.readers.plain_block import NotPlain
from kpi_warehouse.readers.plain_book import PlainBook
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.workbook import OpenedWorkbook
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import open_load
from kpi_warehouse.warehouse.tables import create_stage


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
    "spoil",
    [
        "hidden_row",
        "hidden_column",
        "formula",
        "merged",
        "second_sheet",
        "error",
        "percent",
        "words",
        "struck",
        "comment",
    ],
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
            case "percent":
                sheet["E3"].number_format = "0.0%"
            case "words":
                sheet["E3"].number_format = '0"千人"'
            case "struck":
                sheet["A3"].font = Font(strike=True)
            case "comment":
                sheet["E3"].comment = Comment("速報値", "課")
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
    # Enough blocks for both connections; what only the last of them tells takes back what either wrote.
    monkeypatch.setattr(plain_text, "BLOCK", 1 << 10)
    monkeypatch.setattr(plain_book, "BLOCK", 32)
    engine: list[object] = []
    monkeypatch.setattr(file_rows, "read_layout", lambda *given: engine.append(given) or read_layout(*given))
    fast = staged(feed, load_id, body, name)
    assert fast == slow
    assert bool(engine) == bool(slow[1])
    assert bool(slow[0]) != bool(slow[1])
