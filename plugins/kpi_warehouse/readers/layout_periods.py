"""Periods of a table: of its headings, of its rows, of the document, and how the contract narrows what they mean."""

from __future__ import annotations

import calendar
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from kpi_warehouse.contract_layout import Year
from kpi_warehouse.japanese.periods import (
    Period,
    fiscal_year,
    has_era_year,
    inherit_era,
    is_bare_month,
    read_date,
    read_period,
)
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.readers.grid import DAY_ZERO, Cell, text_of

# Excel serials from 1954 to 2119: no year and no count that stands in a period cell is that large.
_SERIALS = range(20_000, 80_000)
# A value whose year the source does not say: the date only fills the key, the kind says that it means nothing.
UNKNOWN_DATE = date(1900, 1, 1)
_UNKNOWN = re.compile(r"年?度?の?(不明|記載なし|記載無し)")
WHOLE_YEARS = ("年度", "暦年", "年")
_WIDENED = ("時点", "イベント")
_ONE_MONTH = "ひと月（例：令和6年5月、2024-05。この列は契約で月とされています）"


def period_of_text(text: str, year: Year | None, base: Period | None) -> Period:
    """The period a text says; 年度不明 and 年度の記載なし are a period of the kind 年度不明.

    Raises:
        Unreadable: no period.
    """
    if _UNKNOWN.fullmatch(fold(text)):
        return Period(UNKNOWN_DATE, UNKNOWN_DATE, "年度不明", None, None, text)
    return read_period(text, year=year, base=base)


def as_kind(period: Period, kind: str | None) -> Period:
    """The period under the kind the contract gives it; a day becomes the month or year around it."""
    if kind is None or period.kind in (kind, "年度不明"):
        return period
    start, end = period.start, period.end
    if kind == "年度不明":
        start = end = UNKNOWN_DATE
    elif kind == "時点":
        start = end
    elif period.kind in _WIDENED:
        start, end = _around(start, kind) or (start, end)
    return replace(period, start=start, end=end, kind=kind)


def is_of_kind(period: Period, kind: str | None) -> bool:
    """Whether the contract's kind can be true of a period: four months or a year are no 月, whatever the contract says."""
    if kind != "月" or period.kind in (kind, "年度不明", *_WIDENED):
        return True
    return (period.start.year, period.start.month) == (period.end.year, period.end.month)


def _around(day: date, kind: str) -> tuple[date, date] | None:
    if kind == "月":
        return day.replace(day=1), day.replace(day=calendar.monthrange(day.year, day.month)[1])
    if kind == "年度":
        return date(fiscal_year(day), 4, 1), date(fiscal_year(day) + 1, 3, 31)
    if kind in ("暦年", "年"):
        return date(day.year, 1, 1), date(day.year, 12, 31)
    return None


class PeriodsAbove:
    """What the periods above a cell say of it: the era of a year without one, the year of a month without one.

    A month takes the nearest whole year above it (平成26年, 1月, 2月 …), else it follows the month above it
    (R6.11月, 12月, 1月).
    """

    def __init__(self) -> None:
        self._era: str | None = None
        self._year: Period | None = None
        self._month: Period | None = None

    def with_era(self, text: str) -> str:
        """A year with the era of the one above."""
        return inherit_era(text, self._era)

    def base(self, text: str) -> Period | None:
        """The year that a month without one belongs to."""
        if not is_bare_month(text):
            return None
        month = int(re.match(r"[0-9]+", fold(text))[0])  # type: ignore[index]
        before = self._month.start if self._month is not None else None
        if self._year is not None:
            # Months that run backwards in a calendar year (4月 … 12月, 1月) may be of the next one.
            backwards = before is not None and month < before.month and self._year.kind != "年度"
            return None if backwards else self._year
        if before is None or month not in (before.month, before.month % 12 + 1):
            return None  # months that leap may begin anew, and nobody wrote of which year
        year = before.year + (month == 1 and before.month == 12)
        return Period(date(year, 1, 1), date(year, 12, 31), "暦年", None, None, text)

    def note(self, text: str, period: Period) -> None:
        """Keep what a cell says for those below it."""
        if has_era_year(text):
            self._era = text
        if period.kind in WHOLE_YEARS:
            self._year, self._month = period, None
        elif period.kind == "月":
            if not is_bare_month(text):
                self._year = None
            self._month = period


class PeriodCells:
    """Reads the period cells of one table; each distinct text is read once.

    Args:
        year: what a bare year means.
        base: the year a bare month belongs to where nothing nearer says it.
        day_zero: the day serial numbers count from in the workbook.
    """

    def __init__(self, year: Year | None, base: Period | None, day_zero: date = DAY_ZERO) -> None:
        self._year, self._base, self._day_zero = year, base, day_zero
        self._known: dict[tuple[str, Period | None, str | None], Period | str] = {}

    def read(
        self, cell: Cell, text: str, base: Period | None = None, kind: str | None = None
    ) -> Period | str:
        """The period of a cell, or what was expected of it, in Japanese.

        Args:
            cell: the cell.
            text: its text without footnote signs.
            base: a nearer year for a bare month, from the heading of the value's column.
            kind: the kind the contract gives it.
        """
        key = (text, base, kind)
        known = self._known.get(key)
        if known is None:
            read = self._read(cell, text, base or self._base)
            if not isinstance(read, str):
                read = as_kind(read, kind) if is_of_kind(read, kind) else _ONE_MONTH
            known = self._known[key] = read
        return known

    def _read(self, cell: Cell, text: str, base: Period | None) -> Period | str:
        value = cell.value
        try:
            if isinstance(value, date):
                # What is shown of a day may be the month or the year it lies in.
                if text != text_of(value) and (shown := self._shown(text, base)) is not None:
                    return shown
                day = read_date(value)
                return Period(day, day, "時点", None, None, text)
            if isinstance(value, float | Decimal) and value != int(value):
                # 2024.10 that was typed into a spreadsheet is 2024.1 there, which is another month.
                return "文字で書かれた期間（小数になっています。「2024.10」のような入力が数に変わった可能性があります）"
            if type(value) is int and value in _SERIALS and text == str(value):
                day = self._day_zero + timedelta(days=value)
                return Period(day, day, "時点", None, None, text)
            return period_of_text(text, self._year, base)
        except Unreadable as error:
            return error.expected_ja or "期間（例：R6年度、令和6年5月、2024-05）"

    def _shown(self, text: str, base: Period | None) -> Period | None:
        try:
            return period_of_text(text, self._year, base)
        except Unreadable:
            return None


def missing_between(periods: list[Period]) -> list[str]:
    """Months (years) that lack between the first and the last of periods of one kind, as a person writes them."""
    if len(periods) < 2 or len({period.kind for period in periods}) > 1:
        return []
    if periods[0].kind == "月":
        months = {period.start.year * 12 + period.start.month - 1 for period in periods}
        lacking = sorted(set(range(min(months), max(months) + 1)) - months)
        return [f"{month // 12}年{month % 12 + 1}月" for month in lacking]
    years = {period.start.year for period in periods}
    suffix = "年度" if periods[0].kind == "年度" else "年"
    return [f"{year}{suffix}" for year in sorted(set(range(min(years), max(years) + 1)) - years)]
