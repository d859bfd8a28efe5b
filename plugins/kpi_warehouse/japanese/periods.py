"""Periods and dates as divisions write them. 年 and 年度 are never guessed: a bare year needs to be told which it is."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from kpi_warehouse.japanese.eras import ERA_YEAR, year_of
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.statuses import status_word
from kpi_warehouse.japanese.units import looks_like_unit
from kpi_warehouse.japanese.widths import Unreadable, fold

Year = Literal["fiscal", "calendar"]
EXPECTED = "期間（例：R6年度、令和6年5月、2024-05、R6.10.2、R6.10月末）"
WEEKDAYS = "月火水木金土日"
# Day 0 of Excel's calendar, in which 1900 was a leap year.
_EXCEL = date(1899, 12, 30)
_YEAR = rf"(?:{ERA_YEAR}|(?P<ad>(?:19|20)[0-9]{{2}}))"
_END = r"(?P<end>\s*末日?)?(?:\s*(?P<as_of>現在|時点|まで))?"
# What may stand behind a month and says no more than that the whole of it is meant.
_WHOLE_MONTH = r"(?:\s*(?:中|分|度))?"
# Blanks that only spread a word over a cell (平 成 6 年); one between two digits stays.
_SPACED = re.compile(r" (?=[^\x00-\x7f])|(?<=[^\x00-\x7f]) ")
# Censuses are five years apart, some tables ten.
_WIDEST_STEP = 10
_BARE_NOTE = re.compile(r"\s*[(\[]?注[)\]]?\s*$")
_YEAR_MONTH = re.compile(r"(?P<ad>(?:19|20)[0-9]{2})(?P<month>0[1-9]|1[0-2])")
_YEAR_MONTH_DAY = re.compile(
    r"(?P<ad>(?:19|20)[0-9]{2})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])"
)
_SHORT = re.compile(r"[0-9]{1,2}[./-][0-9]{1,2}(?:[./-][0-9]{1,2})?")
# An era year, and one whose era stands at the one before: 令和4年度 | 5年度.
_WITH_ERA = re.compile(rf"{ERA_YEAR}\s*(?P<rest>年度?.*|)")
_WITHOUT_ERA = re.compile(r"(?P<number>[0-9]{1,2}|元)\s*(?P<rest>年度?(?:\s*\(.*\))?)")
_SAME_YEAR = re.compile(rf"({ERA_YEAR}|(?:19|20)[0-9]{{2}})\s*\(([^()]*[0-9][^()]*)\)(年度?)?")
_BRACKET = re.compile(r"\s*\(([^()]*)\)\s*$")
_WEEKDAY = re.compile(rf"\(([{WEEKDAYS}])(?:曜日?)?\)")
_DAY = re.compile(
    rf"{_YEAR}\s*[年./-]\s*(?P<month>[0-9]{{1,2}})\s*[月./-]\s*(?P<day>[0-9]{{1,2}})\s*日?{_END}"
)
_MONTH = re.compile(rf"{_YEAR}\s*[年./-]\s*(?P<month>[0-9]{{1,2}})\s*(?:月{_WHOLE_MONTH})?{_END}")
_FISCAL = re.compile(rf"{_YEAR}\s*年度")
_BARE_YEAR = re.compile(rf"{_YEAR}\s*(?P<word>年)?")
_BARE_MONTH = re.compile(rf"(?P<month>[0-9]{{1,2}})\s*月{_WHOLE_MONTH}{_END}")
_BARE_DAY = re.compile(r"(?P<month>[0-9]{1,2})\s*月\s*(?P<day>[0-9]{1,2})\s*日")
_QUARTER = re.compile(rf"(?:{_YEAR}\s*(?:年度)?\s*)?第\s*(?P<quarter>[1-4])\s*四半期")
_HALF = re.compile(rf"(?:{_YEAR}\s*(?:年度)?\s*)?(?P<half>上|下)(?:半)?期")
_TAIL = re.compile(r"(?:(?P<month>[0-9]{1,2})\s*[月./-]\s*)?(?P<day>[0-9]{1,2})\s*日?")


@dataclass(frozen=True)
class Period:
    """A period.

    Args:
        start, end: first and last day.
        kind: 月, 年度, 暦年, 年, 時点, 累計 or イベント.
        status: `partial` where only a part of the year is covered, `planned` or `provisional` where it says 予定 or 速報; else None.
        qualifier: the words beside it (`10月末現在`).
        text: as written.
    """

    start: date
    end: date
    kind: str
    status: str | None
    qualifier: str | None
    text: str


def fiscal_year(day: date) -> int:
    """The 年度 a day lies in: April to March."""
    return day.year if day.month >= 4 else day.year - 1


def read_period(text: str, *, year: Year | None = None, base: Period | None = None) -> Period:
    """Read a period.

    Args:
        year: what a bare `R6` or `2024年` means.
        base: the year that a bare `5月` or `10月末` belongs to; of a 年度, January to March are of the next year.

    Raises:
        Unreadable: no period, a bare year without `year`, a bare month without `base`, or a weekday that is wrong.
    """
    folded = _spaced(text)
    if not folded:
        raise Unreadable(text, 0, EXPECTED)
    planned = re.search(r"\(?(?:実施|開催)?(予定|見込み?)\)?\s*$", folded)
    if planned and planned.start():
        period = read_period(folded[: planned.start()], year=year, base=base)
        return replace(period, status="planned", qualifier=planned[1], text=text)
    period = _range(text, folded, year, base) or _single(text, folded, year, base)
    return replace(period, text=text)


def read_date(value: str | int | date | datetime) -> date:
    """Read one day: a text, a date, or an Excel serial (45567 is 2024-10-02).

    Raises:
        Unreadable: no day, or its weekday in brackets is wrong.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, int):
        if not 1 <= value <= 2_958_465:
            raise Unreadable(str(value), 0, "Excel の日付（1〜2958465）")
        return _EXCEL + timedelta(days=value)
    return _day(value, fold(value))


