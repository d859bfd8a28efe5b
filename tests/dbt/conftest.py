"""A migrated warehouse on a real server, with the published figures delivered and the marts built."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from deliveries import Deliveries, published_flows, published_moves

from kpi_warehouse import marts
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect, migrate


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty, migrated warehouse: embedded, or the one KPI_TEST_DATABASE_URL names (it is emptied)."""
    home = tmp_path_factory.mktemp("kpi")
    configured = os.environ.get("KPI_TEST_DATABASE_URL")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KPI_HOME", str(home))
        if configured:
            environment.setenv("KPI_DATABASE_URL", configured)
        else:
            environment.delenv("KPI_DATABASE_URL", raising=False)
        settings.cache_clear()
        with _server(embedded=not configured):
            migrate()
            yield
    settings.cache_clear()


class _server:
    """Runs the embedded server while inside; does nothing when another server is used."""

    def __init__(self, *, embedded: bool) -> None:
        self._embedded = embedded

    def __enter__(self) -> None:
        if self._embedded:
            from kpi_warehouse.warehouse.server import EmbeddedServer

            self._running = EmbeddedServer(settings())
            self._running.start()

    def __exit__(self, *_: object) -> None:
        if self._embedded:
            self._running.stop()


@pytest.fixture(scope="module")
def loader(database: None) -> Iterator[psycopg.Connection]:
    """A connection as the loader; every statement takes effect at once."""
    with connect("kpi_loader", autocommit=True) as connection:
        yield connection


@pytest.fixture
def deliveries(loader: psycopg.Connection) -> Deliveries:
    """The published figures, freshly delivered; a test may deliver more."""
    made = Deliveries(loader)
    made.forget_everything()
    made.publish_moves(published_moves())
    made.publish_flows(published_flows())
    return made


@pytest.fixture(scope="module")
def published(loader: psycopg.Connection) -> marts.Built:
    """The marts built once from the published figures, for tests that only read."""
    made = Deliveries(loader)
    made.forget_everything()
    made.publish_moves(published_moves())
    made.publish_flows(published_flows())
    return marts.build(force=True)
