"""The table of a sample file, found by its shape: headings above rows that hold numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.numbers import read_numbers
from kpi_warehouse.japanese.periods import Period, read_period
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.readers.grid import Book, Cell, Sheet
from kpi_warehouse.readers.layout_headers import Heading, headings_of

TOTALS = {"計", "合計", "小計", "総計", "総数"}
HEADER_ROWS = 4


_SOME_YEAR = Period(date(2000, 4, 1), date(2001, 3, 31), "年度", None, None, "")


@dataclass
class Found:
    """The table of the sample, and what the draft says of it so far."""

    sheet: Sheet
    headings: list[Heading]
    rows: list[list[Cell]]
    top: int
    bottom: int
    columns: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    measures: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)


def find_table(book: Book) -> Found:
    """The first table of the book: rows with numbers under a row of headings.

    Raises:
        KpiError: there is none.
    """
    for sheet in book.sheets:
        if sheet.hidden:
            continue
        for figures in range(1, len(sheet.rows)):
            if not _has_figures(sheet.rows[figures]) or _has_figures(sheet.rows[figures - 1]):
                continue
            top = figures
            while top and _filled(sheet, top - 1) >= 2:
                top -= 1
            if top == figures:
                continue
            # Rows that are not filled in yet may stand between one row of headings and the first figure.
            at = figures if figures - top <= HEADER_ROWS else top + 1
            bottom = at
            while bottom + 1 < len(sheet.rows) and _filled(sheet, bottom + 1):
                bottom += 1
            rows = [sheet.rows[each] for each in range(at, bottom + 1)]
            # Notes right under a table are no rows of it.
            while (
                rows and not _has_figures(rows[-1]) and sum(cell.value is not None for cell in rows[-1]) == 1
            ):
                rows.pop()
                bottom -= 1
            return Found(sheet, headings_of(sheet, top, at - 1, spread=False), rows, top, bottom)
    raise KpiError("見本に表が見つかりません（見出しの行の下に、数値のある行が要ります）。", "draft.no_table")


def _filled(sheet: Sheet, at: int) -> int:
    return sum(cell.value is not None or cell.merged_from is not None for cell in sheet.rows[at])


def _has_figures(row: list[Cell]) -> bool:
    figures = [cell for cell in row if is_figure(cell)]
    years = all(isinstance(cell.value, int | float) and 1950 <= cell.value <= 2100 for cell in figures)
    return bool(figures) and not (years and len(figures) > 1)


def is_figure(cell: Cell) -> bool:
    """Whether a cell holds a number, however it is written, and no period."""
    if isinstance(cell.value, bool) or cell.value is None:
        return False
    return not isinstance(cell.value, str) or (not is_period(cell.text) and _reads(read_numbers, cell.text))


def is_period(text: str) -> bool:
    """Whether a text reads as a period, a month without its year too."""
    return kind_of(text) is not None


def kind_of(*parts: str) -> str | None:
    """Kind of the period that the lowest of these parts says: 令和6年度 over 5月 is a 月. None where none is a period."""
    for part in reversed(parts):
        try:
            return read_period(part, year="fiscal", base=_SOME_YEAR).kind
        except Unreadable:
            continue
    return None


def _reads(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except Unreadable:
        return False
    return True


def has_gaps(found: Found) -> bool:
    """Whether a column of figures has cells without any."""
    columns = [
        [row[heading.column].value for row in found.rows if label_of(row) not in TOTALS]
        for heading in found.headings
        if any(is_figure(row[heading.column]) for row in found.rows)
    ]
    return any(value is None for column in columns for value in column)


def label_of(row: list[Cell]) -> str:
    """The first text of a row, folded; empty when it has none."""
    return next((fold(cell.text) for cell in row if isinstance(cell.value, str)), "")
