"""Today comes from one place and can be set."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from kpi_warehouse import clock
from kpi_warehouse.settings import settings


def test_without_a_setting_it_is_the_calendars_day() -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= before + timedelta(minutes=1)
    assert clock.today() in {
        before.astimezone(clock.JAPAN).date(),
        clock.now().astimezone(clock.JAPAN).date(),
    }
    assert clock.set_instant() is None


def test_a_set_day_is_today_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_TODAY", "2028-04-01")
    settings.cache_clear()
    try:
        assert clock.today() == date(2028, 4, 1)
        assert clock.now().astimezone(clock.JAPAN).date() == date(2028, 4, 1)
        assert clock.set_instant() is not None
    finally:
        monkeypatch.undo()
        settings.cache_clear()
