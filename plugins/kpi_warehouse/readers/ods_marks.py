"""Marks of an OpenDocument spreadsheet: hidden rows and columns, merged areas, formulas, errors, how far it reaches.

A row or a cell says how often it is repeated, so a file of one kilobyte can hold a billion values: they are counted
here before anything builds them.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.zip_parts import ZipParts

# The last row and column of every spreadsheet program.
_LAST = {"number-rows-repeated": 1_048_576, "number-columns-repeated": 16_384}
_ERROR = re.compile(r"#[A-Z0/]+[!?]?|(?:Err|エラー)[:：]\d+")
_GROUPS = ("table", "table-row", "table-column", "table-cell", "covered-table-cell", "p")


def read_marks(parts: ZipParts) -> dict[str, SheetMarks]:
    """Inflate every part, and take from the content what calamine does not give, by sheet.

    Raises:
        UnreadableFile: a damaged part, a password, XML that is none, repeats beyond what a spreadsheet holds.
    """
    reading = _ContentReading(parts)
    for part in parts:
        xml = parts.read(part)
        if part == "META-INF/manifest.xml" and b"encryption-data" in xml:
            raise UnreadableFile(
                f"{parts.name}：パスワードで保護されていて開けません。パスワードを外して再提出してください。",
                "file.password",
            )
        if part == "content.xml":
            content = xml
    try:
        return reading.parse(content)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnreadableFile(
            f"{parts.name}：中の「content.xml」が XML として読めません（{error}）。もう一度保存して出し直してください。",
            "file.damaged",
        ) from error


class _ContentReading:
    def __init__(self, parts: ZipParts) -> None:
        self._parts = parts
        self._sheets: dict[str, SheetMarks] = {}
        self._marks = SheetMarks()
        self._row = self._column = self._style_column = 0
        self._row_repeat = self._repeat = 1
        self._attributes: dict[str, str] = {}
        self._text: list[str] | None = None
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
        local = tag.rpartition(":")[2]
        if local not in _GROUPS:
            return
        said = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        hidden = said.get("visibility") in ("collapse", "filter")
        if local == "table":
            self._depth += 1  # a table inside a cell is a picture of one, not a sheet
            if self._depth == 1:
                self._marks = self._sheets.setdefault(said.get("name", ""), SheetMarks())
                self._row = self._style_column = 0
        elif local == "table-column":
            columns = range(
                self._style_column, self._style_column + self._repeats(said, "number-columns-repeated")
            )
            self._style_column = columns.stop
            if hidden:
                self._marks.hidden_columns.append(columns)
        elif local == "table-row":
            self._column = 0
            self._row_repeat = self._repeats(said, "number-rows-repeated")
            if hidden:
                self._marks.hidden_rows.update(range(self._row, self._row + self._row_repeat))
        elif local in ("table-cell", "covered-table-cell"):
            self._repeat = self._repeats(said, "number-columns-repeated")
            # A value type is named twice (office and calcext); the second one knows of errors.
            self._attributes = said | {
                "error": "1" if "error" in (attributes.get("calcext:value-type"),) else ""
            }
            self._text = []

    def _repeats(self, said: dict[str, str], key: str) -> int:
        repeated = int(said.get(key, "1"))
        if not 1 <= repeated <= _LAST[key]:
            raise self._parts.unsafe(f"{repeated:,} 回の繰り返し", f"{_LAST[key]:,} 回以下")
        return repeated

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        local = tag.rpartition(":")[2]
        if local == "table":
            self._depth -= 1
        elif local == "table-row":
            self._row += self._row_repeat
        elif local in ("table-cell", "covered-table-cell"):
            self._finish()
            self._column += self._repeat
            self._text = None

    def _finish(self) -> None:
        said, text = self._attributes, "".join(self._text or []).strip()
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