def _range(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    left, wave, right = folded.partition("~")
    if not wave or not left.strip() or not right.strip():
        return None
    left, right = _alike(left.strip(), right.strip())
    first = _single(text, left, year, base)
    try:
        last = _single(text, right, year, base or first)
    except Unreadable:
        tail = _TAIL.fullmatch(_WEEKDAY.sub("", right.strip()))
        if tail is None or first.kind not in ("時点", "イベント"):
            raise  # R6.10~11 may be two months or a day
        day = _make(text, first.end.year, int(tail["month"] or first.end.month), int(tail["day"]))
        _check_weekday(text, right, day)
        last = Period(day, day, "時点", None, None, right)
    if last.end < first.start:
        raise Unreadable(text, folded.index("~"), "始まりより後の終わり")
    if {first.kind, last.kind} == {"年度", "暦年"}:
        raise Unreadable(text, folded.index("~"), "両端とも年、または両端とも年度")
    if first.kind == last.kind == "時点" and (last.end - first.start).days <= 92 and "末" not in right:
        return Period(first.start, last.end, "イベント", None, None, text)
    return Period(first.start, last.end, "累計", None, None, text)


def _alike(left: str, right: str) -> tuple[str, str]:
    """Both ends of a range of years with what only one of them says: `R2~R6年度`, `令和2~6年度` are 年度 at both ends."""
    begun = _WITH_ERA.fullmatch(left)
    ended = re.fullmatch(r"(?P<number>[0-9]{1,2}|元)\s*(?P<rest>年度?|)", right)
    if begun is not None and ended is not None and begun["rest"] in ("", "年", "年度"):
        right = begun["era"] + right
    one, other = (
        re.fullmatch(rf"{_YEAR}\s*(?P<word>年度?|)", left),
        re.fullmatch(rf"{_YEAR}\s*(?P<word>年度?|)", right),
    )
    if one is not None and other is not None:
        word = other["word"] or one["word"]
        left, right = (left if one["word"] else left + word), (right if other["word"] else right + word)
    return left, right


@lru_cache(maxsize=4096)
def inherit_era(text: str, before: str | None) -> str:
    """A year without its era as the year beside it makes it whole: `5年度` behind `令和4年度` is `令和5年度`.

    Args:
        text: what is written.
        before: the year before it, with its era; None where there is none.

    Returns:
        The text with the era; the text as it is where nothing is to be inherited, or where the step is too wide to be
        one within an era (平成31年 | 2年, 令和元年 | 30年: another era, and nobody wrote which).
    """
    if before is None:
        return text
    earlier, here = _WITH_ERA.match(_spaced(before)), _WITHOUT_ERA.fullmatch(_spaced(text))
    if earlier is None or here is None:
        return text
    was = 1 if earlier["era_year"] == "元" else int(earlier["era_year"])
    now = 1 if here["number"] == "元" else int(here["number"])
    if not was - 1 <= now <= was + _WIDEST_STEP:
        return text
    return earlier["era"] + _spaced(text)


@lru_cache(maxsize=4096)
def has_era_year(text: str) -> bool:
    """Whether a text begins with a year of an era that it names."""
    return _WITH_ERA.match(_spaced(text)) is not None


@lru_cache(maxsize=4096)
def is_bare_month(text: str) -> bool:
    """Whether a text is a month without its year."""
    return _BARE_MONTH.fullmatch(_spaced(text)) is not None


def _spaced(text: str) -> str:
    """Folded, without signs that point to footnotes and without blanks that only spread a word."""
    return _SPACED.sub("", _BARE_NOTE.sub("", take_references(fold(text))[0]))


def _single(text: str, folded: str, year: Year | None, base: Period | None) -> Period:
    for read in (_of_day, _of_month, _of_digits, _of_part, _of_year, _of_bare_month, _of_bare_day):
        found = read(text, folded, year, base)
        if found is not None:
            return found
    same = _SAME_YEAR.fullmatch(folded)
    if same is not None:
        first = _single(text, same[1] + (same[5] or ""), year, base)
        other = same[4]
        if re.fullmatch(_YEAR + "年?", other):
            if _single(text, other + (same[5] or ""), year, base).start != first.start:
                raise Unreadable(text, text.find(other[:1]), f"同じ年（{first.start.year}年）の別の書き方")
            return first
    bracket = _BRACKET.search(folded)
    if bracket is not None and bracket.start():
        return _with_words(text, _single(text, folded[: bracket.start()].strip(), year, base), bracket[1])
    words = re.search(r"\s*([0-9]{1,2}月末日?(?:現在|時点|まで)?)$", folded)
    if words is not None and words.start():
        return _with_words(text, _single(text, folded[: words.start()], year, base), words[1])
    raise Unreadable(text, 0, EXPECTED)


def _with_words(text: str, period: Period, words: str) -> Period:
    """A year of which only a part has passed: `R6（10月末現在）`; other words in brackets are kept as they are."""
    month = re.fullmatch(r"([0-9]{1,2})月末日?(?:現在|時点|まで)?", words)
    other = re.fullmatch(rf"{_YEAR}\s*年?度?", words)
    if other is not None and period.kind in ("年度", "暦年"):
        if _year(other, text) != period.start.year:
            expected = f"同じ年（{period.start.year}年）の別の書き方"
            raise Unreadable(text, max(0, text.find(words[:1])), expected)
        return period
    if month is None:
        if looks_like_unit(words) or "単位" in words:
            # R6年度（千人） speaks of the values below it, and who reads the heading has to see it.
            raise Unreadable(text, max(0, text.find(words[:1])), "期間（単位は期間の言葉ではありません）")
        if re.fullmatch(r"[^0-9]+", words):
            return replace(period, qualifier=words, status=status_word(words) or period.status)
        raise Unreadable(text, max(0, text.find(words[:1])), "10月末現在 のような時点")
    end = _month_end(*_within(text, int(month[1]), period))
    if not period.start <= end <= period.end:
        raise Unreadable(text, max(0, text.find(words[:1])), "その年の中の月")
    status = "partial" if end < period.end else period.status
    return replace(period, end=end, status=status, qualifier=words)


def _of_day(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    match = _DAY.fullmatch(_WEEKDAY.sub("", folded).strip())
    if match is None:
        return None
    day = _day(text, folded)
    return Period(
        day, day, "時点", None, match["as_of"] and f"{day.month}月{day.day}日{match['as_of']}", text
    )


def _day(text: str, folded: str) -> date:
    match = _DAY.fullmatch(_WEEKDAY.sub("", folded).strip())
    if match is None:
        raise Unreadable(text, 0, "日付（例：令和6年10月2日、R6.10.2、2024-10-02）")
    day = _make(text, _year(match, text), int(match["month"]), int(match["day"]))
    _check_weekday(text, folded, day)
    return day


def _of_month(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    match = _MONTH.fullmatch(folded)
    if match is None:
        return None
    return _month(text, _year(match, text), int(match["month"]), match)


def _of_digits(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    """202404 is a month, 20240401 a day; 6.4 and 24/4/1 may be a month of an era, of a century, or a day."""
    match = _YEAR_MONTH.fullmatch(folded)
    if match is not None:
        first = date(int(match["ad"]), int(match["month"]), 1)
        return Period(first, _month_end(first.year, first.month), "月", None, None, text)
    match = _YEAR_MONTH_DAY.fullmatch(folded)
    if match is not None:
        day = _make(text, int(match["ad"]), int(match["month"]), int(match["day"]))
        return Period(day, day, "時点", None, None, text)
    if _SHORT.fullmatch(folded):
        raise Unreadable(
            text, 0, "元号か西暦4桁のついた期間（例：R6.4、2024/4。このままでは年月か月日か決められません）"
        )
    return None


def _of_bare_month(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    match = _BARE_MONTH.fullmatch(folded)
    if match is None:
        return None
    if base is None:
        raise Unreadable(text, 0, "年のついた月（例：令和6年5月）")
    return _month(text, *_within(text, int(match["month"]), base), match)


def _of_bare_day(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    match = _BARE_DAY.fullmatch(_WEEKDAY.sub("", folded).strip())
    if match is None:
        return None
    if base is None:
        raise Unreadable(text, 0, "年のついた日付（例：令和6年10月12日）")
    day = _make(text, *_within(text, int(match["month"]), base), int(match["day"]))
    _check_weekday(text, folded, day)
    return Period(day, day, "時点", None, None, text)


def _month(text: str, year: int, month: int, match: re.Match[str]) -> Period:
    first, last = _make(text, year, month, 1), _month_end(year, month)
    if match["end"]:
        return Period(last, last, "時点", None, f"{month}月末{match['as_of'] or ''}", text)
    return Period(first, last, "月", None, None, text)


def _of_part(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    match = _QUARTER.fullmatch(folded) or _HALF.fullmatch(folded)
    if match is None:
        return None
    named = match["era"] or match["ad"]
    if not named and base is None:
        raise Unreadable(text, 0, "年度のついた四半期・半期（例：R6年度第1四半期）")
    fiscal = _year(match, text) if named else fiscal_year(base.start)  # type: ignore[union-attr]
    parts = match.groupdict()
    first, months = (
        (3 * int(parts["quarter"]) - 3, 3) if parts.get("quarter") else (6 * (parts["half"] == "下"), 6)
    )
    start = _after(date(fiscal, 4, 1), first)
    return Period(start, _after(start, months) - timedelta(days=1), "累計", None, match[0].strip(), text)


def _of_year(text: str, folded: str, year: Year | None, base: Period | None) -> Period | None:
    fiscal = _FISCAL.fullmatch(folded)
    if fiscal is not None:
        return _whole(text, _year(fiscal, text), "fiscal")
    bare = _BARE_YEAR.fullmatch(folded)
    if bare is None:
        return None
    meant = year or ("calendar" if bare["word"] else None)
    if meant is None:
        raise Unreadable(text, len(text) - 1, "年か年度か（例：R6年、R6年度）")
    return _whole(text, _year(bare, text), meant)


def _whole(text: str, number: int, meant: Year) -> Period:
    if meant == "fiscal":
        return Period(date(number, 4, 1), date(number + 1, 3, 31), "年度", None, None, text)
    return Period(date(number, 1, 1), date(number, 12, 31), "暦年", None, None, text)


def _within(text: str, month: int, base: Period) -> tuple[int, int]:
    """The year and month of a bare month inside its base."""
    if not 1 <= month <= 12:
        raise Unreadable(text, 0, "1〜12月")
    later = base.kind == "年度" and month < 4
    return base.start.year + later, month


def _year(match: re.Match[str], text: str) -> int:
    return int(match["ad"]) if match["ad"] else year_of(match["era"], match["era_year"], text)


def _make(text: str, year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise Unreadable(text, 0, f"実在する日付（{year}年{month}月{day}日はありません）") from None


def _month_end(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])


def _after(day: date, months: int) -> date:
    total = day.year * 12 + day.month - 1 + months
    return date(total // 12, total % 12 + 1, 1)


def _check_weekday(text: str, folded: str, day: date) -> None:
    said = _WEEKDAY.search(folded)
    if said is not None and WEEKDAYS[day.weekday()] != said[1]:
        raise Unreadable(
            text, max(0, text.find(said[1])), f"{day.month}月{day.day}日の曜日（{WEEKDAYS[day.weekday()]}）"
        )
