"""When somebody is at the desk: 開庁日 and 開庁時間 of a Japanese prefecture.

Source of the holidays: `jpholiday` (国民の祝日に関する法律). 年末年始 is 12/29–1/3, as the prefecture's own ordinance on
days off has it.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import jpholiday

JAPAN = ZoneInfo("Asia/Tokyo")
OPENS, CLOSES = time(8, 30), time(17, 15)


def is_business_day(day: date) -> bool:
    """Whether offices are open on this day."""
    new_year = (day.month, day.day) >= (12, 29) or (day.month, day.day) <= (1, 3)
    return day.weekday() < 5 and not new_year and not jpholiday.is_holiday(day)


def add_business_days(day: date, days: int) -> date:
    """The day that is `days` 開庁日 after `day`; with 0 the day itself, or the next open one."""
    while not is_business_day(day):
        day += timedelta(days=1)
    for _ in range(days):
        day += timedelta(days=1)
        while not is_business_day(day):
            day += timedelta(days=1)
    return day


def business_days_between(start: date, end: date) -> int:
    """開庁日 after `start` up to and including `end`."""
    return sum(is_business_day(start + timedelta(days=n)) for n in range(1, (end - start).days + 1))


def is_open(instant: datetime) -> bool:
    """Whether it is a 開庁日 between 8:30 and 17:15 in Japan."""
    local = instant.astimezone(JAPAN)
    return is_business_day(local.date()) and OPENS <= local.time() < CLOSES


def next_opening(instant: datetime) -> datetime:
    """The instant itself while open, else the next time offices open."""
    if is_open(instant):
        return instant
    local = instant.astimezone(JAPAN)
    day = local.date() + timedelta(days=0 if local.time() < OPENS else 1)
    return datetime.combine(add_business_days(day, 0), OPENS, JAPAN)
