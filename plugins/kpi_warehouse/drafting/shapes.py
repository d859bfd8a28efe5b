"""The tables of a sheet, found by their shape: rows that hold figures, below rows of headings.

What a cell is (figure, mark, period, text) is asked of it alone; a row of years is no row of figures. Nothing is decided here
that the trial could not show to be wrong: a block may be found with one row of headings too many or too few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from kpi_warehouse.drafting.texts import (
    FIGURE,
    MARK,
    PERIOD,
    TEXT,
    UNIT_LINE,
    is_yearish,
    kind_of,
)
from kpi_warehouse.readers.grid import Cell, Sheet

HEADER_ROWS = 4
# Blank rows that may stand between a row of headings and the first figure, and within a table.
GAP_ROWS = 4
MOST_ROWS = 10_000
SECTION_ROWS, SECTION_TEXT = 2, 20


@dataclass
class Block:
    """A table of a sheet: header rows `top`…`bottom` and body rows `first`…`last`, 0-based and inclusive.

    Args:
        caption: the line above that tells it from its neighbours; None where there is none.
    """

    sheet: Sheet
    number: int
    top: int
    bottom: int
    first: int
    last: int
    caption: tuple[int, int] | None = None
    rows: list[int] = field(default_factory=list)
    columns: list[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def gaps(self) -> bool:
        """Whether blank rows stand within the body."""
        return self.first > self.bottom + 1 or len(self.rows) < self.last - self.first + 1

    def cells(self, column: int) -> list[Cell]:
        """The cells of a column that stand in body rows."""
        return [self.sheet.rows[at][column] for at in self.rows]


class Shape:
    """A sheet as it looks: the kind of each cell of its first rows, which show how it is built."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.count = min(len(sheet.rows), MOST_ROWS)
        self.kinds = [[kind_of(cell) for cell in sheet.rows[at]] for at in range(self.count)]

    def blank(self, at: int) -> bool:
        """Whether nothing stands in a row."""
        return not any(self.kinds[at])

    def filled(self, at: int) -> list[int]:
        """Columns with something in them, merged areas too."""
        return [
            column
            for column, cell in enumerate(self.sheet.rows[at])
            if self.kinds[at][column] or cell.merged_from is not None
        ]

    def is_body(self, at: int) -> bool:
        """Whether a row holds figures, and not only years."""
        row, kinds = self.sheet.rows[at], self.kinds[at]
        figures = [column for column, kind in enumerate(kinds) if kind == FIGURE]
        if not figures:
            # A row of marks and labels alone: not filled in yet, or nothing to report.
            return any(kind == MARK for kind in kinds) and any(kind in (TEXT, PERIOD) for kind in kinds)
        years = [column for column in figures if is_yearish(row[column])]
        if len(years) < len(figures):
            return not any(UNIT_LINE.search(row[column].text) for column in figures)
        if len(years) == 1:
            return not any(kinds[column] == PERIOD for column in range(len(kinds)) if column != years[0])
        return not _orderly([int(float(row[column].text)) for column in years])

    def blocks(self, number: int) -> Iterator[Block]:
        """The tables from top to bottom."""
        at, above = 0, -1
        while at < self.count:
            if not self.is_body(at):
                at += 1
                continue
            last, rows = self._body(at)
            header = self._header(at, above)
            if header is not None:
                top, bottom, first = header
                rows = [*range(first, at), *rows] if first <= bottom + 1 and first < at else rows
                block = Block(self.sheet, number, top, bottom, min(first, at), last, None, rows)
                block.caption = self._caption(block.top, above)
                yield block
            above = last
            at = last + 1

    def _body(self, first: int) -> tuple[int, list[int]]:
        """Last body row, and all of them: until a gap, or a row that looks like the next headings."""
        figures = {column for column, kind in enumerate(self.kinds[first]) if kind in (FIGURE, MARK)}
        rows, last, gap = [first], first, 0
        waiting: list[int] = []
        for at in range(first + 1, self.count):
            if self.blank(at):
                gap += 1
                waiting = [] if gap > GAP_ROWS else waiting
                if gap > GAP_ROWS:
                    break
                continue
            if self.is_body(at):
                here = {column for column, kind in enumerate(self.kinds[at]) if kind in (FIGURE, MARK)}
                if not here & figures and sum(map(bool, self.kinds[at])) < 2:
                    break  # a page number
                rows.extend([*waiting, at])
                figures |= here
                last, gap, waiting = at, 0, []
                continue
            if (gap or waiting) and self._looks_like_headings(at, figures):
                break
            waiting.append(at)
            if gap == 0 and sum(map(bool, self.kinds[at])) >= 2:
                # A row that says something and has no figure yet.
                rows.extend(waiting)
                last, waiting = at, []
        return last, rows

    def _looks_like_headings(self, at: int, figures: set[int]) -> bool:
        """Whether a row behind a gap names columns: several words, one of them over figures, and nothing else."""
        filled = [column for column, kind in enumerate(self.kinds[at]) if kind]
        words = all(self.kinds[at][column] in (TEXT, PERIOD, FIGURE) for column in filled)
        return words and len(filled) >= 2 and not figures.isdisjoint(filled)

    def _header(self, first: int, above: int) -> tuple[int, int, int] | None:
        """Header rows above the first row of figures, and the first body row; None where there are none."""
        bottom = first - 1
        while (
            bottom > above and self.blank(bottom) and first - bottom <= GAP_ROWS and not self._merged(bottom)
        ):
            bottom -= 1
        if bottom <= above or (self.blank(bottom) and not self._merged(bottom)):
            return None
        # Lines like 県内 or 令和5年度 alone above the first rows that they are for.
        sections = 0
        while sections < SECTION_ROWS and bottom - 1 > above and self.is_section(bottom):
            bottom -= 1
            sections += 1
        first = bottom + 1 if sections else first
        top = bottom + 1
        while top - 1 > above and self._may_be_header(top - 1):
            top -= 1
        if top > bottom:
            return None
        if bottom - top >= HEADER_ROWS:
            # Rows that are not filled in yet stand between one row of headings and the first figure.
            return top, top, top + 1
        return top, bottom, first

    def is_section(self, at: int) -> bool:
        """Whether a row says one thing and no more, in a cell of its own at the left."""
        said = [column for column, kind in enumerate(self.kinds[at]) if kind]
        return (
            len(said) == 1
            and said[0] <= 1
            and self.kinds[at][said[0]] in (TEXT, PERIOD)
            and len(self.filled(at)) == 1
            and len(self.sheet.rows[at][said[0]].text) <= SECTION_TEXT
        )

    def _merged(self, at: int) -> bool:
        return any(cell.merged_from is not None for cell in self.sheet.rows[at])

    def _may_be_header(self, at: int) -> bool:
        row, kinds = self.sheet.rows[at], self.kinds[at]
        filled = self.filled(at)
        said = [column for column in filled if kinds[column]]
        if not filled or any(UNIT_LINE.search(row[column].text) and len(said) <= 2 for column in said):
            return False
        if any(len(row[column].text) > 60 for column in said):
            return False
        if len(said) >= 2:
            return True
        if not said:
            return True  # the lower part of merged headings
        (column,) = said
        wide = sum(cell.merged_from == (at, column) for cell in row) + 1
        return wide >= 2 and (column > 0 or wide < len(filled)) and wide < max(len(row), 3)

    def _caption(self, top: int, above: int) -> tuple[int, int] | None:
        """The nearest line above that is no unit, date or note."""
        for at in range(top - 1, above, -1):
            for column, kind in enumerate(self.kinds[at]):
                text = self.sheet.rows[at][column].text
                if (
                    kind in (TEXT, PERIOD)
                    and not UNIT_LINE.search(text)
                    and not text.startswith(("※", "注", "(注"))
                ):
                    return at, column
        return None


def _orderly(years: list[int]) -> bool:
    """Whether years stand as they do in headings: one way, none twice."""
    steps = [after - before for before, after in pairwise(years)]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)
