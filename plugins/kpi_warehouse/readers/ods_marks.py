"""Marks of an OpenDocument spreadsheet: what calamine does not give of it, and how far it reaches.

A row or a cell says how often it is repeated, so a file of one kilobyte can hold a billion values: they are counted
here before anything builds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from xml.parsers import expat

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.grid import DAY_ZERO, DAY_ZERO_1904
from kpi_warehouse.readers.ods.styles import OdsStyles
from kpi_warehouse.readers.ods.texts import CellTexts
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.zip_parts import ZipParts

# The last row and column of every spreadsheet program.
_LAST = {"number-rows-repeated": 1_048_576, "number-columns-repeated": 16_384}
# One cell that stands for so many others, with a style that says something, is no table of figures.
_TRUTH = ("TRUE", "FALSE")
_MOST_STYLED = 100_000
_ERROR = re.compile(r"#[A-Z0/]+[!?]?|(?:Err|エラー)[:：]\d+")
_CELLS = ("table-cell", "covered-table-cell")
_HIDES_ZEROS = re.compile(rb'name="ShowZeroValues"[^>]*>\s*false\s*<')


def read_marks(parts: ZipParts) -> dict[str, SheetMarks]:
    """Inflate every part, and take from the content what calamine does not give, by sheet.

    Raises:
        UnreadableFile: a damaged part, a password, XML that is none, repeats beyond what a spreadsheet holds.
    """
    kept: dict[str, bytes] = {}
    for part in parts:
        xml = parts.read(part)
        if part == "META-INF/manifest.xml" and b"encryption-data" in xml:
            raise UnreadableFile(
                f"{parts.name}：パスワードで保護されていて開けません。パスワードを外して再提出してください。",
                "file.password",
            )
        if part in ("content.xml", "styles.xml", "settings.xml"):
            kept[part] = xml
    styles = OdsStyles()
    reading, part = _ContentReading(parts, styles), "styles.xml"
    try:
        if part in kept:
            _StylesReading(styles).parse(kept[part])
        part = "content.xml"
        sheets = reading.parse(kept[part])
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnreadableFile(
            f"{parts.name}：中の「{part}」が XML として読めません（{error}）。もう一度保存して出し直してください。",
            "file.damaged",
        ) from error
    for marks in sheets.values():
        marks.day_zero = reading.day_zero
        marks.hides_zeros = _HIDES_ZEROS.search(kept.get("settings.xml", b"")) is not None
    return sheets


class _StylesReading:
    def __init__(self, styles: OdsStyles) -> None:
        self._styles = styles

    def parse(self, xml: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._styles.characters
        parser.Parse(xml, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._styles.start(local(tag), {local(key): value for key, value in attributes.items()})

    def _end(self, tag: str) -> None:
        self._styles.end(local(tag))


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(":")[2]


class _ContentReading:
    def __init__(self, parts: ZipParts, styles: OdsStyles) -> None:
        self.day_zero = DAY_ZERO
        self._parts, self._styles = parts, styles
        self._sheets: dict[str, SheetMarks] = {}
        self._marks = SheetMarks()
        self._texts = CellTexts(styles)
        self._column_styles: list[tuple[range, str]] = []
        self._row_style = ""
        self._row = self._column = self._style_column = 0
        self._row_repeat = self._repeat = 1
        self._attributes: dict[str, str] = {}
        self._in_body = self._in_cell = False
        self._depth = 0

    def parse(self, xml: bytes) -> dict[str, SheetMarks]:
        parser = expat.ParserCreate("utf-8")  # as calamine reads it, whatever the declaration says
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(xml, True)
        return self._sheets

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = local(tag)
        if not self._in_body:
            if tag == "body":
                self._in_body = True
            else:
                self._styles.start(tag, {local(key): value for key, value in attributes.items()})
            return
        if self._texts.start(tag, attributes):
            return
        if tag in ("table", "table-row", "table-column", *_CELLS):
            self._structure(tag, attributes)
        elif tag == "null-date":
            said = {local(key): value for key, value in attributes.items()}
            if said.get("date-value", "").startswith(DAY_ZERO_1904.isoformat()):
                self.day_zero = DAY_ZERO_1904

    def _structure(self, tag: str, attributes: dict[str, str]) -> None:
        said = {local(key): value for key, value in attributes.items()}
        hidden = said.get("visibility") in ("collapse", "filter")
        if tag == "table":
            self._depth += 1  # a table inside a cell is a picture of one, not a sheet
            if self._depth == 1:
                name = said.get("name", "")
                self._marks = self._sheets.setdefault(name, SheetMarks())
                self._texts.sheet(name, self._marks)
                self._row = self._style_column = 0
                self._column_styles = []
        elif tag == "table-column":
            columns = range(
                self._style_column, self._style_column + self._repeats(said, "number-columns-repeated")
            )
            self._style_column = columns.stop
            if hidden:
                self._marks.hidden_columns.append(columns)
            if style := said.get("default-cell-style-name"):
                self._column_styles.append((columns, style))
        elif tag == "table-row":
            self._column = 0
            self._row_repeat = self._repeats(said, "number-rows-repeated")
            self._row_style = said.get("default-cell-style-name", "")
            if hidden:
                self._marks.hidden_rows.update(range(self._row, self._row + self._row_repeat))
        else:
            self._repeat = self._repeats(said, "number-columns-repeated")
            # A value type is named twice (office and calcext); the second one knows of errors.
            self._attributes = said | {
                "value-type": attributes.get("office:value-type", said.get("value-type", "")),
                "error": "1" if attributes.get("calcext:value-type") == "error" else "",
            }
            if "value-type" not in said:
                del self._attributes["value-type"]
            self._in_cell = True
            self._texts.cell(self._row, self._column)

    def _repeats(self, said: dict[str, str], key: str) -> int:
        repeated = int(said.get(key, "1"))
        if not 1 <= repeated <= _LAST[key]:
            raise self._parts.unsafe(f"{repeated:,} 回の繰り返し", f"{_LAST[key]:,} 回以下")
        return repeated

    def _characters(self, text: str) -> None:
        if self._in_body:
            self._texts.characters(text)
        else:
            self._styles.characters(text)

    def _end(self, tag: str) -> None:
        tag = local(tag)
        if not self._in_body:
            self._styles.end(tag)
        elif self._texts.end(tag):
            return
        elif tag == "table":
            self._depth -= 1
        elif tag == "table-row":
            self._row += self._row_repeat
        elif tag in _CELLS:
            self._finish()
            self._column += self._repeat
            self._in_cell = False

    def _finish(self) -> None:
        said, text = self._attributes, self._texts.text.strip()
        here = (self._row, self._column)
        rows, columns = (
            int(said.get("number-rows-spanned", "1")),
            int(said.get("number-columns-spanned", "1")),
        )
        if rows > 1 or columns > 1:
            self._marks.merges.append((here, (here[0] + rows - 1, here[1] + columns - 1)))
        formula = said.get("formula")
        if not (text or formula or "value-type" in said):
            return
        self._marks.reach(self._row + self._row_repeat - 1, self._column + self._repeat - 1)
        failed = bool(said["error"] or (formula and _ERROR.fullmatch(text)))
        if formula is not None:
            self._marks.formulas[here] = formula.removeprefix("of:").removeprefix("=")
            if "value-type" not in said and not text:
                self._marks.uncached.add(here)
        if failed:
            self._marks.errors[here] = text or "#VALUE!"
        kind = said.get("value-type")
        if (kind == "string" and ("\t" in text or "\n" in text)) or (kind == "float" and text in _TRUTH):
            self._as_it_stands(text)
        self._shown(said)

    def _as_it_stands(self, text: str) -> None:
        """A text with a tab or a line break in it, which the reader of values closes up; a TRUE, which it takes for 1."""
        self._bounded()
        for cell in self._repeated():
            self._marks.texts[cell] = text

    def _shown(self, said: dict[str, str]) -> None:
        """Style and fonts of the cell, and of those it stands for."""
        name = said.get("style-name") or self._row_style
        if not name:
            name = next((style for columns, style in self._column_styles if self._column in columns), "")
        style, runs = self._styles.cell(name, said.get("value-type", "")), self._texts.runs
        if style is None and runs is None:
            return
        self._bounded()
        for cell in self._repeated():
            if style is not None:
                self._marks.styles[cell] = style
            if runs is not None:
                self._marks.runs[cell] = runs

    def _bounded(self) -> None:
        if self._row_repeat * self._repeat > _MOST_STYLED:
            raise self._parts.unsafe(
                f"{self._row_repeat * self._repeat:,} セルの繰り返し", f"{_MOST_STYLED:,} セル以下"
            )

    def _repeated(self) -> Iterator[tuple[int, int]]:
        """The cell and those it stands for."""
        return product(
            range(self._row, self._row + self._row_repeat), range(self._column, self._column + self._repeat)
        )
