"""Marks of one xlsx sheet: what its XML says beside the values.

Searches over the bytes find them in the form every program writes, at a fifth of calamine's own time for a million
cells. A sheet in any other form (prefixed names, cells without a reference, comments) is parsed as XML instead, ten
times slower: the fast way proves that it missed nothing or is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from xml.parsers import expat

from openpyxl.formula.translate import Translator

from kpi_warehouse.readers.grid import column_letters
from kpi_warehouse.readers.sheet_marks import MAX_CELLS, Position, SheetMarks
from kpi_warehouse.readers.shown.cell_style import CellStyle
from kpi_warehouse.readers.shown.number_format import Says
from kpi_warehouse.readers.xlsx.texts import RunReading, Runs, says_by_font

# Excel's last row and column; a reference beyond them is no cell.
_LAST_ROW, _LAST_COLUMN = 1_048_576, 16_384
# Below this a sheet is parsed in milliseconds, so nothing is guessed about it.
_SMALL = 200_000
# A cell near the top left, A1 to Z99999; whatever looks otherwise stretches the sheet or is in another form.
# A formatted cell without content stretches nothing: forms are often formatted to the last row.
_FAR_CELL = re.compile(
    rb'<c(?! r="[A-Z]\d{1,5}"| r="[A-Z]{1,3}\d{1,7}"(?: s="\d+")?/>)[\s/>](?:r="([A-Z]{1,3})(\d{1,7})")?'
)
_LAST_ROW_TAG = re.compile(rb'<row r="(\d{1,7})"')
_NEAR_ROWS, _NEAR_COLUMNS = 99_999, 26
_OTHER_FORM = (
    re.compile(rb":(?:c|row|f|col)[\s/>]"),
    re.compile(rb"<!--|<!\[CDATA\["),
)
_OTHER_QUOTES = (b"hidden='", b"hidden =", b"t='e'", b"t ='e'", b't ="e"', b" s='", b" s =", b" t='", b" t =")
_HIDES_ZEROS = re.compile(rb'<sheetView [^>]*showZeros="(?:0|false)"')
# More texts with fonts of their own than this are not searched for one by one.
_MOST_TEXTS = 200
_FORMULA = re.compile(
    rb'<c r="([A-Z]{1,3}\d{1,7})"([^>]*)><f([^>]*?)(?:/>|>([^<]*)</f>)(?:<v[^>/]*>([^<]*)</v>)?'
)
_FORMULA_TAG = re.compile(rb"<f[\s/>]")
_ERROR = re.compile(
    rb'<c r="([A-Z]{1,3}\d{1,7})"[^>]* t="e"[^>]*>(?:<f[^>]*(?:/>|>[^<]*</f>))?(?:<v[^>/]*>([^<]*)</v>)?'
)
_HIDDEN_ROW = re.compile(rb'<row r="(\d{1,7})"[^>]* hidden="(?:1|true)"')
_HIDDEN_COLUMN = re.compile(rb'<col [^>]*hidden="(?:1|true)"[^>]*>')
_HIDDEN = re.compile(rb'hidden="(?:1|true)"')
_SHARED = re.compile(rb'si="(\d+)"')
_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")
# No number of a style or a shared text is longer.
_LONG = 12
# Formulas shifted to their own cell when they share one text; the rest keep the text of the first cell.
_SHIFTED = 20_000


@dataclass(frozen=True)
class BookParts:
    """What the sheets of a book share.

    Args:
        styles: by the number that a cell gives.
        runs: of the shared texts in which a font says something, by the number of the text.
    """

    styles: Sequence[CellStyle] = ()
    runs: Mapping[int, Runs] = field(default_factory=dict)

    @cached_property
    def of_any(self) -> list[int]:
        """Numbers of the styles that may change what any cell says."""
        return [number for number, style in enumerate(self.styles) if style.says is Says.VALUE]

    @cached_property
    def of_zero(self) -> list[int]:
        """Numbers of those that may only change what a 0 says."""
        said = [number for number, style in enumerate(self.styles) if style.says_of_zero is Says.VALUE]
        return [number for number in said if number not in set(self.of_any)]


def marks_of(xml: bytes, book: BookParts) -> SheetMarks:
    """Marks of one sheet.

    Raises:
        xml.parsers.expat.ExpatError: the bytes are no XML (only where they had to be parsed).
    """
    marks = _searched(xml, book) if len(xml) > _SMALL else None
    return parsed(xml, book) if marks is None else marks


def parsed(xml: bytes, book: BookParts) -> SheetMarks:
    """Marks of one sheet in any form, and exactly how far it reaches; raises as `marks_of`."""
    return _SheetReading(book).parse(xml)


def _searched(xml: bytes, book: BookParts) -> SheetMarks | None:
    """Marks by search; None where the form leaves a doubt."""
    if _is_in_doubt(xml, book):
        return None
    # Rows are written in order. Where one lies about its number, a cell still reaches no further than Z99999.
    last = _LAST_ROW_TAG.match(xml, max(xml.rfind(b"<row "), 0))
    rows, columns = min(int(last[1]), _NEAR_ROWS) if last else _NEAR_ROWS, _NEAR_COLUMNS
    for match in _FAR_CELL.finditer(xml):
        if match[1] is None:
            return None
        rows, columns = max(rows, int(match[2])), max(columns, _column(match[1].decode()) + 1)
    if rows * columns > MAX_CELLS:
        return None
    marks = SheetMarks(rows=rows, columns=columns, exact=False)
    said = len(_FORMULA_TAG.findall(xml))
    if said and said != _searched_formulas(xml, marks):
        return None
    if b't="e"' in xml:
        for match in _ERROR.finditer(xml):
            marks.errors[_position(match[1].decode())] = (match[2] or b"#N/A").decode(errors="replace")
        if len(marks.errors) != xml.count(b't="e"'):
            return None
    _searched_styles(xml, book, marks)
    return marks if _searched_hidden(xml, marks) else None


def _is_in_doubt(xml: bytes, book: BookParts) -> bool:
    """Whether a search could miss something: fonts inside the sheet, a meaningful default style, another way to write XML."""
    return (
        says_by_font(xml)
        or 0 in (*book.of_any, *book.of_zero)
        or len(book.runs) > _MOST_TEXTS
        or any(pattern.search(xml) for pattern in _OTHER_FORM)
        or any(text in xml for text in _OTHER_QUOTES)
    )


def _searched_styles(xml: bytes, book: BookParts, marks: SheetMarks) -> None:
    """Cells whose style or shared text says more than the value: few, or the sheet is no plain table anyway."""
    marks.hides_zeros = _HIDES_ZEROS.search(xml, 0, max(xml.find(b"<sheetData"), 0)) is not None
    if book.of_any:
        for match in re.finditer(_styled(book.of_any) + rb">", xml):
            marks.styles[_position(match[1].decode())] = book.styles[int(match[2])]
    if book.of_zero:
        for match in re.finditer(
            _styled(book.of_zero) + rb">(?:<f[^>]*(?:/>|>[^<]*</f>))?<v>-?0[.0]*</v>", xml
        ):
            marks.styles[_position(match[1].decode())] = book.styles[int(match[2])]
    if book.runs:
        texts = b"|".join(b"%d" % number for number in book.runs)
        shared = rb'<c r="([A-Z]{1,3}\d{1,7})"(?: s="(\d+)")? t="s"(?: s="(\d+)")?><v>(' + texts + rb")</v>"
        for match in re.finditer(shared, xml):
            marks.runs[_position(match[1].decode())] = book.runs[int(match[4])]


def _styled(numbers: list[int]) -> bytes:
    """A pattern for the begin of a cell of one of these styles; its place and style are the groups."""
    return (
        rb'<c r="([A-Z]{1,3}\d{1,7})"[^>]*? s="(' + b"|".join(b"%d" % each for each in numbers) + rb')"[^>/]*'
    )


def _searched_formulas(xml: bytes, marks: SheetMarks) -> int:
    formulas = _Formulas(marks)
    found = 0
    for found, match in enumerate(_FORMULA.finditer(xml), 1):  # noqa: B007
        cell, shared = _position(match[1].decode()), _SHARED.search(match[3])
        formulas.add(
            cell,
            unescape((match[4] or b"").decode(errors="replace")),
            shared[1].decode() if shared else None,
            bool(match[5]) or b't="str"' in match[2],
        )
    return found


def _searched_hidden(xml: bytes, marks: SheetMarks) -> bool:
    said = len(_HIDDEN.findall(xml))
    if said:
        marks.hidden_rows = {int(row) - 1 for row in _HIDDEN_ROW.findall(xml)}
        columns = _HIDDEN_COLUMN.findall(xml)
        for column in columns:
            first, last = re.search(rb'min="(\d{1,5})"', column), re.search(rb'max="(\d{1,5})"', column)
            if first and last:
                marks.hidden_columns.append(range(int(first[1]) - 1, int(last[1])))
        said -= len(marks.hidden_rows) + len(columns)
    return said == 0


class _Formulas:
    """Keeps formulas; one that shares the text of another cell is shifted to its own."""

    def __init__(self, marks: SheetMarks) -> None:
        self._marks = marks
        self._first: dict[str, tuple[str, str]] = {}
        self._shifted = 0

    def add(self, cell: Position, text: str, shared: str | None, calculated: bool) -> None:
        self._marks.formulas[cell] = self._own(cell, text, shared)
        if not calculated:
            self._marks.uncached.add(cell)

    def _own(self, cell: Position, text: str, shared: str | None) -> str:
        if shared is None:
            return text
        here = f"{column_letters(cell[1])}{cell[0] + 1}"
        if text:
            self._first[shared] = (text, here)
            return text
        text, origin = self._first.get(shared, ("", here))
        self._shifted += 1
        if not text or self._shifted > _SHIFTED:
            return text
        try:
            return str(Translator(f"={text}", origin=origin).translate_formula(here))[1:]
        except Exception:  # for people to read: what openpyxl cannot shift is shown as the first cell has it
            return text


class _SheetReading:
    """One pass over the XML of a sheet; keeps nothing of cells that are plain values."""

    def __init__(self, book: BookParts) -> None:
        self.marks = SheetMarks()
        self._book = book
        self._formulas = _Formulas(self.marks)
        self._row = -1
        self._style = 0
        self._runs: RunReading | None = None  # of the text inside the cell
        self._cell: Position = (-1, -1)
        self._type = ""
        self._formula: str | None = None
        self._shared: str | None = None
        self._text: list[str] = []
        self._cached: str | None = None
        self._valued = False

    def parse(self, xml: bytes) -> SheetMarks:
        parser = expat.ParserCreate("utf-8", "}")  # as calamine reads it, whatever the declaration says
        parser.buffer_text = True
        self._parser = parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.Parse(xml, True)
        return self.marks

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition("}")[2]
        if tag == "c":
            found = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._cell = _position(found[1] + found[2]) if found else (self._row, self._cell[1] + 1)
            self._type = attributes.get("t", "")
            style = attributes.get("s", "")
            self._style = int(style) if style.isdecimal() and len(style) < _LONG else 0
            self._formula = self._cached = None
            self._valued = False
        elif self._runs is not None:
            self._runs.start(tag, attributes)
        elif tag == "is":
            self._valued = True
            self._runs = RunReading()
            self._parser.CharacterDataHandler = self._runs.characters
        elif tag == "v":
            self._valued = True
            if self._formula is not None or self._type == "e" or (self._type == "s" and self._book.runs):
                self._collect()
        elif tag == "f":
            self._valued = True
            self._formula = ""
            self._shared = attributes.get("si") if attributes.get("t") == "shared" else None
            self._collect()
        elif tag == "row":
            number = attributes.get("r", "")
            self._row = int(number) - 1 if number.isdecimal() and len(number) <= 7 else self._row + 1
            self._cell = (self._row, -1)
            if attributes.get("hidden") in ("1", "true"):
                self.marks.hidden_rows.add(self._row)
        elif tag == "col" and attributes.get("hidden") in ("1", "true"):
            first, last = attributes.get("min", ""), attributes.get("max", "")
            if first.isdecimal() and last.isdecimal() and int(last) <= _LAST_COLUMN:
                self.marks.hidden_columns.append(range(int(first) - 1, int(last)))
        elif tag == "sheetView" and attributes.get("showZeros") in ("0", "false"):
            self.marks.hides_zeros = True

    def _collect(self) -> None:
        self._text = []
        self._parser.CharacterDataHandler = self._text.append

    def _end(self, tag: str) -> None:
        tag = tag.rpartition("}")[2]
        if tag == "c":
            if self._valued:
                self._finish()
        elif tag == "is" and self._runs is not None:
            if runs := self._runs.finish():
                self.marks.runs[self._cell] = runs
            self._runs = None
            self._parser.CharacterDataHandler = None
        elif self._runs is not None:
            self._runs.end(tag)
        elif tag == "v" and self._parser.CharacterDataHandler is not None:
            self._cached = "".join(self._text)
            self._parser.CharacterDataHandler = None
        elif tag == "f":
            self._formula = "".join(self._text)
            self._parser.CharacterDataHandler = None

    def _finish(self) -> None:
        marks, cell = self.marks, self._cell
        marks.reach(*cell)
        styles = self._book.styles
        if self._style < len(styles) and not styles[self._style].is_plain:
            marks.styles[cell] = styles[self._style]
        if self._type == "s" and self._cached and self._cached.strip().isdecimal():
            runs = self._book.runs.get(int(self._cached)) if len(self._cached) < _LONG else None
            if runs:
                marks.runs[cell] = runs
        if self._type == "e":
            marks.errors[cell] = self._cached or "#N/A"
        if self._formula is not None:
            # An empty text is a result (="" shows nothing on purpose); an empty number is none.
            calculated = bool(self._cached) or self._type == "str"
            self._formulas.add(cell, self._formula, self._shared, calculated)


def _position(reference: str) -> Position:
    """`B3` → (2, 1)."""
    letters = reference.rstrip("0123456789")
    return min(int(reference[len(letters) :]), _LAST_ROW) - 1, min(_column(letters), _LAST_COLUMN - 1)


def _column(letters: str) -> int:
    column = 0
    for letter in letters.upper():
        column = column * 26 + ord(letter) - 64
    return column - 1
