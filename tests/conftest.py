"""One real PostgreSQL for the whole test run; every test that asks for a warehouse gets an empty, migrated one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings

from demo.estat import Simulator
from kpi_warehouse.settings import Settings, code_version, settings
from kpi_warehouse.warehouse.connection import migrate
from kpi_warehouse.warehouse.server import EmbeddedServer, Running

TEMPLATE = "kpi_template"
# The same examples in every run, so that a change is what makes a test fail; KPI_TEST_RANDOM=yes looks for new ones.
hypothesis_settings.register_profile("same", derandomize=True)
hypothesis_settings.register_profile("new", derandomize=False)
hypothesis_settings.load_profile("new" if os.environ.get("KPI_TEST_RANDOM") else "same")
APP_ID = "0123456789abcdef0123456789abcdef01234567"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stack's tests take longest and go on from each other, so one process begins with them."""
    items.sort(key=lambda item: item.get_closest_marker("scheduler") is None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The embedded server, with a migrated database to copy."""
    embedded = EmbeddedServer(Settings(home=tmp_path_factory.mktemp("server")))
    running = embedded.start()
    try:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("KPI_DATABASE_URL", embedded.create_database(TEMPLATE))
            settings.cache_clear()
            migrate()
        settings.cache_clear()
        yield running
    finally:
        embedded.remove()


@pytest.fixture
def warehouse(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty, migrated warehouse of the test's own; yields its URL. `KPI_HOME` is the test's own folder."""
    name = f"kpi_{uuid.uuid4().hex[:12]}"
    admin = server.url("postgres", "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create database {name} template {TEMPLATE} owner kpi_owner")
        # What the migration grants on the database itself is not copied with a template.
        connection.execute(f"grant create, temporary on database {name} to kpi_transformer, kpi_loader")
    monkeypatch.setenv("KPI_DATABASE_URL", server.url(name))
    monkeypatch.setenv("KPI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KPI_CODE_VERSION", "test")
    settings.cache_clear()
    code_version.cache_clear()
    yield server.url(name)
    settings.cache_clear()
    code_version.cache_clear()
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def use_estat(monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulator], None]:
    """Point the loader at a simulator, without the pause between requests."""

    def use(simulator: Simulator) -> None:
        monkeypatch.setenv("ESTAT_BASE_URL", simulator.base_url)
        monkeypatch.setenv("ESTAT_APP_ID", APP_ID)
        monkeypatch.setenv("KPI_ESTAT_REQUESTS_PER_SECOND", "0")
        settings.cache_clear()

    return use
