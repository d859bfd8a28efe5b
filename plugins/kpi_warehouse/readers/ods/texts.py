"""The texts of one sheet of an OpenDocument spreadsheet: of a cell with its fonts, of comments, of shapes."""

from __future__ import annotations

from kpi_warehouse.readers.grid import Remark, column_letters
from kpi_warehouse.readers.ods.styles import OdsStyles
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.shown.text_runs import Level, Run, says_more

_SHAPES = {
    "frame",
    "custom-shape",
    "rect",
    "ellipse",
    "circle",
    "line",
    "caption",
    "connector",
    "polygon",
    "polyline",
    "path",
    "control",
}
# Who wrote a comment, and when: no part of what it says.
_OF_COMMENT = {"creator", "date", "date-string", "creator-initials"}


class CellTexts:
    """Follows the events of a parser inside a sheet; `text` and `runs` are of the cell that ends."""

    def __init__(self, styles: OdsStyles) -> None:
        self._styles = styles
        self._marks, self._sheet = SheetMarks(), ""
        self._row = self._column = 0
        self._fonts: list[str] = []
        self._runs: list[Run] = []
        self._paragraphs = 0
        self._in_paragraph = 0
        self._remark: list[str] | None = None
        self._remark_ends = ""
        self._depth = self._skipped = 0

    @property
    def text(self) -> str:
        """What stands in the cell, a line each paragraph."""
        return "".join(run.text for run in self._runs)

    @property
    def runs(self) -> tuple[Run, ...] | None:
        """Its parts by font; None where no font says anything."""
        return tuple(self._runs) if says_more(self._runs) else None

    def sheet(self, name: str, marks: SheetMarks) -> None:
        """A sheet begins; what is found goes into its marks."""
        self._sheet, self._marks = name, marks
        self._row = self._column = 0

    def cell(self, row: int, column: int) -> None:
        """A cell begins."""
        self._row, self._column = row, column
        self._fonts, self._runs, self._paragraphs, self._in_paragraph = [], [], 0, 0

    def start(self, tag: str, attributes: dict[str, str]) -> bool:
        """An element begins; whether it belongs to a text."""
        if self._remark is not None:
            self._depth += tag == self._remark_ends
            if tag in _OF_COMMENT:
                self._skipped += 1
            elif tag == "p" and self._remark:
                self._remark.append("\n")
            return True
        if tag == "annotation" or tag in _SHAPES:
            self._remark, self._remark_ends, self._depth = [], tag, 1
            return True
        if tag == "p":
            if self._paragraphs:
                self._add("\n")
            self._paragraphs += 1
            self._in_paragraph += 1
            return True
        if not self._in_paragraph:
            return False
        if tag == "span":
            self._fonts.append(attributes.get("text:style-name", ""))
        elif tag == "s":
            count = attributes.get("text:c", "1")
            self._add(" " * (min(int(count), 1000) if count.isdecimal() else 1))
        elif tag in ("line-break", "tab"):
            self._add("\n" if tag == "line-break" else "\t")
        return True

    def characters(self, text: str) -> None:
        """Letters of the element that is open."""
        if self._remark is not None:
            if not self._skipped:
                self._remark.append(text)
        elif self._in_paragraph:
            self._add(text)

    def end(self, tag: str) -> bool:
        """An element ends; whether it belongs to a text."""
        if self._remark is not None:
            self._depth -= tag == self._remark_ends
            if tag in _OF_COMMENT:
                self._skipped -= 1
            if not self._depth:
                self._tell("comment" if tag == "annotation" else "shape", "".join(self._remark))
                self._remark = None
            return True
        if tag == "p" and self._in_paragraph:
            self._in_paragraph -= 1
            return True
        if self._in_paragraph:
            if tag == "span" and self._fonts:
                self._fonts.pop()
            return True
        return False

    def _add(self, text: str) -> None:
        struck: bool | None = None
        level: Level | None = None
        for name in self._fonts:
            through, raised = self._styles.font(name)
            struck = struck if through is None else through
            level = raised or level
        if self._runs and (self._runs[-1].struck, self._runs[-1].level) == (struck, level):
            self._runs[-1] = Run(self._runs[-1].text + text, struck, level)
        else:
            self._runs.append(Run(text, struck, level))

    def _tell(self, kind: str, text: str) -> None:
        lines = "\n".join(line for line in (each.strip() for each in text.split("\n")) if line)
        if lines:
            place = f"{self._sheet}!{column_letters(self._column)}{self._row + 1}"
            self._marks.remarks.append(
                Remark("comment" if kind == "comment" else "shape", lines, place, self._row, self._column)
            )
