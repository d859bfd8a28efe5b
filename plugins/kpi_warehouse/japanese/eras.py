"""Japanese eras: 令和６年 is 2024, and back."""

from __future__ import annotations

import re
from datetime import date

from kpi_warehouse.japanese.widths import Unreadable, fold

# First day of each era; a year belongs to both eras it holds days of (H31 and R1 are 2019).
ERAS = (
    ("令和", "R", date(2019, 5, 1)),
    ("平成", "H", date(1989, 1, 8)),
    ("昭和", "S", date(1926, 12, 25)),
    ("大正", "T", date(1912, 7, 30)),
    ("明治", "M", date(1868, 1, 25)),
)
ERA_YEAR = r"(?P<era>令和|平成|昭和|大正|明治|[RHSTMrhstm])\s*\.?\s*(?P<era_year>[0-9]{1,2}|元)"
_ERA_YEAR = re.compile(ERA_YEAR + r"\s*年?")


def era_year(text: str) -> int:
    """The calendar year of `R6`, `令和６年`, `元年` with its era.

    Raises:
        Unreadable: no era year, or one that never was (H32).
    """
    match = _ERA_YEAR.fullmatch(fold(text))
    if match is None:
        raise Unreadable(text, 0, "和暦の年（例：R6、令和6年）")
    return year_of(match["era"], match["era_year"], text)


def year_of(era: str, number: str, text: str) -> int:
    """The calendar year of an era's n-th year."""
    within = 1 if number == "元" else int(number)
    for position, (name, letter, first) in enumerate(ERAS):
        if era.upper() in (name, letter):
            year = first.year + within - 1
            last = ERAS[position - 1][2].year if position else 9999
            if within < 1 or year > last:
                raise Unreadable(text, 0, f"実在する年（{name}は{last - first.year + 1}年まで）")
            return year
    raise Unreadable(text, 0, "元号")


def to_wareki(day: date) -> str:
    """`令和6年10月2日`; the first year of an era is 元年."""
    for name, _, first in ERAS:
        if day >= first:
            number = day.year - first.year + 1
            return f"{name}{'元' if number == 1 else number}年{day.month}月{day.day}日"
    raise Unreadable(day.isoformat(), 0, "明治以降の日付")


def from_wareki(text: str) -> date:
    """The inverse of `to_wareki`, in any width.

    Raises:
        Unreadable: no such date, or a day outside of its era.
    """
    match = re.fullmatch(ERA_YEAR + r"年(?P<month>[0-9]{1,2})月(?P<day>[0-9]{1,2})日", fold(text))
    if match is None:
        raise Unreadable(text, 0, "和暦の日付（例：令和6年10月2日）")
    try:
        day = date(year_of(match["era"], match["era_year"], text), int(match["month"]), int(match["day"]))
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(text, 0, "実在する日付") from None
    if not to_wareki(day).startswith(
        next(name for name, letter, _ in ERAS if match["era"].upper() in (name, letter))
    ):
        raise Unreadable(text, 0, f"その元号の日付（{to_wareki(day)}）")
    return day
