"""The columns of a table found in a sample, with what stands in them, and which of them hold values, codes and periods."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from kpi_warehouse.contract_layout import ColumnSpec, Table
from kpi_warehouse.drafting.shapes import Block
from kpi_warehouse.drafting.texts import (
    BLANK,
    CODE_HEADING,
    FIGURE,
    MARK,
    NOTES,
    PERIOD,
    PERIOD_HEADINGS,
    STATUS_HEADINGS,
    WITHOUT_ERA,
    is_word,
    is_yearish,
    kind_of,
    period_kind,
)
from kpi_warehouse.japanese.numbers import read_numbers
from kpi_warehouse.japanese.periods import read_period
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_headers import JOIN, Heading, headings_of, match, split_unit

_NO_TABLE = Table("", ())
_UNIT_LIKE = re.compile(r"[^\W\d_]|[%％‰℃円]")
_MONTH_FIRST = re.compile(r"\d{1,2}\s*月")
_TO_BE_FILLED = re.compile(r"実績|数|値|額|量")


@dataclass
class Column:
    """A column of the block with what stands in it.

    Args:
        kinds: of its cells in body rows.
        period: kind of the period its heading says; None where it says none.
    """

    heading: Heading
    cells: list[Cell]
    kinds: list[int]
    period: str | None

    @property
    def at(self) -> int:
        return self.heading.column

    @cached_property
    def name(self) -> str:
        """The heading without its unit, as far as the reader tells the two apart."""
        if not self.heading.parts:
            return ""
        bare = JOIN.join(filter(None, [*self.heading.parts[:-1], split_unit(self.heading.parts[-1])[0]]))
        spec = ColumnSpec((bare,), "value", unit=self.unit)
        return bare if match(spec, self.heading, _NO_TABLE) is not None else self.heading.text

    @property
    def unit(self) -> str | None:
        """The unit its heading states."""
        if self.heading.unit:
            return self.heading.unit
        found = split_unit(self.heading.parts[-1])[1] if self.heading.parts else None
        return (
            found
            if found and _UNIT_LIKE.search(found) and period_kind(found) is None and not found.isdigit()
            else None
        )

    def share(self, *kinds: int) -> float:
        """Share of the filled cells that are of these kinds."""
        filled = [kind for kind in self.kinds if kind != BLANK]
        return sum(kind in kinds for kind in filled) / len(filled) if filled else 0.0

    @property
    def filled(self) -> int:
        return sum(kind != BLANK for kind in self.kinds)

    def labels(self) -> list[str]:
        """Its distinct texts without footnote signs, folded."""
        return list(
            dict.fromkeys(
                take_references(fold(cell.text))[0]
                for cell in self.cells
                if cell.value is not None and cell.text.strip()
            )
        )


def columns_of(block: Block) -> list[Column]:
    """The columns of a block that hold anything; looked at once."""
    if block.columns is None:
        block.columns = _columns_of(block)
    return block.columns


def _columns_of(block: Block) -> list[Column]:
    columns: list[Column] = []
    for heading in headings_of(block.sheet, block.top, block.bottom, spread=False):
        cells = block.cells(heading.column)
        kinds = [kind_of(cell) for cell in cells]
        if heading.parts or (any(kinds) and not any(not column.heading.parts for column in columns)):
            columns.append(Column(heading, cells, kinds, _heading_period(heading)))
    return columns


def _heading_period(heading: Heading) -> str | None:
    for part in reversed(heading.parts):
        for text in (part, split_unit(part)[0]):
            if text and (found := period_kind(text)):
                return found
    return None


def values_of(columns: list[Column]) -> list[Column]:
    """Columns of figures."""
    found = []
    for column in columns:
        figures = sum(kind in (FIGURE, MARK) for kind in column.kinds)
        if not column.filled:
            # Nothing in it yet: a period in the heading says that values will come.
            if column.period and any(other.period and other is not column for other in columns):
                found.append(column)
            continue
        if is_word(column.name, (*NOTES, *STATUS_HEADINGS)):
            continue
        across = column.period and any(other.period and other is not column for other in columns)
        if not figures or (column.share(FIGURE, MARK) < 0.6 and not across):
            continue
        if FIGURE not in column.kinds and not column.period:
            continue
        if is_code(column, columns, found) or is_years(column, columns):
            continue
        found.append(column)
    if not found:
        # A form that nobody has filled in yet.
        found = [column for column in columns if not column.filled and _TO_BE_FILLED.search(column.name)][:1]
    return found


def is_code(column: Column, columns: list[Column], before: list[Column]) -> bool:
    """Numbers that name something: 市区町村コード, 区間番号; left of all values."""
    if before or column.period or column.unit:
        return False
    texts = [cell.text.strip() for cell in column.cells if cell.value is not None]
    if column is columns[0] and counts_up([text for text in texts if text.isdigit()]):
        return True
    if not all(text.isdigit() for text in texts):
        return False
    if CODE_HEADING.search(column.heading.text):
        return True
    return any(text.startswith("0") and len(text) > 1 for text in texts)


def is_years(column: Column, columns: list[Column]) -> bool:
    """A column of bare years, year-months or day numbers: by its heading, or because every cell is a year."""
    if is_word(column.name, PERIOD_HEADINGS):
        return True
    filled = [cell for cell in column.cells if cell.value is not None]
    return column is columns[0] and len(columns) > 1 and all(map(is_yearish, filled))


def is_wide(values: list[Column]) -> bool:
    """Whether the headings of the values say periods."""
    said = [column for column in values if column.period]
    return bool(said) and len(said) * 2 >= len(values)


def periods_of(labels: list[Column], columns: list[Column], *, wide: bool) -> list[Column]:
    """The column that says the period of the rows; what it holds is for the reader to read or to refuse."""
    if wide:
        return []
    filled = [column for column in labels if column.filled]
    named = [column for column in filled if is_word(column.name, PERIOD_HEADINGS)]
    read = [column for column in filled if column.share(PERIOD) >= 0.8 or is_years(column, columns)]
    both = [column for column in named if column in read]
    return (both or read or named)[:1]


def repeats_label(column: Column, columns: list[Column]) -> bool:
    """Whether a column at the right only repeats one at the left."""
    texts = [cell.text for cell in column.cells]
    return any([cell.text for cell in other.cells] == texts for other in columns if other.at < column.at)


def filled_down(column: Column) -> list[str]:
    """Labels of a column, row by row, merged areas and blanks taking the one above."""
    said, above = [], ""
    for cell in column.cells:
        above = search_key(take_references(fold(cell.text))[0]) if cell.value is not None else above
        said.append(above)
    return said


def counts_up(texts: list[str]) -> bool:
    """1, 2, 3 …: a numbering of the rows."""
    return len(texts) > 2 and texts == [str(at) for at in range(1, len(texts) + 1)]


def lacks_year(text: str) -> bool:
    """Whether a text is a month or another part of a year that it does not say."""
    return not _has_year(text)


def _has_year(text: str) -> bool:
    """Whether a period says its year itself, or takes the era of the one before it; what is no period needs none."""
    if _MONTH_FIRST.match(fold(text)):
        return False  # also with a weekday, which fits one year only
    if period_kind(text) is None or WITHOUT_ERA.fullmatch(fold(text)):
        return True
    try:
        read_period(text, year="fiscal")
    except Unreadable:
        return False
    return True


def number_in(cell: Cell) -> Decimal | None:
    if cell.value is None or isinstance(cell.value, bool):
        return None
    try:
        quantities = read_numbers(cell.text)
    except Unreadable:
        return None
    return quantities[0].value if len(quantities) == 1 else None


def unit_beside(cell: Cell) -> str | None:
    if not isinstance(cell.value, str):
        return None
    try:
        quantities = read_numbers(cell.text)
    except Unreadable:
        return None
    return canonical_unit(quantities[0].unit) if len(quantities) == 1 and quantities[0].unit else None


def sums(total: Column, parts: list[Column]) -> bool:
    """Whether a column is the sum of others in every row that states it."""
    compared = 0
    for at, cell in enumerate(total.cells):
        stated = number_in(cell)
        numbers = [number for part in parts if (number := number_in(part.cells[at])) is not None]
        if stated is None or not numbers:
            continue
        if sum(numbers, Decimal(0)) != stated:
            return False
        compared += 1
    return compared > 0
