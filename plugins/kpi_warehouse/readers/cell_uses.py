"""What the layout engine took each cell of a file for: asked of its own findings after it has read, for whoever shows the file.

Every cell that holds something is taken by exactly one thing, or is a fault; `unread` are the faults, and whatever the engine could
not be seen to have taken (which is a defect, and a test looks for it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kpi_warehouse.japanese.widths import fold, search_key
from kpi_warehouse.readers.grid import Book, Cell, Sheet
from kpi_warehouse.readers.layout import Understood
from kpi_warehouse.readers.layout_headers import looks_like_period, split_unit
from kpi_warehouse.readers.layout_result import CellFault, MeasureRow
from kpi_warehouse.readers.layout_table import TableReader
from kpi_warehouse.readers.layout_tables import Page

Use = Literal["value", "label", "period", "total", "unit", "title", "footnote", "note", "ignored", "unread"]
# Outside lines of the contract by what they say.
_OF_LINE: Mapping[str, Use] = {
    "title": "title",
    "unit": "unit",
    "document_date": "period",
    "as_of": "period",
    "footnote": "footnote",
    "ignored": "ignored",
}
_OF_COLUMN: Mapping[str, Use] = {
    "axis": "label",
    "measure": "label",
    "period": "period",
    "period_end": "period",
    "unit": "unit",
    "status": "note",
    "note": "note",
    "public_on": "note",
    "ignored": "ignored",
}
Place = tuple[int, int]


@dataclass
class SheetUses:
    """One sheet: what each cell that holds something was taken for, by 0-based row and column."""

    sheet: Sheet
    read: bool
    uses: dict[Place, Use] = field(default_factory=dict)
    rows: dict[Place, list[MeasureRow]] = field(default_factory=dict)
    faults: dict[Place, list[CellFault]] = field(default_factory=dict)

    def count(self, use: Use) -> int:
        """How many cells were taken for this."""
        return sum(each == use for each in self.uses.values())


def cell_uses(book: Book, understood: Understood) -> list[SheetUses]:
    """What became of every cell, sheet by sheet in the order of the file."""
    pages = {page.number: page for page in understood.search.pages}
    by_place: dict[str, tuple[int, Place]] = {}
    sheets: list[SheetUses] = []
    for number, sheet in enumerate(book.sheets):
        page = pages.get(number)
        found = SheetUses(sheet, page is not None and bool(understood.search.on(page)))
        sheets.append(found)
        for at, cell in _filled(sheet):
            by_place[cell.place] = (number, at)
            found.uses[at] = "unread" if page is not None else "ignored"
    for reader in understood.readers:
        for at, use in _of_table(reader):
            _set(sheets[reader.page.number], at, use)
    if understood.readers:
        for line in understood.readers[0].context.outside.lines:
            _set(sheets[line.page.number], (line.row, line.column), _OF_LINE[line.spec.kind])
        for page in pages.values():
            _said_together(sheets[page.number], page, understood.readers[0])
    for row in understood.reading.rows:
        number, at = by_place[row.source_cell]
        sheets[number].uses[at] = "value"
        sheets[number].rows.setdefault(at, []).append(row)
    for check in understood.reading.checks:
        number, at = by_place[check.place]
        sheets[number].uses[at] = "total"
    for fault in (*understood.reading.faults, *understood.reading.drift):
        if fault.place in by_place:
            number, at = by_place[fault.place]
            sheets[number].uses[at] = "unread"
            sheets[number].faults.setdefault(at, []).append(fault)
    return sheets


def _filled(sheet: Sheet) -> Iterator[tuple[Place, Cell]]:
    for row, cells in enumerate(sheet.rows):
        for column, cell in enumerate(cells):
            if cell.value is not None or cell.formula is not None:
                yield (row, column), cell


def _set(found: SheetUses, at: Place, use: Use) -> None:
    if at in found.uses:
        found.uses[at] = use


def _of_table(reader: TableReader) -> Iterator[tuple[Place, Use]]:
    """Headings, labels, totals and whatever else the columns and rows of a table take."""
    if reader.found.caption is not None:
        yield reader.found.caption, "title"
    yield from _of_headings(reader)
    yield from _of_rows(reader)


def _of_headings(reader: TableReader) -> Iterator[tuple[Place, Use]]:
    found, rows = reader.found, reader.page.sheet.rows
    specs = {matched.heading.column: matched.spec for matched in found.columns}
    unknown = {heading.column for heading in found.unknown} - {heading.column for _, heading in found.doubled}
    for row in range(found.top, found.bottom + 1):
        for column, cell in enumerate(rows[row]):
            spec = specs.get(column)
            if spec is None:
                # What spreads over a column without a name of its own.
                if cell.value is not None and column not in unknown:
                    yield (row, column), "label"
                continue
            place = cell.merged_from if cell.value is None and cell.merged_from is not None else (row, column)
            text = fold(rows[place[0]][place[1]].text)
            period = spec.period_heading and any(
                looks_like_period(each, reader.table) for each in (text, split_unit(text)[0]) if each
            )
            yield place, "period" if period else "ignored" if spec.kind == "ignored" else "label"


def _of_rows(reader: TableReader) -> Iterator[tuple[Place, Use]]:
    found, columns, rows = reader.found, reader.columns, reader.page.sheet.rows
    left = set(reader.left)
    rules = reader.table.rows
    totals = {search_key(word) for word in (*rules.totals, *rules.subtotals)}
    ignored = {search_key(word) for word in rules.ignore}
    for row in range(found.bottom + 1, found.end):
        if row in reader.left_rows:
            continue
        keys = {column: search_key(fold(rows[row][column].text)) for _, column in columns.labels}
        skipped = not ignored.isdisjoint(keys.values())
        for _, heading in found.repeated:
            yield (row, heading.column), "label"
        for kind, entries in columns.by_kind.items():
            for _, column in entries:
                if (row, column) in left:
                    continue
                if keys.get(column) in totals or kind == "row_total":
                    yield (row, column), "total"
                elif skipped or kind in _OF_COLUMN:
                    yield (row, column), "ignored" if skipped else _OF_COLUMN[kind]
        if not totals.isdisjoint(keys.values()):
            for value in columns.values:
                yield (row, value.at), "total"


def _said_together(found: SheetUses, page: Page, reader: TableReader) -> None:
    """Cells of one row that only together are a line of the contract."""
    rows: dict[int, list[int]] = {}
    for (row, column), use in found.uses.items():
        if use == "unread":
            rows.setdefault(row, []).append(column)
    for row, at in rows.items():
        cells = [page.cell(row, column) for column in at]
        known = reader.context.outside.recognise(" ".join(cell.text for cell in cells))
        for column, cell in zip(at, cells, strict=True):
            alone = reader.context.outside.recognise(cell.text)
            line = alone or (known if len(at) > 1 else None)
            if line is not None:
                found.uses[row, column] = _OF_LINE[line[0].kind]
