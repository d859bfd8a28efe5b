"""A workbook (xlsx, xlsm, xls, ods) → sheets of cells.

Values come from calamine, which is ten times faster than openpyxl and reads all four formats, in a process of its own;
what it does not give (hidden rows and columns, formulas, error values) comes meanwhile from the marks of each format. Macros are never run: nothing
here looks inside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from math import isfinite
from typing import Any

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind, ods_marks, xls_marks, xlsx_marks
from kpi_warehouse.readers.calamine_process import CalamineProcess, ReadSheet
from kpi_warehouse.readers.grid import (
    Book,
    Cell,
    Rows,
    Sheet,
    Value,
    column_letters,
    number_and_text,
    text_of,
)
from kpi_warehouse.readers.sheet_marks import Position, SheetMarks, guard_cells
from kpi_warehouse.readers.shown.cell_style import STRUCK_OUT, hide_zero, show
from kpi_warehouse.readers.zip_parts import ZipParts


@dataclass(frozen=True)
class OpenedWorkbook:
    """A workbook that was read and judged, before its values are made into cells."""

    format: str
    sheets: list[ReadSheet]
    marks: dict[str, SheetMarks]
    properties: dict[str, str]
    has_macros: bool = False

    def book(self) -> Book:
        """Every sheet, hidden ones too, as cells."""
        book = Book([], self.format, properties=self.properties)
        if self.has_macros:
            book.notes.append("マクロ付きのブックです。マクロは実行せず、保存されている値だけを読みました。")
        for sheet in self.sheets:
            found = self.marks.get(sheet.name, SheetMarks())
            found.merges = found.merges or sheet.merges
            grid = _SheetGrid(sheet.name, sheet.values(), found)
            book.notes += grid.notes()
            book.sheets.append(grid.sheet(sheet.hidden))
        return book


def read_workbook(body: bytes, name: str) -> Book:
    """Read every sheet, hidden ones too; arguments and errors as `open_workbook`."""
    return open_workbook(body, name).book()


def open_workbook(body: bytes, name: str) -> OpenedWorkbook:
    """Read a workbook.

    Args:
        body: the bytes of the file.
        name: its name, for messages and to recognise Excel's lock files; the format is judged by the bytes.

    Raises:
        UnreadableFile: password, cut off, damaged, no workbook, too large, a bomb; each says what was found.
    """
    file_kind.guard_name(body, name)
    file_kind.guard_size(body, name, file_kind.MAX_WORKBOOK)
    if file_kind.container_of(body, name) == "ole":
        body, records = xls_marks.opened(body, name)
        if records is not None:
            with CalamineProcess(body, name) as reading:
                marks = xls_marks.read_marks(records, name)
                guard_cells(name, marks)
                return OpenedWorkbook("xls", reading.sheets(), marks, {})
    parts = ZipParts(body, name)
    if "xl/workbook.xml" in parts:
        with CalamineProcess(body, name) as reading:
            found = xlsx_marks.read_marks(parts)
            guard_cells(name, found.sheets)
            macros = "xl/vbaProject.bin" in parts
            kind = "xlsm" if macros else "xlsx"
            return OpenedWorkbook(kind, reading.sheets(), found.sheets, found.properties, macros)
    if "content.xml" in parts:
        with CalamineProcess(body, name) as reading:
            marks = ods_marks.read_marks(parts)
            guard_cells(name, marks)
            return OpenedWorkbook("ods", reading.sheets(), marks, {})
    raise _other_zip(parts)


def _other_zip(parts: ZipParts) -> UnreadableFile:
    if "xl/workbook.bin" in parts:
        return file_kind.wrong_kind(parts.name, "Excel バイナリ ブック（.xlsb）")
    for folder, kind in (("word/", "Word の文書"), ("ppt/", "PowerPoint の資料")):
        if any(part.startswith(folder) for part in parts):
            return file_kind.wrong_kind(parts.name, kind)
    inside = "、".join(list(parts)[:5])
    return UnreadableFile(
        f"{parts.name}：ブックではなく ZIP の圧縮ファイルです（中身：{inside[:200] or 'なし'}）。"
        "展開して、中のファイルをそのまま出してください。",
        "file.zip",
    )


class _SheetGrid:
    """Values of one sheet, made into cells row by row."""

    def __init__(self, name: str, values: list[list[Any]], marks: SheetMarks) -> None:
        self._prefix, self._values, self._marks = f"{name}!", values, marks
        while values and not any(value != "" for value in values[-1]):
            values.pop()
        said = [*marks.formulas, *marks.errors]
        self.height = max([len(values), *(row + 1 for row, _ in said)])
        width = len(values[0]) if values else 0
        while width and all(row[width - 1] == "" for row in values):
            width -= 1
        self.width = max([width, *(column + 1 for _, column in said)])
        self._letters = [column_letters(column) for column in range(self.width)]
        self._hidden_columns = [marks.hides_column(column) for column in range(self.width)]
        self._covered = self._merged()
        self._formula_rows = {row for row, _ in said}
        self._texts: dict[int, list[tuple[int, str]]] = {}
        for (row, column), text in marks.texts.items():
            if row < self.height and column < self.width:
                self._texts.setdefault(row, []).append((column, text))
        self._shown: dict[int, list[int]] = {}
        for row, column in {**marks.styles, **marks.runs}:
            if row < self.height and column < self.width:
                self._shown.setdefault(row, []).append(column)

    def sheet(self, hidden: bool) -> Sheet:
        """The sheet with what stands on it beside its rows."""
        marks = self._marks
        return Sheet(
            self._prefix[:-1],
            Rows(self.height, self.row),
            hidden,
            remarks=marks.remarks,
            hidden_rows=sorted(row for row in marks.hidden_rows if row < self.height),
            hidden_columns=[column for column, hides in enumerate(self._hidden_columns) if hides],
            merges=marks.merges,
            struck_rows=self._struck_rows(),
            day_zero=marks.day_zero,
        )

    def _struck_rows(self) -> list[int]:
        marks = self._marks
        rows = {row for (row, _), style in marks.styles.items() if style.struck}
        rows |= {row for (row, _), runs in marks.runs.items() if any(run.struck for run in runs)}
        return [row for row in sorted(rows) if row < self.height and self._is_struck(row)]

    def _is_struck(self, row: int) -> bool:
        cells = [cell for cell in self.row(row) if cell.value is not None]
        return bool(cells) and all(cell.seen and cell.seen.doubt == STRUCK_OUT for cell in cells)

    def _merged(self) -> dict[int, dict[int, Position]]:
        """Row → column → top-left cell of the merged area, for the cells it covers; values under them are taken out."""
        covered: dict[int, dict[int, Position]] = {}
        self._under: list[str] = []
        area = 0
        for (top, left), (bottom, right) in self._marks.merges:
            rows, columns = range(top, min(bottom + 1, self.height)), range(left, min(right + 1, self.width))
            area += len(rows) * len(columns)
            if area > self.height * self.width:
                break  # areas that overlap: no program writes them, and marking them over and over has no end
            for row in rows:
                for column in columns:
                    if (row, column) != (top, left):
                        covered.setdefault(row, {})[column] = (top, left)
                        if row < len(self._values) and column < len(self._values[row]):
                            if self._values[row][column] != "":
                                self._under.append(f"{self._prefix}{column_letters(column)}{row + 1}")
                            self._values[row][column] = ""
        return covered

    def notes(self) -> list[str]:
        if not self._under:
            return []
        return [f"結合セルの下に見えない値があり、読みませんでした：{'、'.join(self._under[:5])}"]

    def row(self, row: int) -> list[Cell]:
        """Cells of one row (0-based)."""
        values = self._values[row][: self.width] if row < len(self._values) else []
        place_row = str(row + 1)
        prefix = self._prefix
        cells: list[Cell] = []
        for letters, value in zip(self._letters, values, strict=False):
            cells.append(cell_of(value, f"{prefix}{letters}{place_row}"))
        for column in range(len(cells), self.width):
            cells.append(Cell(None, f"{prefix}{self._letters[column]}{place_row}", ""))
        for column, text in self._texts.get(row, ()):
            if (row, column) not in self._marks.errors:
                cells[column].value = cells[column].text = text
        self._mark(row, cells)
        return cells

    def _mark(self, row: int, cells: list[Cell]) -> None:
        if row in self._formula_rows:
            for column, cell in enumerate(cells):
                self._mark_formula((row, column), cell)
        for column in self._shown.get(row, ()):
            if (row, column) not in self._marks.errors:
                position = (row, column)
                style, runs = self._marks.styles.get(position), self._marks.runs.get(position)
                show(cells[column], style, runs, self._marks.day_zero)
        if self._marks.hides_zeros:
            for cell in cells:
                hide_zero(cell)
        for column, origin in self._covered.get(row, {}).items():
            cells[column].merged_from = origin
        if row in self._marks.hidden_rows:
            for cell in cells:
                cell.hidden = True
        elif any(self._hidden_columns):
            for cell, hidden in zip(cells, self._hidden_columns, strict=True):
                cell.hidden = cell.hidden or hidden

    def _mark_formula(self, position: Position, cell: Cell) -> None:
        marks = self._marks
        cell.formula = marks.formulas.get(position)
        if position in marks.errors:
            cell.value = cell.text = marks.errors[position]
        elif position in marks.uncached:
            cell.value, cell.text = None, ""
        elif cell.formula is not None and cell.value is None:
            cell.value = ""  # a result that shows nothing, unlike a formula that was never calculated


def cell_of(value: Any, place: str) -> Cell:
    """A cell from what calamine gives for it."""
    if value == "":
        return Cell(None, place, "")
    if isinstance(value, str):
        return Cell(value, place, value)
    if isinstance(value, float):
        if not isfinite(
            value
        ):  # written by a program that divided by nothing; no spreadsheet shows it as a number
            return Cell(str(value), place, str(value))
        shown, text = number_and_text(value)
        return Cell(shown, place, text)
    true = _true_value(value)
    return Cell(true, place, text_of(true))


def _true_value(value: Any) -> Value:
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    true: Value = value
    return true
