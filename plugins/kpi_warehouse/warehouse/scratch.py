"""A database for one question: made on the warehouse's server, migrated, and dropped again."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect, migrate, warehouse_url

PREFIX = "kpi_preview_"
Found = TypeVar("Found")


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
        elsewhere(os.environ | {"KPI_DATABASE_URL": url}, migrate)
        yield url
    finally:
        with connect(None, autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


def elsewhere(environment: Mapping[str, str], work: Callable[..., Found], *arguments: object) -> Found:
    """What `work` returns in a process of its own with this environment: the settings of this one lead to the warehouse.

    The process is forked, so that what took seconds to import is there already.

    Raises:
        KpiError: the process died; or whatever `work` raises.
    """
    with ProcessPoolExecutor(1, get_context("fork"), _settle_in, (dict(environment),)) as other:
        try:
            return other.submit(work, *arguments).result()
        except BrokenProcessPool:
            raise KpiError(
                "作業用の処理が途中で止まりました。もう一度実行してください。", "scratch.died"
            ) from None


def _settle_in(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    settings.cache_clear()
