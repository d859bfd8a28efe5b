"""Addresses for notifications, receivers for them, and an office that is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import psycopg
import pytest
from sinks import Addresses, MailSink, WebSink, mail_sink, web_sink

from kpi_warehouse.alerts import office_hours, sender
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.server import Running


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


@pytest.fixture
def airflow(warehouse: str, server: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """The four tables of Airflow's metadata database that are read, in a database of their own."""
    admin = server.url("postgres", "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("drop database if exists airflow_book with (force)")
        connection.execute("create database airflow_book owner kpi_owner")
    url = server.url("airflow_book")
    monkeypatch.setenv("KPI_AIRFLOW_DATABASE_URL", url.replace("postgresql://", "postgresql+psycopg2://"))
    settings.cache_clear()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table job (job_type text, state text, latest_heartbeat timestamptz);"
            "create table dag_run (dag_id text, run_id text, state text, start_date timestamptz, end_date timestamptz);"
            "create table import_error (filename text, stacktrace text);"
            "create table task_instance (dag_id text, task_id text, run_id text, try_number integer, state text,"
            " start_date timestamptz, end_date timestamptz, last_heartbeat_at timestamptz)"
        )
        connection.execute("insert into job values ('SchedulerJob', 'running', now())")
        yield connection
