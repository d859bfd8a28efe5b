"""Addresses for notifications, receivers for them, and an office that is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from sinks import Addresses, MailSink, WebSink, mail_sink, web_sink

from kpi_warehouse.alerts import office_hours, sender
from kpi_warehouse.settings import settings


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with mail_sink() as sink:
        yield sink


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


@pytest.fixture
def addresses(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """Configure `KPI_ALERT_URLS`; tries follow each other at once, at any hour."""

    def configure(*entries: str, **more: str) -> None:
        monkeypatch.setenv("KPI_ALERT_URLS", "\n".join(entries))
        monkeypatch.setenv("KPI_ALERT_RETRY_SECONDS", "0")
        monkeypatch.setenv("KPI_ALERT_QUIET_HOURS", "false")
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    return configure


@pytest.fixture
def at_night(monkeypatch: pytest.MonkeyPatch, addresses: Addresses) -> Callable[[datetime], None]:
    """Let it be another time for the sender."""

    def be(instant: datetime) -> None:
        monkeypatch.setattr(sender, "is_open", lambda _: office_hours.is_open(instant))
        monkeypatch.setattr(sender, "next_opening", lambda _: office_hours.next_opening(instant))

    return be
