"""A day as a date format shows it: `ggge"年"m"月"` → 令和6年10月."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kpi_warehouse.readers.shown.format_code import Token

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_JAPANESE_WEEKDAYS = "月火水木金土日"
# First day; letter, one character, name. As spreadsheets have them, from the day the era began.
_ERAS = (
    (datetime(2019, 5, 1), ("R", "令", "令和")),
    (datetime(1989, 1, 8), ("H", "平", "平成")),
    (datetime(1926, 12, 25), ("S", "昭", "昭和")),
    (datetime(1912, 7, 30), ("T", "大", "大正")),
    (datetime(1868, 1, 25), ("M", "明", "明治")),
)


def shown_day(tokens: Sequence[Token], moment: datetime) -> str:
    """What the pieces of a date section show, without white space around."""
    half = any(token.kind == "half" for token in tokens)
    kinds = [at for at, token in enumerate(tokens) if token.kind in ("date", "elapsed")]
    shown = []
    for at, token in enumerate(tokens):
        if token.kind == "date":
            beside = _beside(tokens, kinds, at)
            shown.append(_minutes(token.text, moment) if beside else _piece(token.text, moment, half))
        elif token.kind == "half":
            shown.append("AM" if moment.hour < 12 else "PM")
        elif token.kind == "elapsed":
            return ""  # a length of time, no day
        elif token.kind == "digit":
            shown.append("0")
        else:
            shown.append(token.text)
    return "".join(shown).strip()


def _beside(tokens: Sequence[Token], places: list[int], at: int) -> bool:
    """`m` behind hours or before seconds is minutes."""
    if tokens[at].text[0] != "m" or len(tokens[at].text) > 2:
        return False
    place = places.index(at)
    before = tokens[places[place - 1]].text[0] if place else ""
    behind = tokens[places[place + 1]].text[0] if place + 1 < len(places) else ""
    return before == "h" or behind == "s"


def _minutes(text: str, moment: datetime) -> str:
    return f"{moment.minute:0{len(text)}}"


def _piece(text: str, moment: datetime, half: bool) -> str:  # noqa: PLR0911, one line each letter
    width = len(text)
    match text[0]:
        case "y":
            return f"{moment.year % 100:02}" if width <= 2 else f"{moment.year:04}"
        case "m":
            month = _MONTHS[moment.month - 1]
            return _named(month, width, moment.month)
        case "d":
            return _named(_WEEKDAYS[moment.weekday()], width, moment.day)
        case "a":
            return _JAPANESE_WEEKDAYS[moment.weekday()] + ("曜日" if width > 3 else "")
        case "h":
            hour = (moment.hour - 1) % 12 + 1 if half else moment.hour
            return f"{hour:0{min(width, 2)}}"
        case "s":
            return f"{moment.second:0{min(width, 2)}}"
        case "g":
            return _era(moment)[1][min(width, 3) - 1]
        case "e":
            return _year(moment, min(width, 2))
    # r is the year of the era with two digits, rr with the era's name before it
    return (_era(moment)[1][2] if width > 1 else "") + _year(moment, 2)


def _named(name: str, width: int, number: int) -> str:
    match width:
        case 1 | 2:
            return f"{number:0{width}}"
        case 3:
            return name[:3]
        case 5:
            return name[:1]
    return name


def _era(moment: datetime) -> tuple[datetime, tuple[str, str, str]]:
    return next((era for era in _ERAS if moment >= era[0]), _ERAS[-1])


def _year(moment: datetime, width: int) -> str:
    began = _era(moment)[0]
    return f"{max(moment.year - began.year + 1, 1):0{width}}"
