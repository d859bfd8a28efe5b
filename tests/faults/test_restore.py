"""A dump of a warehouse that has lived, restored into a server that never saw one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedded_servers import NewServer
from typer.testing import CliRunner

from demo.estat import Simulator
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import load
from kpi_warehouse.cli import app
from kpi_warehouse.settings import Settings, settings
from kpi_warehouse.warehouse.server_place import Place

FEED = "estat_migration_monthly"


def program(name: str) -> str:
    return str(Place(Settings().home, None).wheel_program(name))


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def kpi(*arguments: str) -> tuple[int, str]:
    shown = CliRunner().invoke(app, list(arguments))
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
    return shown.exit_code, shown.output


def restore(dump: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("pg_restore"), "--exclude-schema=pg_catalog", "--dbname", url, str(dump)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def dump(warehouse: str, use_estat: Callable[[Simulator], None], tmp_path: Path) -> Path:
    with Simulator([synthetic_migration(["2024-01", "2024-02"])]) as estat:
        use_estat(estat)
        load.run(FEED)
    place = tmp_path / "kpi.dump"
    subprocess.run([program("pg_dump"), "--format=custom", f"--file={place}", warehouse], check=True)
    return place


def test_a_dump_restored_into_a_new_server_is_loaded_built_and_read_from(
    dump: Path,
    warehouse: str,
    made_home: Path,
    home: Path,
    new_server: NewServer,
    monkeypatch: pytest.MonkeyPatch,
    use_estat: Callable[[Simulator], None],
) -> None:
    before = rows(warehouse, f"select r::text from raw.{FEED} as r order by 1")
    landing = settings().landing_url
    url = new_server(home).start().url()
    monkeypatch.setenv("KPI_DATABASE_URL", url)
    monkeypatch.setenv("KPI_LANDING", landing)
    settings.cache_clear()

    # Without its roles it is a dead end, which is said and not passed over.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create database bare")
    bare = url.rpartition("/")[0] + "/bare"
    assert restore(dump, bare).returncode != 0
    monkeypatch.setenv("KPI_DATABASE_URL", bare)
    settings.cache_clear()
    code, said = kpi("db", "migrate")
    assert code == 1 and "kpi db prepare" in said, said

    monkeypatch.setenv("KPI_DATABASE_URL", url)
    settings.cache_clear()
    assert kpi("db", "prepare")[0] == 0
    done = restore(dump, url)
    assert done.returncode == 0, done.stderr
    assert kpi("db", "migrate")[0] == 0

    assert rows(url, f"select r::text from raw.{FEED} as r order by 1") == before
    code, said = kpi("rebuild", FEED)
    assert code == 0 and "今ある表と同じです" in said, said
    with Simulator([synthetic_migration(["2024-01", "2024-02", "2024-03"])]) as estat:
        use_estat(estat)
        assert load.run(FEED, force=True).state == "published"
    owners = rows(
        url,
        "select distinct schemaname, tableowner from pg_tables where schemaname in ('ops', 'raw') order by 1",
    )
    assert owners == [("ops", "kpi_loader"), ("raw", "kpi_loader")]
    with psycopg.connect(url) as connection:
        connection.execute("set role kpi_transformer")
        connection.execute(f"select count(*) from raw.{FEED}").fetchone()
        connection.execute("create schema marts_next")
