"""The one way to the warehouse: where it is, who we are there, and whether its schema is current."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.server import EmbeddedServer, Running

Role = Literal["kpi_loader", "kpi_transformer", "kpi_reader"]
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x4B50_4900


def warehouse_url() -> str:
    """URL of the warehouse with the owner's login: `KPI_DATABASE_URL`, else the embedded server's (which must run).

    Raises:
        KpiError: no URL is set and the embedded server is not running.
    """
    configured = settings().database_url
    return _embedded_url(settings().home) if configured is None else configured.get_secret_value()


# Read from its files once in each process; whoever finds that it does not answer looks again.
@cache
def _embedded_url(home: Path) -> str:
    return _running(EmbeddedServer.located)


def _running(find: Callable[[EmbeddedServer], Running | None]) -> str:
    server = find(EmbeddedServer(settings()))
    if server is None:
        raise KpiError(
            "データベースが動いていません。`kpi db start` で起動するか、KPI_DATABASE_URL を設定してください。",
            "database.not_running",
        )
    return server.url()


def connect(role: Role | None = "kpi_loader", *, autocommit: bool = False) -> psycopg.Connection:
    """Open a connection that acts as `role` (None: as the owner itself). The caller closes it.

    Raises:
        StorageFailed: the server cannot be reached; the message names host and database, never the password.
    """
    try:
        return _connected(warehouse_url(), role, autocommit)
    except StorageFailed:
        if settings().database_url is not None:
            raise
    # It is just starting, or was started anew, perhaps on another port.
    _embedded_url.cache_clear()
    return _connected(_running(EmbeddedServer.running), role, autocommit)


def _connected(url: str, role: Role | None, autocommit: bool) -> psycopg.Connection:
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            application_name="kpi_warehouse",
            connect_timeout=10,
            options="-c timezone=Asia/Tokyo",
        )
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
    except psycopg.OperationalError as error:
        parts = urlsplit(url)
        raise StorageFailed(
            f"データベース {parts.hostname}:{parts.port}{parts.path} に接続できません：{str(error).strip().splitlines()[-1]}",
            "database.unreachable",
        ) from None
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):  # no such role
        connection.close()
        raise KpiError(
            "データベースが未準備です。`kpi db migrate` を実行してください。", "database.not_migrated"
        ) from None
    connection.autocommit = autocommit
    return connection


def migrate(to: str = "head") -> str:
    """Bring the schema to a version (the newest) and return the newest. Idempotent; two at once wait for each other.

    Raises:
        StorageFailed: the server cannot be reached.
        KpiError: the server is too old to hold the history, or a dump was restored into it without its roles.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, text

    from kpi_warehouse.warehouse.roles import make_missing

    with connect(role=None, autocommit=True) as probe:
        if probe.info.server_version < 180000:
            raise KpiError(
                f"PostgreSQL 18 以降が必要です（接続先は {probe.info.server_version // 10000}）。",
                "database.too_old",
            )
        make_missing(probe)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    newest = ScriptDirectory.from_config(config).get_current_head()
    engine = create_engine(sqlalchemy_url(warehouse_url()))
    try:
        with engine.begin() as connection:
            connection.execute(text(f"select pg_advisory_xact_lock({MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        engine.dispose()
    return str(newest)


def sqlalchemy_url(url: str) -> str:
    """The same URL for SQLAlchemy's psycopg 3 dialect (Alembic and Great Expectations speak SQLAlchemy)."""
    return "postgresql+psycopg://" + url.split("://", 1)[1]


def url_for(role: str, password: str) -> str:
    """The warehouse's URL with another login."""
    parts = urlsplit(warehouse_url())
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role)}:{quote(password)}@{host}"))


def password_of(url: str) -> str:
    """The password inside a URL, for hiding it elsewhere."""
    return unquote(urlsplit(url).password or "")
