"""What every reader of a departmental file hands over: sheets of cells, each with its place and what a person sees there.

A workbook, a delimited text and a JSON document look the same from here on, so the layout engine knows one shape only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Literal, overload

Value = str | int | float | Decimal | date | datetime | bool | None
Number = int | Decimal

# Excel keeps doubles and shows at most 15 significant digits; what lies behind is noise of binary fractions.
_SHOWN = Context(prec=15)
# Rows of a long sheet kept after they were built; more live objects cost the garbage collector more than building anew.
_KEPT_ROWS = 8192
# Day 0 of the serials in which a spreadsheet counts days; some workbooks of old Macs count from 1904.
DAY_ZERO, DAY_ZERO_1904 = date(1899, 12, 30), date(1904, 1, 1)


@dataclass(frozen=True, slots=True)
class Seen:
    """How what a person sees in a cell differs from what the file stores there. Most cells have none.

    Args:
        stored: the value in the file: 0.913 where `91.3%` is shown, `2341` where 234 and a raised 1 are.
        exact: the number that is shown, before its digits were rounded, in the unit and scale that are shown: 91.345 where
            `91.3%` is, 1234.567 where `1,235` is, -123 where `▲123` is; None where no one number is shown.
        raised: superscript and subscript parts taken out of the text, in order: they point to footnotes.
        struck: parts with a line through them taken out of the text, in order: they are no data.
        doubt: why the value must not be taken for data as it stands, in Japanese, to be said behind `expected`: the cell is
            struck out as a whole, its format hides a minus or shows nothing. Whoever reads the meaning of such a cell
            makes a fault of it.
    """

    stored: Value
    exact: Number | None = None
    raised: tuple[str, ...] = ()
    struck: tuple[str, ...] = ()
    doubt: str | None = None


@dataclass(slots=True)
class Cell:
    """One cell.

    Args:
        value: what the cell says, with its true type; None for an empty cell, and for a formula that was never calculated.
            A number whose format adds to it (a sign, a unit, a scale, words) is the text that is shown, as if it had been
            typed: `91.3%`, `▲123`, `123千人`, `2023年度`; `seen` then has the number.
        place: where a person finds it: `移住!C5`, `行12:4`, `/records/0/name`.
        text: what a person sees there as far as known: a number in plain decimals, a date as YYYY-MM-DD, where the format
            shows no other digits or words.
        hidden: its row or its column is hidden.
        formula: text of the formula without `=`; `value` is then the result the file was saved with.
        merged_from: 0-based (row, column) of the top-left cell of the merged area; None outside and for that cell itself.
        seen: where a person sees something else than is stored.
    """

    value: Value
    place: str
    text: str
    hidden: bool = False
    formula: str | None = None
    merged_from: tuple[int, int] | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A text that stands on a sheet and in no cell.

    Args:
        kind: a comment at a cell (コメント、メモ), a text box or another shape with text, a line of the printed header or
            footer.
        text: what it says, one line each paragraph.
        place: the cell it is at (`移住!C5`), of a shape the one under its top left corner; the sheet for a printed line.
        row, column: of that cell, 0-based; None for a printed line.
    """

    kind: Literal["comment", "shape", "print"]
    text: str
    place: str
    row: int | None
    column: int | None


@dataclass
class Sheet:
    """One sheet: rows of equal length from A1 on, without the empty rows and columns behind the last value.

    Args:
        remarks: every comment and every shape with text, and what is printed above and below.
        hidden_rows, hidden_columns: 0-based, those with a value in them.
        merges: top-left and bottom-right cell (0-based row, column) of each merged area.
        struck_rows: 0-based rows of which every cell that holds something is struck out.
        day_zero: the day a serial number is counted from in this workbook.
    """

    name: str
    rows: Sequence[list[Cell]]
    hidden: bool = False
    remarks: Sequence[Remark] = ()
    hidden_rows: Sequence[int] = ()
    hidden_columns: Sequence[int] = ()
    merges: Sequence[tuple[tuple[int, int], tuple[int, int]]] = ()
    struck_rows: Sequence[int] = ()
    day_zero: date = DAY_ZERO


@dataclass
class Book:
    """What a file holds.

    Args:
        sheets: in the order of the file, hidden ones too.
        format: xlsx, xlsm, xls, ods, csv or json.
        encoding: of a text file, as verified; None for a workbook.
        properties: custom document properties, and defined names that stand for a constant (`kpi_contract`).
        notes: what the person who sent the file should know though it was read, in Japanese (macros are not run).
    """

    sheets: list[Sheet]
    format: str
    encoding: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Rows(Sequence[list[Cell]]):
    """Rows whose cells are built when looked at: a million cells as objects would cost more than reading the file.

    The last rows built are kept, so looking again at a row gives the same cells.
    """

    def __init__(self, count: int, build: Callable[[int], list[Cell]]) -> None:
        self._count, self._build = count, build
        self._kept: dict[int, list[Cell]] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> list[Cell]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[Cell]]: ...
    def __getitem__(self, index: int | slice) -> list[Cell] | list[list[Cell]]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        if index < 0:
            index += self._count
        row = self._kept.get(index)
        if row is None:
            if not 0 <= index < self._count:
                raise IndexError(index)
            if len(self._kept) >= _KEPT_ROWS:
                self._kept.clear()
            row = self._kept[index] = self._build(index)
        return row


def number(value: float) -> Number:
    """The number Excel shows for a double: `0.30000000000000004` → `0.3`, `3.0` → `3`; exact for up to 15 digits."""
    if value.is_integer() and abs(value) < 1e15:
        return int(value)
    shown = _SHOWN.create_decimal(repr(value))
    return (
        int(shown)
        if shown == shown.to_integral_value() and abs(shown) < Decimal("1e15")
        else shown.normalize()
    )


@lru_cache(maxsize=65536)
def number_and_text(value: float) -> tuple[Number, str]:
    """`number` and its plain decimals; figures of a table repeat, so most are looked up."""
    shown = number(value)
    return shown, format(shown, "f" if isinstance(shown, Decimal) else "d")


def text_of(value: Value) -> str:
    """What a person sees: plain decimals, dates as YYYY-MM-DD, TRUE and FALSE as Excel writes them; "" for None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):  # before int: True is one
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        value = number(value)
    if isinstance(value, date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return "" if value is None else format(value, "f" if isinstance(value, Decimal) else "d")


@lru_cache(maxsize=1024)
def column_letters(column: int) -> str:
    """0 → A, 25 → Z, 26 → AA."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
