"""Days on which town halls are closed at the end of a month: what is filed then belongs to the next month's figures."""

from __future__ import annotations

from datetime import date, timedelta

from kpi_warehouse import clock
from kpi_warehouse.alerts.office_hours import is_business_day


def closed_at_end(month: date) -> int:
    """Closed days in a row up to and including the last day of a month (weekends, 祝日, 12/29–1/3)."""
    day = (month.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    closed = 0
    while not is_business_day(day):
        day -= timedelta(days=1)
        closed += 1
    return closed


def closed_days_table(first: date) -> str:
    """A table in SQL, `(values …)`, with the columns month (first day), at_end and before (at the end of the month before).

    It reaches from `first` to a year from now: a delivered month beyond that has not happened.
    """
    rows, month = [], first.replace(day=1)
    before = closed_at_end(month - timedelta(days=1))
    while month <= clock.today() + timedelta(days=366):
        at_end = closed_at_end(month)
        rows.append(f"(date '{month}', {at_end}, {before})")
        month, before = (month + timedelta(days=32)).replace(day=1), at_end
    return f"(values {', '.join(rows)})"
