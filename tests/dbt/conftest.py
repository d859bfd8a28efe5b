"""A warehouse with the published figures delivered and the marts built: made once, and copied for who changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from deliveries import Deliveries, published_flows, published_moves

from kpi_warehouse import marts
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.server import Running

EMPTY, BUILT = "kpi_template", "kpi_built"
# Always the same name: dbt parses its project anew for a database of another.
IN_USE = "kpi_marts"


@contextmanager
def _in_use(server: Running, template: str, home: Path) -> Iterator[str]:
    """A copy of a database as the warehouse in use; yields the administrator's URL."""
    admin = server.url("postgres", "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create database {IN_USE} template {template} owner kpi_owner strategy file_copy")
        # What the migration grants and revokes on the database itself is not copied with a template.
        connection.execute(f"revoke create, temporary on database {IN_USE} from public")
        connection.execute(f"grant create, temporary on database {IN_USE} to kpi_transformer, kpi_loader")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KPI_HOME", str(home))
        environment.setenv("KPI_DATABASE_URL", server.url(IN_USE))
        settings.cache_clear()
        yield admin
    settings.cache_clear()
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database if exists {IN_USE} with (force)")


@pytest.fixture(scope="session")
def built(server: Running, tmp_path_factory: pytest.TempPathFactory) -> tuple[Running, Path]:
    """The server with the database to copy, and the `KPI_HOME` of its copies."""
    home = tmp_path_factory.mktemp("kpi")
    with _in_use(server, EMPTY, home) as admin:
        with connect("kpi_loader", autocommit=True) as loader:
            deliveries = Deliveries(loader)
            deliveries.publish_moves(published_moves())
            deliveries.publish_flows(published_flows())
        marts.build(force=True)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"alter database {IN_USE} rename to {BUILT}")
    return server, home


@pytest.fixture(scope="module")
def loader(built: tuple[Running, Path]) -> Iterator[psycopg.Connection]:
    """A connection as the loader to a copy of the tests of one file; every statement takes effect at once."""
    with _in_use(built[0], BUILT, built[1]), connect("kpi_loader", autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def published(loader: psycopg.Connection) -> None:
    """The marts as built from the published figures, for tests that only read."""


@pytest.fixture
def changing(built: tuple[Running, Path]) -> Iterator[Deliveries]:
    """A copy of the test's own, to which it may deliver more."""
    with _in_use(built[0], BUILT, built[1]), connect("kpi_loader", autocommit=True) as connection:
        yield Deliveries(connection)
