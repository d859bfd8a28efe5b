"""What day it is, from one place: every rule that depends on today asks here.

`KPI_TODAY` sets the day, so that a warehouse can be taken through years in minutes. Instants at which something was recorded
are the database's own (`clock_timestamp()`) and not of this clock: history is written in the order in which it happened.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from kpi_warehouse.settings import settings

JAPAN = ZoneInfo("Asia/Tokyo")


def today() -> date:
    """The day in Japan, or the one that is set."""
    return settings().today or datetime.now(JAPAN).date()


def now() -> datetime:
    """This instant, in UTC; where a day is set, this time of that day in Japan."""
    instant = datetime.now(UTC)
    day = settings().today
    if day is None:
        return instant
    return datetime.combine(day, instant.astimezone(JAPAN).time(), JAPAN).astimezone(UTC)


def set_instant() -> datetime | None:
    """`now` where a day is set, else None: the database's own clock is to be used."""
    return now() if settings().today is not None else None
