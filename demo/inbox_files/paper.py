"""How a division's sheet looks: title, 単位 at the right, framed tables with grey headings, small notes."""

from __future__ import annotations

from collections.abc import Iterable

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

FACE = "ＭＳ Ｐゴシック"
_HAIR = Side(style="thin", color="808080")
FRAME = Border(left=_HAIR, right=_HAIR, top=_HAIR, bottom=_HAIR)
HEADING = PatternFill("solid", fgColor="D9E1F2")
TOTAL = PatternFill("solid", fgColor="F2F2F2")

Content = str | int | float | None


def sheet(book: Workbook, name: str, widths: Iterable[float]) -> Worksheet:
    """The book's first sheet, named, with the widths of its columns, printed landscape on A4."""
    page = book.worksheets[0]
    page.title = name
    for at, width in enumerate(widths, start=1):
        page.column_dimensions[get_column_letter(at)].width = width
    page.page_setup.orientation = "landscape"
    page.page_setup.paperSize = 9
    page.sheet_view.showGridLines = False
    return page


def line(
    page: Worksheet, row: int, text: str, *, column: int = 1, size: int = 11, right: bool = False
) -> None:
    """A line outside the tables; from size 14 it is a title."""
    cell = page.cell(row, column, text)
    cell.font = Font(name=FACE, size=size, bold=size >= 14)
    cell.alignment = Alignment(horizontal="right" if right else "left", vertical="center")


def headings(page: Worksheet, row: int, texts: Iterable[Content], *, column: int = 1) -> None:
    """A row of headings."""
    for at, text in enumerate(texts, start=column):
        cell = page.cell(row, at, text)
        cell.font = Font(name=FACE, size=10, bold=True)
        cell.fill = HEADING
        cell.border = FRAME
        cell.alignment = Alignment(horizontal="center", vertical="center", wrap_text=True)


def cells(
    page: Worksheet, row: int, contents: Iterable[Content], *, column: int = 1, total: bool = False
) -> None:
    """A row of a table: text as it is written, numbers right-aligned with separators."""
    for at, content in enumerate(contents, start=column):
        cell = page.cell(row, at, content)
        cell.font = Font(name=FACE, size=11, bold=total)
        cell.border = FRAME
        number = isinstance(content, int | float)
        cell.alignment = Alignment(
            horizontal="right" if number or at > column else "left", vertical="center", wrap_text=True
        )
        if isinstance(content, int):
            cell.number_format = "#,##0"
        if total:
            cell.fill = TOTAL


def merge(page: Worksheet, area: str) -> None:
    """Merge an area; its top-left cell keeps the text."""
    page.merge_cells(area)
