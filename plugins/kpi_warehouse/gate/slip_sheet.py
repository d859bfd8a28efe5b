"""The sheet 差し戻し票: what came back, why, what to do, and one line for every cell that does not fit.

Everything quoted from the file is written as text that no spreadsheet program takes for a formula.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from openpyxl.cell.cell import Cell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from kpi_warehouse.readers.layout_tables import RETURN_SLIP

TITLE = RETURN_SLIP
# Lines of the table; a file with more faults has one cause, and its author needs the cause, not a million lines.
LISTED = 2000
RED = PatternFill("solid", start_color="FFFF7C80", end_color="FFFF7C80")
_FACE = "ＭＳ Ｐゴシック"
HEADING = PatternFill("solid", start_color="FFD9E1F2", end_color="FFD9E1F2")
_PALE = PatternFill("solid", start_color="FFFDE9E9", end_color="FFFDE9E9")
_HAIR = Side(style="thin", color="FF808080")
FRAME = Border(left=_HAIR, right=_HAIR, top=_HAIR, bottom=_HAIR)
# Excel takes them for the start of a formula, at the latest when the sheet is saved as CSV and opened again.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# What XML cannot hold, and lone surrogates, which no file can.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LONGEST_TEXT = 500
# What our part of a comment begins with; a later slip takes it off from here.
MARK = "【差し戻し】"
FOUND, PLACE = "見つかったもの", "セル"
_AUTHOR = "取り込みの検査"
_COMMENT_WIDTH_PX, _COMMENT_LINE_PX, _COMMENT_LETTERS = 340, 19, 44
_POINTS_A_LINE = 15.0
_HIGHEST_ROW = 400.0


@dataclass(frozen=True, slots=True)
class SlipCell:
    """One cell that does not fit.

    Args:
        place: `移住!C12`, `行12:4`, `/records/0/name`, or the sheet where no single cell is meant.
        label: for people: `転入／大阪圏／5月`.
        found: the text found there.
        expected_ja: what was expected.
        proposal_ja: what it probably should be, and why; None when nothing is proposed.
    """

    place: str
    label: str
    found: str
    expected_ja: str
    proposal_ja: str | None = None


@dataclass(frozen=True, slots=True)
class SlipSummary:
    """What stands at the head of the slip.

    Args:
        feed: id of the feed; `title_ja` is what the division calls it.
        delivered_at: when the file was received, with a time zone; shown in Japan's.
        inbox_ja: where the corrected file is to be put.
        verdict_ja: why the file came back, in a sentence.
        contact_ja: whom to ask; empty when that is not known.
    """

    feed: str
    title_ja: str
    delivered_at: datetime
    inbox_ja: str = "受け口フォルダー"
    verdict_ja: str = "下の表のセルを読み取れない、または計と合わないため、まだ取り込んでいません。"
    contact_ja: str = ""


class Column(NamedTuple):
    """A column of the table: heading, width in letters of half width."""

    heading: str
    width: float


class Line(NamedTuple):
    """A line of the table: texts in the order of the columns, and where the first of them leads (`'移住'!C12`)."""

    texts: tuple[str | int, ...]
    location: str | None = None


def write_text(cell: Cell, text: str) -> None:
    """Write a text as a text: never a formula, whatever it begins with, and without what a workbook cannot hold."""
    if not text:
        return
    cell.value = shortened(text)
    cell.data_type = "s"
    if text.lstrip(" \u3000").startswith(_FORMULA_SIGNS):
        cell.quotePrefix = True


def shortened(text: str) -> str:
    """A text that fits a cell and XML: signs that cannot be seen as □, the rest of a long one as …."""
    text = _UNWRITABLE.sub("□", text)
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def lines_needed(text: str, width: float) -> int:
    """How many lines a text takes in a column of so many letters of half width."""
    return sum(max(1, ceil(display_width(part) / max(1.0, width - 1))) for part in text.split("\n"))


def display_width(text: str) -> int:
    """Letters of half width: 転入 is 4, ab is 2."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WFA" else 1 for sign in text)


def add_comment(cell: Cell, faults: Sequence[SlipCell]) -> None:
    """Comment on a cell what is wrong with it, below what a comment there says already."""
    said = []
    for fault in faults:
        parts = [
            MARK + fault.label,
            f"見つかったもの：{fault.found or '（空欄）'}",
            f"あるべき内容：{fault.expected_ja}",
        ]
        if fault.proposal_ja:
            parts.append(f"提案：{fault.proposal_ja}")
        said.append("\n".join(shortened(part) for part in parts))
    before: Comment | None = cell.comment
    if before and before.text.strip():
        said.insert(0, before.text.rstrip())
    text = "\n\n".join(said)
    cell.comment = comment_of(text, (before.author if before else None) or _AUTHOR)


