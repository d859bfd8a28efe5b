"""A database for one question: made on the warehouse's server, migrated, and dropped again."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from kpi_warehouse.errors import KpiError
from kpi_warehouse.warehouse.connection import connect, warehouse_url

PREFIX = "kpi_preview_"
MIGRATE = "from kpi_warehouse.warehouse.connection import migrate; migrate()"


@contextmanager
def scratch_database() -> Iterator[str]:
    """An empty, migrated database on the warehouse's server; yields its URL. Those of killed processes are dropped first.

    Raises:
        KpiError: this login may not create databases.
        StorageFailed: the server cannot be reached.
    """
    name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    url = urlunsplit(urlsplit(warehouse_url())._replace(path=f"/{name}"))
    with connect(None, autocommit=True) as connection:
        for (old,) in connection.execute(
            "select datname from pg_database where starts_with(datname, %s) and not exists ("
            "select from pg_stat_activity where pg_stat_activity.datname = pg_database.datname)",
            [PREFIX],
        ).fetchall():
            connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(old)))
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise KpiError(
                "下見には、作業用のデータベースを作る権利が要ります（管理者が `alter role kpi_owner createdb`）。",
                "scratch.no_createdb",
            ) from None
    try:
        # In a process of its own: the settings of this one lead to the warehouse.
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", MIGRATE],
            env=os.environ | {"KPI_DATABASE_URL": url},
            check=True,
        )
        yield url
    finally:
        with connect(None, autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )
