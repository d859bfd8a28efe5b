"""Time of an e-Stat table: ten-digit codes ↔ periods, for each cycle that a table can have.

| cycle | code | example | first day |
|---|---|---|---|
| 月 | `YYYY00MMMM` | `2024000909` | 2024-09-01 |
| 四半期 | `YYYY00` first and last month | `2024000709` | 2024-07-01 |
| 暦年 | `YYYY000000` | `2024000000` | 2024-01-01 |
| 年度 | `YYYY100000` | `2024100000` | 2024-04-01 |

A period is named by its first day; with the cycle that says all of it.

Source: e-Stat API 3.0, time codes of getMetaInfo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

_YEAR, _MONTH = re.compile(r"\d{4}"), re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_QUARTER = re.compile(r"(\d{4})-Q([1-4])")


@dataclass(frozen=True)
class Cycle:
    """How long the periods of a table are: `months` each, the first of a year begins in month `begins`."""

    kind: str
    months: int
    begins: int
    pattern: re.Pattern[str]

    def code(self, first: date) -> str:
        """The time code of the period that begins on this day."""
        if self.kind == "年度":
            return f"{first.year}100000"
        if self.kind == "暦年":
            return f"{first.year}000000"
        return f"{first.year}00{first.month:02d}{first.month + self.months - 1:02d}"

    def first_day(self, code: str) -> date | None:
        """First day of the period that a time code names; None for a code of another cycle."""
        match = self.pattern.fullmatch(code)
        if match is None:
            return None
        month = int(match["month"]) if "month" in self.pattern.groupindex else self.begins
        return date(int(match["year"]), month, 1)

    def containing(self, day: date) -> date:
        """First day of the period in which a day lies."""
        index = day.year * 12 + day.month - self.begins
        return _month(index - index % self.months + self.begins - 1)

    def back(self, first: date, periods: int) -> date:
        """First day of the period so many periods earlier."""
        return _month(first.year * 12 + first.month - 1 - periods * self.months)

    def last_day(self, first: date) -> date:
        """Last day of the period that begins on this day."""
        return self.back(first, -1) - timedelta(days=1)

    def between(self, first: date, last: date) -> list[date]:
        """First days of every period from `first` to `last`, both included."""
        count = ((last.year - first.year) * 12 + last.month - first.month) // self.months
        return [self.back(last, offset) for offset in range(count, -1, -1)]

    def read(self, text: str) -> date | None:
        """First day of the period that a text names: `2024-09`, of a quarter `2024-Q3` too, of a year `2024`.

        A month names the period in which it lies: Airflow's partitions are months, whatever the cycle. None: no period.
        """
        if match := _MONTH.fullmatch(text):
            return self.containing(date(int(match[1]), int(match[2]), 1))
        if self.months == 12 and _YEAR.fullmatch(text):
            return date(int(text), self.begins, 1)
        if self.months == 3 and (match := _QUARTER.fullmatch(text)):
            return date(int(match[1]), int(match[2]) * 3 - 2, 1)
        return None

    def name(self, first: date) -> str:
        """The period in words: 2024-09, 2024年7〜9月, 2024年, 2024年度."""
        if self.kind == "月":
            return f"{first:%Y-%m}"
        if self.kind == "四半期":
            return f"{first.year}年{first.month}〜{first.month + 2}月"
        return f"{first.year}{'年度' if self.kind == '年度' else '年'}"

    def words(self, first: date) -> str:
        """The period as a sentence says it: 2024年9月, 2024年7〜9月, 2024年, 2024年度."""
        return f"{first.year}年{first.month}月" if self.months == 1 else self.name(first)

    def written(self, first: date) -> str:
        """The period as `read` takes it: 2024-09, 2024-Q3, 2024."""
        if self.months == 3:
            return f"{first.year}-Q{(first.month + 2) // 3}"
        return f"{first:%Y-%m}" if self.months == 1 else f"{first.year}"

    @property
    def form(self) -> str:
        """How a period is written in a contract and on the command line."""
        return {1: "YYYY-MM", 3: "YYYY-Q1 など", 12: "YYYY"}[self.months]


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)


CYCLES = {
    cycle.kind: cycle
    for cycle in (
        Cycle("月", 1, 1, re.compile(r"(?P<year>\d{4})00(?P<month>0[1-9]|1[0-2])(?P=month)")),
        Cycle(
            "四半期",
            3,
            1,
            re.compile(r"(?P<year>\d{4})00(?P<month>01(?=03)|04(?=06)|07(?=09)|10(?=12))\d{2}"),
        ),
        Cycle("暦年", 12, 1, re.compile(r"(?P<year>\d{4})000000")),
        Cycle("年度", 12, 4, re.compile(r"(?P<year>\d{4})100000")),
    )
}


def cycles_of(codes: Iterable[str]) -> dict[str, list[date]]:
    """The cycles that the time codes of a table have, each with the first days of its periods in order."""
    found: dict[str, list[date]] = {}
    for kind, cycle in CYCLES.items():
        days = sorted(day for code in codes if (day := cycle.first_day(code)))
        if days:
            found[kind] = days
    return found
