"""The return slip: the file that goes back to the division, with every offending cell red and a comment on it.

A workbook comes back as itself, with a first sheet 差し戻し票. Everything else (delimited text, JSON, xls, ods, what
cannot be opened) comes back as a new workbook with the same sheet and the rows that hold the faults.

Numbers (to the 15 digits that Excel shows), texts, formulas and formats of the division's cells stay as they are. What
openpyxl cannot carry over is lost in this copy and said on the slip: shapes, pictures, some extensions; readings
(furigana) of typed names are dropped without a word.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import MergedCell
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles import PatternFill
from openpyxl.utils.cell import column_index_from_string

from kpi_warehouse.gate.formula_results import Result, put_back, read_results
from kpi_warehouse.gate.slip_rows import COORDINATE, add_failing_rows, line_and_column
from kpi_warehouse.gate.slip_sheet import (
    FOUND,
    LISTED,
    MARK,
    PLACE,
    RED,
    TITLE,
    Column,
    Line,
    SlipCell,
    SlipSummary,
    add_comment,
    comment_of,
    fill_slip_sheet,
)
from kpi_warehouse.readers.grid import Book

__all__ = ["SlipCell", "SlipSummary", "return_slip"]

# openpyxl needs about twenty times the inflated size; beyond this the slip is a list.
_LARGEST_WORKBOOK = 64 << 20
_LAST_ROW, _LAST_COLUMN = 1_048_576, 16_384
_WORKBOOK_COLUMNS = (
    Column("番号", 6),
    Column(PLACE, 18),
    Column("何の数字", 26),
    Column(FOUND, 20),
    Column("あるべき内容", 36),
    Column("提案", 48),
)
_LIST_COLUMNS = (Column("番号", 6), Column("行番号", 14), Column("列", 12), *_WORKBOOK_COLUMNS[2:])
_NOT_REPAIRED = "数字はこちらでは直していません。元の数字が正しいときは、その旨をお知らせください。"


class _Reader(ExcelReader):
    """Opens a workbook with numbers left as numbers.

    openpyxl turns numbers under a date format into dates, rounded, and those out of range into #VALUE!. `results` are
    those of the formulas, by title of the sheet.
    """

    results: dict[str, dict[str, Result]]

    def read_worksheets(self) -> None:
        workbook: Any = self.wb
        workbook._date_formats = workbook._timedelta_formats = set()
        self.results = {}
        for sheet, relation in self.parser.find_sheets():
            if relation.target in self.valid_files:
                with self.archive.open(relation.target) as part:
                    self.results[sheet.name] = read_results(part)
        super().read_worksheets()


def return_slip(
    body: bytes, name: str, faults: Sequence[SlipCell], summary: SlipSummary, *, book: Book | None = None
) -> tuple[str, bytes]:
    """The file to send back, as (file name, bytes).

    Args:
        body, name: the delivery as it came.
        book: the delivery as it was read; where a list comes back, its rows with faults are shown whole.
    """
    name = _bare_name(name)
    stem, _, suffix = name.rpartition(".")
    sha256 = hashlib.sha256(body).hexdigest()
    why = ""
    if suffix.lower() in ("xlsx", "xlsm"):
        try:
            marked = _marked_workbook(body, name, sha256, faults, summary, macros=suffix.lower() == "xlsm")
            return f"{stem}_差し戻し.{suffix}", marked
        except Exception as error:  # openpyxl raises whatever its parsing came across; a slip has to go out.
            reason = str(error) if isinstance(error, _TooLarge) else type(error).__name__
            why = f"元のファイルには印を付けられなかったため、一覧でお返しします（{reason}）。"
    return f"{stem or suffix}_差し戻し.xlsx", _listed_workbook(name, sha256, faults, summary, book, why)


class _TooLarge(Exception):
    pass


def _bare_name(name: str) -> str:
    """The name without folders and unseen signs, short enough for any file system with what is added to it."""
    bare = re.split(r"[/\\]", name)[-1]
    bare = "".join(sign for sign in bare if sign.isprintable()).strip(" .") or "file"
    stem, dot, suffix = bare.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, dot, suffix = bare, "", ""
    while len(stem.encode()) > 180:
        stem = stem[:-1]
    return f"{stem}{dot}{suffix}"


def _marked_workbook(
    body: bytes, name: str, sha256: str, faults: Sequence[SlipCell], summary: SlipSummary, *, macros: bool
) -> bytes:
    lost = _lost_parts(body)
    reader = _Reader(io.BytesIO(body), keep_vba=macros, rich_text=True)
    reader.read()
    workbook: Any = reader.wb
    _clear_earlier_slip(workbook)
    of_cell: dict[tuple[str, str], list[SlipCell]] = {}
    lines = []
    for number, fault in enumerate(faults, start=1):
        spot = _spot(workbook, fault.place)
        if spot:
            of_cell.setdefault(spot, []).append(fault)
        if number <= LISTED:
            location = "'{}'!{}".format(spot[0].replace("'", "''"), spot[1]) if spot else None
            lines.append(
                Line(
                    (
                        number,
                        fault.place,
                        fault.label,
                        fault.found,
                        fault.expected_ja,
                        fault.proposal_ja or "",
                    ),
                    location,
                )
            )
    for number, ((sheet, coordinate), own) in enumerate(of_cell.items()):
        cell = workbook[sheet][coordinate]
        cell.fill = RED
        if number < LISTED:
            add_comment(cell, own)
    page = workbook.create_sheet(_free_title(workbook), 0)
    fill_slip_sheet(
        page,
        summary,
        name,
        sha256,
        *_without_empty_proposals(_WORKBOOK_COLUMNS, lines),
        total=len(faults),
        to_do=(
            "赤いセルを元の資料と見比べて直してください。理由は、セルのコメントと下の表にあります（青い文字を押すとそのセルへ移ります）。",
            f"直したら、このシート「{page.title}」を消し、元のファイル名「{name}」のまま {summary.inbox_ja} に入れ直してください（元のファイルを直して出しても構いません）。",
            _last_advice(faults),
        ),
        note_ja=lost,
    )
    _show_first(workbook)
    body = _saved(workbook)
    return put_back(
        body, {page.path.lstrip("/"): reader.results.get(page.title, {}) for page in workbook.worksheets[1:]}
    )


def _lost_parts(body: bytes) -> str:
    """Says what this copy lacks; empty when it is complete.

    Raises:
        _TooLarge: the parts of the workbook are too large to be opened for marking.
    """
    with zipfile.ZipFile(io.BytesIO(body)) as parts:
        if sum(entry.file_size for entry in parts.infolist()) > _LARGEST_WORKBOOK:
            raise _TooLarge("大きすぎるファイル")
        names = parts.namelist()
        lost = []
        if any(re.match(r"xl/(?:drawings/drawing|media/|diagrams/)", part) for part in names):
            lost.append("図形・画像")
        if any(b"<extLst" in parts.read(part) for part in names if part.startswith("xl/worksheets/sheet")):
            lost.append("一部の書式・入力規則")
    if not lost:
        return ""
    return f"ご注意：{'と'.join(lost)}は、この差し戻し用の写しには残らないことがあります。元のファイルを直して出し直しても構いません。"


def _clear_earlier_slip(workbook: Any) -> None:
    """Take the marks of an earlier slip off: a cell that was put right must not stay red."""
    for sheet in list(workbook.worksheets):
        if sheet.title.startswith(TITLE) and sheet["A1"].value == TITLE:
            workbook.remove(sheet)
            continue
        for row in sheet.iter_rows():
            for cell in row:
                if cell.comment and MARK in cell.comment.text:
                    kept = cell.comment.text.split(MARK, 1)[0].rstrip()
                    author = cell.comment.author
                    cell.comment = comment_of(kept, author) if kept else None
                    if cell.fill.start_color.rgb == RED.start_color.rgb:
                        cell.fill = PatternFill()


def _spot(workbook: Any, place: str) -> tuple[str, str] | None:
    """Sheet and coordinate of a place; of a merged area its top-left cell; None for what is no cell of the file."""
    sheet_name, _, coordinate = place.rpartition("!")
    match = COORDINATE.fullmatch(coordinate)
    if not match or int(match[2]) > _LAST_ROW or column_index_from_string(match[1]) > _LAST_COLUMN:
        return None
    pages = {page.title: page for page in workbook.worksheets}
    if not sheet_name and len(pages) == 1:
        sheet_name = next(iter(pages))
    page = pages.get(sheet_name)
    if page is None:
        return None
    coordinate = match[1] + match[2]
    if isinstance(page[coordinate], MergedCell):
        area = next(area for area in page.merged_cells.ranges if coordinate in area)
        coordinate = page.cell(area.min_row, area.min_col).coordinate
    return sheet_name, coordinate


def _free_title(workbook: Any) -> str:
    taken = {title.casefold() for title in workbook.sheetnames}
    return next(
        title
        for title in (TITLE, *(f"{TITLE} ({n})" for n in range(2, 999)))
        if title.casefold() not in taken
    )


def _show_first(workbook: Any) -> None:
    """Open on the slip, and on the slip alone: sheets selected together would all be changed together."""
    workbook.active = 0
    for sheet in workbook.worksheets:
        for view in sheet.views.sheetView:
            view.tabSelected = sheet is workbook.worksheets[0]
    for chart in workbook.chartsheets:
        for view in chart.sheetViews.sheetView:
            view.tabSelected = False
    for view in workbook.views:
        view.firstSheet = 0
    if workbook.calculation is not None:
        workbook.calculation.fullCalcOnLoad = True


def _saved(workbook: Any) -> bytes:
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def _without_empty_proposals(
    columns: Sequence[Column], lines: Sequence[Line]
) -> tuple[Sequence[Column], Sequence[Line]]:
    """The table without the column of proposals where nothing is proposed: what is left is printed larger."""
    if any(line.texts[-1] for line in lines):
        return columns, lines
    kept = [*columns[:-2], columns[-2]._replace(width=56)]
    return kept, [line._replace(texts=line.texts[:-1]) for line in lines]


def _last_advice(faults: Sequence[SlipCell]) -> str:
    proposed = any(fault.proposal_ja for fault in faults[:LISTED])
    return ("提案は打ち間違いの候補です。" if proposed else "") + _NOT_REPAIRED


def _listed_workbook(
    name: str, sha256: str, faults: Sequence[SlipCell], summary: SlipSummary, book: Book | None, why: str
) -> bytes:
    workbook = Workbook()
    page = workbook.worksheets[0]
    page.title = TITLE
    lines = [
        Line(
            (
                number,
                *line_and_column(fault.place),
                fault.label,
                fault.found,
                fault.expected_ja,
                fault.proposal_ja or "",
            )
        )
        for number, fault in enumerate(faults[:LISTED], start=1)
    ]
    fill_slip_sheet(
        page,
        summary,
        name,
        sha256,
        *_without_empty_proposals(_LIST_COLUMNS, lines),
        total=len(faults),
        to_do=(
            "下の表の行を元の資料と見比べ、元のファイル（またはその元のシステム）で直してください。",
            f"直したファイルを、元のファイル名「{name}」のまま {summary.inbox_ja} に入れ直してください（この票ではなく、元の形式のファイル）。",
            _last_advice(faults),
        ),
        note_ja=why,
    )
    if book is not None:
        add_failing_rows(workbook, book, faults)
    _show_first(workbook)
    return _saved(workbook)