def comment_of(text: str, author: str) -> Comment:
    """A comment whose box shows all of its text (in the usual 9-point face, a line is 44 letters of half width)."""
    height = 24 + _COMMENT_LINE_PX * lines_needed(text, _COMMENT_LETTERS)
    return Comment(text, author, height=height, width=_COMMENT_WIDTH_PX)


def fill_slip_sheet(
    sheet: Worksheet,
    summary: SlipSummary,
    file_name: str,
    sha256: str,
    columns: Sequence[Column],
    lines: Sequence[Line],
    *,
    total: int,
    to_do: Sequence[str],
    note_ja: str = "",
) -> None:
    """Lay the slip out on an empty sheet, ready to be printed on A4 landscape.

    Args:
        total: how many faults there are; `lines` may be fewer.
        to_do: the three things the division does now.
        note_ja: what this copy of the file lacks, or why there is none.
    """
    for at, column in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(at)].width = column.width
    width = sum(column.width for column in columns)
    title = sheet.cell(1, 1, TITLE)
    title.font = Font(name=_FACE, size=18, bold=True, color="FFC00000")
    sheet.row_dimensions[1].height = 27.0
    received = summary.delivered_at.astimezone(ZoneInfo("Asia/Tokyo"))
    more = f"（下の表は最初の {len(lines):,} か所）" if total > len(lines) else ""
    head = [
        f"データ：{summary.title_ja}（{summary.feed}）　　ファイル：{file_name}",
        f"受け取った日時：{received:%Y年%-m月%-d日 %H:%M}　　ファイルの識別（SHA-256）：{sha256[:12]}",
        f"直していただきたいところ：{total:,} か所{more}。{summary.verdict_ja}",
        *(f"{number}．{text}" for number, text in zip("１２３", to_do, strict=True)),
    ]
    last = "　　".join(
        part
        for part in (f"問い合わせ先：{summary.contact_ja}" if summary.contact_ja else "", note_ja)
        if part
    )
    for at, text in enumerate([*head, last], start=2):
        _head_line(sheet, at, text, len(columns), width, strong=at == 4)
    top = len(head) + 3
    for at, column in enumerate(columns, start=1):
        cell = sheet.cell(top, at, column.heading)
        cell.font = Font(name=_FACE, size=10, bold=True)
        cell.fill, cell.border = HEADING, FRAME
        cell.alignment = Alignment(horizontal="center", vertical="center", wrap_text=True)
    sheet.row_dimensions[top].height = 20.0
    for row, line in enumerate(lines, start=top + 1):
        _table_line(sheet, row, line, columns)
    _print_setup(sheet, top, len(columns), len(lines))


def _head_line(sheet: Worksheet, row: int, text: str, columns: int, width: float, *, strong: bool) -> None:
    sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=columns)
    cell = sheet.cell(row, 1)
    assert isinstance(cell, Cell)
    write_text(cell, text)
    cell.font = Font(name=_FACE, size=11, bold=strong)
    cell.alignment = Alignment(vertical="center", wrap_text=True)
    # Excel fits the height of a row by itself, but not where cells are merged.
    sheet.row_dimensions[row].height = 4.0 + _POINTS_A_LINE * lines_needed(text, width)


def _table_line(sheet: Worksheet, row: int, line: Line, columns: Sequence[Column]) -> None:
    needed = 1
    for at, (content, column) in enumerate(zip(line.texts, columns, strict=True), start=1):
        cell = sheet.cell(row, at)
        assert isinstance(cell, Cell)
        if isinstance(content, int):
            cell.value = content
        else:
            write_text(cell, content)
            needed = max(needed, lines_needed(shortened(content), column.width))
        cell.font = Font(name=_FACE, size=10)
        cell.border = FRAME
        cell.alignment = Alignment(
            horizontal="center" if isinstance(content, int) else "left", vertical="top", wrap_text=True
        )
        if column.heading == FOUND:
            cell.fill = _PALE
        if column.heading == PLACE and line.location:
            cell.hyperlink = Hyperlink(ref=cell.coordinate, location=line.location)
            cell.font = Font(name=_FACE, size=10, underline="single", color="FF0563C1")
    sheet.row_dimensions[row].height = min(_HIGHEST_ROW, 4.0 + 13.5 * needed)


def _print_setup(sheet: Worksheet, top: int, columns: int, lines: int) -> None:
    last = sheet.cell(top + lines, columns).coordinate
    sheet.freeze_panes = sheet.cell(top + 1, 1).coordinate
    sheet.print_area = f"A1:{last}"
    sheet.sheet_view.showGridLines = False
    sheet.sheet_properties.tabColor = "FFC00000"
    print_on_a4(sheet, top)


def print_on_a4(sheet: Worksheet, heading_row: int) -> None:
    """A4 landscape, as wide as the paper, the row of headings on every page."""
    sheet.print_title_rows = f"{heading_row}:{heading_row}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.page_margins.top = sheet.page_margins.bottom = 0.5
    footer: Any = sheet.oddFooter
    footer.right.text = "&P / &N ページ"
