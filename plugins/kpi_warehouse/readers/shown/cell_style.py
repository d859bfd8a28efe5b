"""The style of a cell as far as it changes what a person reads there, and what becomes of the cell by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from kpi_warehouse.readers.grid import DAY_ZERO_1904, Cell, Number, Seen, Value, number, text_of
from kpi_warehouse.readers.shown.number_format import Display, NumberFormat, Says
from kpi_warehouse.readers.shown.text_runs import Run, sorted_runs

STRUCK_OUT = "取り消し線のない値（セルに取り消し線が引かれています）"
_RAISED = "ふつうの大きさの文字（セル全体が上付き・下付きの文字で、注の番号のようです）"
ZERO_HIDDEN = "見える値（シートの設定が 0 を表示していません）"
_LAST_SERIAL = 2_958_465  # 9999-12-31


@dataclass(frozen=True, eq=False, slots=True)
class CellStyle:
    """Number format and font of a cell.

    Args:
        format: None for General.
        struck: the font has a line through it.
        raised: the font is superscript or subscript.
    """

    format: NumberFormat | None = None
    struck: bool = False
    raised: bool = False

    @property
    def is_plain(self) -> bool:
        return self.format is None and not (self.struck or self.raised)

    @property
    def says(self) -> Says:
        """The most it may do to a cell that is not 0."""
        if self.struck or self.raised:
            return Says.VALUE
        return self.format.says if self.format else Says.NO_MORE

    @property
    def says_of_zero(self) -> Says:
        """The most it may do to a 0."""
        return max(self.says, self.format.says_of_zero if self.format else Says.NO_MORE)


def show(cell: Cell, style: CellStyle | None, runs: Sequence[Run] | None, day_zero: date) -> None:
    """Make of a cell with its stored value what a person reads there.

    Args:
        cell: changed in place.
        style: of the cell; None for one that says nothing.
        runs: parts of its text, where fonts in it say something.
        day_zero: the day serials count from.
    """
    stored = cell.value
    if stored is None:
        return
    raised: tuple[str, ...] = ()
    struck: tuple[str, ...] = ()
    doubt = None
    if runs and isinstance(stored, str):
        sorted_text = sorted_runs(runs, bool(style and style.struck))
        raised, struck = sorted_text.raised, sorted_text.struck
        whole = "".join(run.text for run in runs)
        if sorted_text.whole_struck:
            doubt = STRUCK_OUT
        elif not sorted_text.text and raised:
            cell.value = cell.text = whole.strip()
            doubt = _raised_alone(cell.value)
        else:
            cell.value = cell.text = sorted_text.text
    elif style and style.struck:
        struck, doubt = (cell.text.strip(),), STRUCK_OUT
    elif style and style.raised:
        raised, doubt = (cell.text.strip(),), _raised_alone(stored)
    exact = None
    if style and style.format:
        display = _display(cell, style.format, day_zero)
        if display is not None:
            cell.text = display.text
            doubt = doubt or display.doubt
            if display.typed is not None:
                cell.value, exact = display.typed, display.exact
            elif display.doubt and not display.text:
                cell.hidden = True
    if raised or struck or doubt or cell.value != stored:
        cell.seen = Seen(stored, exact, raised, struck, doubt)


def hide_zero(cell: Cell) -> None:
    """A 0 on a sheet that shows none."""
    value = cell.value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and value == 0:
        known = cell.seen or Seen(cell.value)
        cell.seen = replace(known, doubt=known.doubt or ZERO_HIDDEN)
        cell.text, cell.hidden = "", True


def _raised_alone(value: Value) -> str | None:
    """A cell that is nothing but small figures is a reference, no data; small words are words."""
    return _RAISED if not isinstance(value, str) or value.strip().strip("()（）").isnumeric() else None


def _display(cell: Cell, form: NumberFormat, day_zero: date) -> Display | None:
    """What the format shows of the cell; None where it shows the value as it is. May mend the type of the value."""
    value = cell.value
    if isinstance(value, str):
        return form.show_text(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, date) and not form.is_date:
        value = cell.value = _serial(value, day_zero)
    elif form.is_date and not isinstance(value, date):
        value = cell.value = (None if form.is_length else _day(value, day_zero)) or value
    if isinstance(value, date):
        display = form.show_day(value)
        return replace(display, text=text_of(value)) if _same_day(display, value) else display
    display = form.show(value if isinstance(value, int | Decimal) else number(value))
    if display.typed is None and display.doubt is None and _same_number(display.text, value):
        return replace(display, text=text_of(value))
    return display


def _same_day(display: Display, value: date) -> bool:
    """Whether the text shows year, month and day in figures, which the plain form does as well."""
    if display.typed is not None:
        return False
    figures = "".join(
        letter if letter.isascii() and letter.isdecimal() else " " for letter in display.text
    ).split()
    return list(map(int, figures[:3])) == [value.year, value.month, value.day]


def _same_number(text: str, value: Number | float) -> bool:
    try:
        return Decimal(text.replace(",", "")) == value
    except InvalidOperation:
        return False


def _serial(value: date, day_zero: date) -> Number:
    """The number that was taken for a day."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    days = moment - datetime.combine(day_zero, time())
    whole, rest = divmod(days, timedelta(days=1))
    return whole if not rest else Decimal(repr(days / timedelta(days=1)))


def _day(value: float | Decimal, day_zero: date) -> date | datetime | None:
    """The day a number means; None for one that is no day, and for 1900 before March, which Excel counts wrongly."""
    number = float(value)
    first = 0 if day_zero == DAY_ZERO_1904 else 61
    if not first <= number <= _LAST_SERIAL:
        return None
    try:
        moment = datetime.combine(day_zero, time()) + timedelta(days=number)
    except OverflowError:
        return None
    moment = (moment + timedelta(microseconds=500)).replace(microsecond=0)
    return moment.date() if moment.time() == time() else moment
