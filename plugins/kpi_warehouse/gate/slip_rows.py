"""The rows of a delivery that hold faults, for files that cannot come back as themselves (delimited text, JSON, xls)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import Any

from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from kpi_warehouse.gate.slip_sheet import (
    FRAME,
    HEADING,
    RED,
    SlipCell,
    add_comment,
    display_width,
    print_on_a4,
    write_text,
)
from kpi_warehouse.readers.grid import Book, Sheet

COORDINATE = re.compile(r"\$?([A-Z]{1,3})\$?([1-9]\d{0,6})")
_LINE_PLACE = re.compile(r"行(\d{1,9})(?::(\d{1,6}))?")
_RECORD_PLACE = re.compile(r"/(?:.*/)?(\d{1,9})(?:/([^/]*))?")
_ROWS_SHOWN, _COLUMNS_SHOWN = 500, 60
_FIRST_LINES = 3
_CONTEXT = PatternFill("solid", start_color="FFF2F2F2", end_color="FFF2F2F2")
_WIDEST = 40.0


def line_and_column(place: str) -> tuple[str, str]:
    """`行12:4` → 12, 4; `/records/0/name` → 1 件目, name; `移住!C5` → 移住 5 行, C; else the place itself."""
    if match := _LINE_PLACE.fullmatch(place):
        return match[1], match[2] or ""
    if match := _RECORD_PLACE.fullmatch(place):
        return f"{int(match[1]) + 1} 件目", match[2] or ""
    sheet, _, coordinate = place.rpartition("!")
    if match := COORDINATE.fullmatch(coordinate):
        return f"{sheet} {match[2]} 行".strip(), match[1]
    return place, ""


def add_failing_rows(workbook: Any, book: Book, faults: Sequence[SlipCell]) -> None:
    """A sheet 該当行 with each row that holds a fault, whole, the offending cells red; none when no row is found.

    The first lines of the same table of the file stand above, grey, since headings are among them. At most 500 rows with
    faults and 60 columns are shown.
    """
    of_place: dict[str, list[SlipCell]] = {}
    faulty: dict[tuple[int, int], None] = {}
    for fault in faults:
        of_place.setdefault(fault.place, []).append(fault)
        if len(faulty) < _ROWS_SHOWN and (at := _row_of(book, fault.place)):
            faulty[at] = None
    if not faulty:
        return
    first_lines = {
        (sheet, row)
        for sheet in {sheet for sheet, _ in faulty}
        for row, cells in enumerate(book.sheets[sheet].rows[:_FIRST_LINES])
        # The fields of a record are named at the head of their columns.
        if cells and not cells[0].place.startswith("/")
    }
    page: Worksheet = workbook.create_sheet("該当行")
    shown = [(at, book.sheets[at[0]].rows[at[1]][:_COLUMNS_SHOWN]) for at in sorted({*faulty, *first_lines})]
    columns = max(len(cells) for _, cells in shown)
    widest = next(cells for at, cells in reversed(shown) if at in faulty)
    headings = ["行番号", *(_column_name(cell.place) for cell in widest)]
    widths: dict[int, float] = {1: 14.0}
    for column in range(1, columns + 2):
        cell = page.cell(1, column)
        assert isinstance(cell, Cell)
        write_text(cell, headings[column - 1] if column <= len(headings) else "")
        cell.font, cell.fill, cell.border = Font(bold=True), HEADING, FRAME
    for line, (at, cells) in enumerate(shown, start=2):
        texts = [line_and_column(cells[0].place)[0], *(cell.text for cell in cells)] if cells else [""]
        for column in range(1, columns + 2):
            text = texts[column - 1] if column <= len(texts) else ""
            cell = page.cell(line, column)
            assert isinstance(cell, Cell)
            write_text(cell, text)
            cell.border = FRAME
            cell.alignment = Alignment(vertical="top", wrap_text=True)
            widths[column] = min(_WIDEST, max(widths.get(column, 8.0), 2.0 + display_width(text)))
            own = of_place.get(cells[column - 2].place) if 1 < column <= len(texts) else None
            if own:
                cell.fill = RED
                add_comment(cell, own)
            elif at not in faulty:
                cell.fill = _CONTEXT
    for column, width in widths.items():
        page.column_dimensions[get_column_letter(column)].width = width
    page.freeze_panes = "B2"
    print_on_a4(page, 1)


def _column_name(place: str) -> str:
    name = line_and_column(place)[1]
    return f"{name} 列目" if name.isdecimal() else name


def _row_of(book: Book, place: str) -> tuple[int, int] | None:
    """Sheet and row of a place, 0-based; None when the book has no such row."""
    sheet_name, _, coordinate = place.rpartition("!")
    for index, sheet in enumerate(book.sheets):
        if match := _LINE_PLACE.fullmatch(place):
            # A line break inside quotes makes line numbers run ahead of rows.
            guesses = [bisect_left(range(len(sheet.rows)), int(match[1]), key=partial(_line, sheet))]
        elif match := _RECORD_PLACE.fullmatch(place):
            guesses = [int(match[1]) + 1, int(match[1])]
        elif (match := COORDINATE.fullmatch(coordinate)) and sheet_name in ("", sheet.name):
            guesses = [int(match[2]) - 1]
        else:
            continue
        row = next((row for row in guesses if _holds(sheet, row, place)), None)
        if row is not None:
            return index, row
    return None


def _line(sheet: Sheet, row: int) -> int:
    match = _LINE_PLACE.fullmatch(sheet.rows[row][0].place)
    return int(match[1]) if match else 0


def _holds(sheet: Sheet, row: int, place: str) -> bool:
    inside = (f"{place}:", f"{place}/")
    return 0 <= row < len(sheet.rows) and any(
        cell.place == place or cell.place.startswith(inside) for cell in sheet.rows[row]
    )
