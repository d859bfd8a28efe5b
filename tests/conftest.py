"""One real PostgreSQL for the whole test run; every test that asks for a warehouse gets an empty, migrated one."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadFileScheduling

from demo.estat import Simulator
from kpi_warehouse.settings import Settings, code_version, settings
from kpi_warehouse.warehouse.connection import migrate
from kpi_warehouse.warehouse.server import EmbeddedServer, Running
from tests.places import folder

# Looking for garbage in all that is imported, again and again, took a twentieth of the whole.
gc.disable()
gc.set_threshold(50_000, 20, 100)
TEMPLATE = "kpi_template"
# Tests that share what takes long to make.
TOGETHER = {
    "tests/dbt/": "marts",
    "tests/end_to_end/test_stack.py": "run",
    "tests/end_to_end/test_slides.py": "run",
}
# The same examples in every run, so that a change is what makes a test fail; KPI_TEST_RANDOM=yes looks for new ones, and more.
hypothesis_settings.register_profile("same", derandomize=True, max_examples=50)
hypothesis_settings.register_profile("new", derandomize=False, max_examples=300)
hypothesis_settings.load_profile("new" if os.environ.get("KPI_TEST_RANDOM") else "same")
APP_ID = "0123456789abcdef0123456789abcdef01234567"


class _Together(LoadFileScheduling):
    """One process has a whole `run`, one the marts, which it builds once for all; the others share the files."""

    def _split_scope(self, nodeid: str) -> str:
        shared = (name for start, name in TOGETHER.items() if nodeid.startswith(start))
        return next(shared, super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take longest begin."""
    items.sort(
        key=lambda item: (
            item.get_closest_marker("scheduler") is None,
            not item.nodeid.startswith(tuple(TOGETHER)),
        )
    )


def pytest_collection_finish() -> None:
    """What was imported and collected stays: neither garbage collection nor a fork has to go through it again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """The embedded server, with a migrated database to copy."""
    with folder() as home:
        embedded = EmbeddedServer(Settings(home=home))
        try:
            yield _prepared(embedded)
        finally:
            embedded.remove()


def _prepared(embedded: EmbeddedServer) -> Running:
    running = embedded.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KPI_DATABASE_URL", embedded.create_database(TEMPLATE))
        settings.cache_clear()
        migrate()
    settings.cache_clear()
    with psycopg.connect(running.url("postgres", "postgres"), autocommit=True) as connection:
        # None of the databases has to outlive the machine. Servers that are to be killed under a test are its own.
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("alter system set max_wal_size = '512MB'")
        # To make and drop a database goes through the whole cache, and each connection maps what it touches of it.
        connection.execute("alter system set shared_buffers = '64MB'")
    embedded.stop()
    return embedded.start()


@pytest.fixture(scope="session")
def admin(server: Running) -> Iterator[psycopg.Connection]:
    """A connection as the server's superuser; each statement takes effect at once."""
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def warehouse(
    server: Running, admin: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty, migrated warehouse of the test's own; yields its URL. `KPI_HOME` is the test's own folder."""
    name = f"kpi_{uuid.uuid4().hex[:12]}"
    admin.execute(f"create database {name} template {TEMPLATE} owner kpi_owner strategy file_copy")
    # What the migration grants on the database itself is not copied with a template.
    admin.execute(f"grant create, temporary on database {name} to kpi_transformer, kpi_loader")
    monkeypatch.setenv("KPI_DATABASE_URL", server.url(name))
    monkeypatch.setenv("KPI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KPI_CODE_VERSION", "test")
    settings.cache_clear()
    code_version.cache_clear()
    yield server.url(name)
    settings.cache_clear()
    code_version.cache_clear()
    admin.execute(f"drop database {name} with (force)")


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """Settings are read once a process: those of a test end with it, whatever it set."""
    yield
    settings.cache_clear()


@pytest.fixture
def use_estat(monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulator], None]:
    """Point the loader at a simulator, without the pause between requests."""

    def use(simulator: Simulator) -> None:
        monkeypatch.setenv("ESTAT_BASE_URL", simulator.base_url)
        monkeypatch.setenv("ESTAT_APP_ID", APP_ID)
        monkeypatch.setenv("KPI_ESTAT_REQUESTS_PER_SECOND", "0")
        settings.cache_clear()

    return use
