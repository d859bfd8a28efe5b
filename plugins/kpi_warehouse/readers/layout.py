"""A departmental file by its layout → rows, checks, faults and drift.

Tables are found by their headings, stacked ones told apart by captions. Every non-empty cell of a sheet is then taken by
exactly one thing: a line outside the tables, caption, heading, label, value, check, note, or what the contract ignores by
name. Whatever is left is a fault, which is what catches page numbers, ticks of a chart and a second table below.

Nothing is raised for what stands in a cell: all faults of a file come back at once, since a division corrects it at once.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

from kpi_warehouse.contract_layout import CodedColumn, Layout
from kpi_warehouse.japanese.widths import search_key
from kpi_warehouse.readers.grid import Book, Cell
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_labels import CodeLists
from kpi_warehouse.readers.layout_outside import OutsideLines
from kpi_warehouse.readers.layout_result import CellFault, Check, MeasureRow, Reading
from kpi_warehouse.readers.layout_table import TableReader
from kpi_warehouse.readers.layout_tables import BLANK, Found, Page, Search, find_tables

__all__ = ["CellFault", "Check", "MeasureRow", "Reading", "Understood", "read_layout", "understand"]

# Headings shown of a sheet on which a table was looked for in vain.
_SHOWN_ROWS, _SHOWN_CELLS = 12, 24


@dataclass(frozen=True)
class Understood:
    """A reading with the way it came about: where the tables are, their readers, and whether lines stand around them."""

    reading: Reading
    search: Search
    readers: Sequence[TableReader]
    lines_outside: bool


def read_layout(book: Book, layout: Layout, columns: Sequence[CodedColumn]) -> Reading:
    """Read a book by a layout.

    Args:
        book: the file as a reader handed it over.
        layout: the layout of its contract.
        columns: columns of the contract: codes, labels and synonyms of axes and measures, marks of the value.

    Returns:
        Rows and checks, and every fault with its cell; rows are to be used only if there are no faults.
    """
    return understand(book, layout, columns).reading


def understand(book: Book, layout: Layout, columns: Sequence[CodedColumn]) -> Understood:
    """`read_layout`, with how it was read."""
    # Hundreds of thousands of rows that hold no cycles: looking for garbage among them would double the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _read(book, layout, columns)
    finally:
        if collecting:
            gc.enable()


def _read(book: Book, layout: Layout, columns: Sequence[CodedColumn]) -> Understood:
    lists = CodeLists(columns)
    search = find_tables(book, layout, lists.recognise)
    context = Context(layout, columns, lists, OutsideLines(layout, search))
    _tell_search(search, context)
    readers = []
    for page in search.pages:
        for found in search.on(page):
            reader = TableReader(found, context)
            reader.read()
            readers.append(reader)
    for page in search.pages:
        _leftovers(page, search, context, [reader for reader in readers if reader.page is page])
        _beside_the_cells(page, search, context)
    _hidden_sheets(book, layout, context)
    findings = context.findings
    reading = Reading(
        context.rows,
        context.checks,
        findings.faults_in_order(),
        findings.drift_in_order(),
        findings.notices_in_order(),
    )
    return Understood(reading, search, readers, bool(context.outside.lines))


def _tell_search(search: Search, context: Context) -> None:
    """Tables that are not there, or that the file has more of than the contract can tell apart."""
    for table in search.lost:
        wanted = "、".join(spec.name_ja for spec in table.columns if not spec.optional)
        caption = f"、表題に「{'」か「'.join(table.caption)}」" if table.caption else ""
        sheet = f"シート「{table.sheet}」に、" if table.sheet else ""
        page = _likely(search, table.sheet)
        seen = "、".join(f"「{text}」" for text in _texts(page)) if page else ""
        expected = f"{sheet}見出し{wanted}のある表{caption}。見つかった見出し：{seen or '（なし）'}"
        place = page.sheet.name if page else "（ファイル全体）"
        context.findings.fault((page.number if page else 0, 0, 0), place, table.name, expected, "no_table")
    for ambiguous in search.ambiguous:
        names = "、".join(table.name for table in ambiguous.tables)
        places = "、".join(
            found.page.cell(found.top, found.columns[0].heading.column).place for found in ambiguous.found
        )
        first = ambiguous.found[0]
        cell = first.page.cell(first.top, first.columns[0].heading.column)
        expected = f"ひとつに決まる表（{places} が表 {names} に当てはまります）"
        context.findings.fault((first.page.number, first.top, 0), cell, names, expected, "ambiguous_table")


def _beside_the_cells(page: Page, search: Search, context: Context) -> None:
    """Cells of tables that are not to be taken as they stand, what was taken out of cells, and remarks nobody took."""
    tables = search.on(page)
    if not tables:
        return
    within = {row for found in tables for row in range(found.top, found.end)}
    for row, column in page.changed:
        cell = page.cell(row, column)
        at = (page.number, row, column)
        if cell.seen is None:
            continue
        if cell.seen.doubt is not None and row in within and not _is_ignored(tables, row, column):
            context.findings.fault(at, cell, "表の中", cell.seen.doubt, "doubtful")
        elif cell.seen.struck:
            struck = "、".join(f"「{part.strip()}」" for part in cell.seen.struck)
            told = f"取り消し線の文字{struck}は読みませんでした。"
            context.findings.notice(at, cell, "取り消し線", told, "struck_out")
    for said in page.remarks.all:
        remark = said.remark
        at = (page.number, remark.row or 0, remark.column or 0)
        if id(said) in page.remarks.bound or context.outside.recognise(said.text) is not None:
            continue
        if said.means and not (said.units and said.units_alone):
            expected = (
                f"表のセルか表のまわりの行に書かれた注記（{said.kind_ja}に、数字の読み方を変える文があります。"
                "契約の outside に同じ文の行を足すと読めます）"
            )
            context.findings.fault(at, remark.place, said.kind_ja, expected, "remark", said.text)
        elif remark.kind != "print":
            told = f"{said.kind_ja}「{said.text}」は読みませんでした。"
            context.findings.notice(at, remark.place, said.kind_ja, told, "remark_not_read", said.text)


def _is_ignored(tables: list[Found], row: int, column: int) -> bool:
    return any(
        found.top <= row < found.end
        and any(
            each.heading.column == column and each.spec.kind in ("ignored", "note") for each in found.columns
        )
        for found in tables
    )


def _likely(search: Search, sheet: str | None) -> Page | None:
    """The page on which a person would have looked for a table."""
    named = [page for page in search.pages if sheet and search_key(sheet) in search_key(page.sheet.name)]
    bare = [page for page in search.pages if not search.on(page) and any(page.kinds)]
    return next(iter([*named, *bare, *search.pages]), None)


def _texts(page: Page) -> list[str]:
    """Texts of the first rows that say something: among them the headings, as the file has them."""
    texts: dict[str, None] = {}
    rows = [at for at, kind in enumerate(page.kinds) if kind != BLANK][:_SHOWN_ROWS]
    for at in rows:
        for cell in page.sheet.rows[at]:
            if isinstance(cell.value, str) and len(cell.value) <= 40:
                texts.setdefault(" ".join(cell.value.split()))
    return list(texts)[:_SHOWN_CELLS]


def _leftovers(page: Page, search: Search, context: Context, readers: list[TableReader]) -> None:
    """Every cell that no table took must be a line of the contract."""
    tables = search.on(page)
    ambiguous = [each for group in search.ambiguous for each in group.found if each.page is page]
    if not tables:
        if ambiguous or search.lost or not any(page.kinds):
            return  # that the table was not found is told; each of its cells would only repeat it
        _unknown_sheet(page, context)
        return
    taken = {row for found in tables for row in range(found.top, found.end)}
    captions = {found.caption for found in tables if found.caption}
    for reader in readers:
        taken -= reader.left_rows
        _missing_headings(reader, context)
        for row, column in reader.left:
            _judge(page, context, {column: page.cell(row, column)}, row)
    blocked = _blocked(page, search, ambiguous)
    for row, kind in enumerate(page.kinds):
        if kind == BLANK or row in taken or row in blocked:
            continue
        cells = page.sheet.rows[row]
        _judge(
            page,
            context,
            {
                column: cell
                for column, cell in enumerate(cells)
                if cell.value is not None and (row, column) not in captions
            },
            row,
        )


def _blocked(page: Page, search: Search, ambiguous: list[Found]) -> set[int]:
    """Rows of tables that could not be told apart: they are told once, not cell by cell."""
    rows: set[int] = set()
    for found in ambiguous:
        end = found.bottom + 1
        while end < len(page.kinds) and page.kinds[end] != BLANK:
            end += 1
        rows.update(range(found.top, end))
    return rows


def _judge(page: Page, context: Context, cells: dict[int, Cell], row: int) -> None:
    """Cells of one row outside the tables: a line of the contract each, or all together; else they are strays."""
    open_cells = {
        column: cell for column, cell in cells.items() if context.outside.recognise(cell.text) is None
    }
    if not open_cells:
        return
    together = " ".join(cell.text for cell in open_cells.values())
    if len(open_cells) > 1 and context.outside.recognise(together) is not None:
        return
    for column, cell in open_cells.items():
        hidden = "（非表示の行・列にあります）" if cell.hidden else ""
        expected = (
            f"表の中の値か、様式にある行（表の外に残った値です。ページ番号や目盛りではありませんか）{hidden}"
        )
        context.findings.fault((page.number, row, column), cell, "表の外", expected, "stray_cell")


def _missing_headings(reader: TableReader, context: Context) -> None:
    """A column of values without heading is one fault of the heading, not one of every value."""
    found = reader.found
    height = found.end - found.bottom - 1
    by_column: dict[int, list[int]] = {}
    for row, column in reader.left:
        if column in reader.columns.loose:
            by_column.setdefault(column, []).append(row)
    for column, rows in by_column.items():
        if len(rows) < 2 or len(rows) * 2 < height:
            continue
        reader.left = [each for each in reader.left if each[1] != column]
        places = "、".join(reader.page.cell(row, column).place for row in rows[:3])
        cell = reader.page.cell(found.bottom, column)
        labels = "、".join(each.heading.text for each in found.columns)
        expected = f"見出し（見出しのない列に値が{len(rows)}個あります：{places}…。この表の見出し：{labels}）"
        context.findings.fault(
            (reader.page.number, found.bottom, column), cell, "見出しのない列", expected, "missing_heading"
        )


def _unknown_sheet(page: Page, context: Context) -> None:
    """A sheet with content that no table is on; lines of the contract alone make no unknown sheet."""
    strays = [
        cell
        for at, kind in enumerate(page.kinds)
        if kind != BLANK
        for cell in page.sheet.rows[at]
        if cell.value is not None and context.outside.recognise(cell.text) is None
    ]
    if strays:
        expected = "様式にある表のあるシート（読み取らなくてよいシートなら、消して出し直してください）"
        context.findings.fault((page.number, 0, 0), strays[0], page.sheet.name, expected, "unknown_sheet")


def _hidden_sheets(book: Book, layout: Layout, context: Context) -> None:
    """Hidden sheets are not read; that they hold something is told unless the contract ignores them by name."""
    if layout.hidden == "read":
        return
    ignored = {search_key(name) for name in layout.ignored_sheets}
    for number, sheet in enumerate(book.sheets):
        if not sheet.hidden or search_key(sheet.name) in ignored:
            continue
        first = next((cell for row in sheet.rows for cell in row if cell.value is not None), None)
        if first is not None:
            expected = "表示されたシート（非表示のシートに値があります）"
            context.findings.fault((number, 0, 0), first, sheet.name, expected, "hidden_sheet")
