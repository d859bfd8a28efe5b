"""A `KPI_HOME` and its stack as a person at a terminal has them: commands given, what they said, and what they left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from kpi_warehouse.airflow.components import MARK
from kpi_warehouse.airflow.stack import Stack
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
# Of one command, on a machine that has other work.
LONGEST_SECONDS = 600
OWN = ("KPI_", "ESTAT_", "AIRFLOW")


@dataclass
class Ended:
    """A command that has ended: what it said, and every (address, port) its processes listened on meanwhile."""

    code: int
    output: str
    seconds: float
    listening: set[tuple[str, int]] = field(default_factory=set)


class Home:
    """One `KPI_HOME` and the commands given for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = Settings(home=path)
        self.stack = Stack(self.settings)

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.settings)

    @property
    def place(self) -> Path:
        """Where PostgreSQL's files are; as root they may have to be elsewhere."""
        elsewhere = self.path / "postgres.place"
        return Path(elsewhere.read_text("utf-8").strip()) if elsewhere.exists() else self.path / "postgres"

    def begin(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        return subprocess.Popen(
            [sys.executable, "-m", "kpi_warehouse.airflow.stack", *words],
            env=inherited | {"KPI_HOME": str(self.path), "COLUMNS": "160"} | environment,
            cwd=self.settings.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self, *words: str, **environment: str) -> Ended:
        return self.watch(self.begin(*words, **environment))

    def kpi(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A `kpi` command against this home's warehouse."""
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "kpi_warehouse.cli", *words],
            env=os.environ | {"KPI_HOME": str(self.path), "COLUMNS": "160"} | environment,
            cwd=self.settings.project,
            capture_output=True,
            text=True,
            check=False,
        )

    def watch(self, process: subprocess.Popen[str]) -> Ended:
        began, listening = time.monotonic(), set()
        while process.poll() is None:
            if time.monotonic() - began > LONGEST_SECONDS:
                process.terminate()
            listening |= self.listening()
            with_patience(process, 1)
        output = process.stdout.read() if process.stdout else ""
        ended = Ended(process.returncode, output, time.monotonic() - began, listening)
        print(f"{process.args[3:]}: exit {ended.code} after {ended.seconds:.0f} s\n{output}")  # type: ignore[index]
        return ended

    def parts(self) -> list[psutil.Process]:
        """Live processes of this stack: those with its mark, and PostgreSQL's, which work in this home's folder."""
        place = self.place / "data"
        return [process for process in psutil.process_iter() if _belongs(process, self.path, place)]

    def listening(self) -> set[tuple[str, int]]:
        ours = {process.pid for process in self.parts()}
        return {
            (found.laddr.ip, found.laddr.port)
            for found in psutil.net_connections("inet")
            if found.pid in ours and found.status == psutil.CONN_LISTEN
        }

    def rows(self, query: str, database: str = "kpi") -> list[tuple[Any, ...]]:
        """Ask the running database."""
        running = self.server.running()
        assert running is not None
        with closing(psycopg.connect(running.url(database, "postgres"), autocommit=True)) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    @contextmanager
    def database(self) -> Iterator[None]:
        """Start the database alone, to look into it."""
        self.server.start()
        try:
            yield
        finally:
            self.server.stop()


def _belongs(process: psutil.Process, home: Path, place: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get(MARK) == str(home) or Path(process.cwd()) == place
    except (OSError, psutil.Error):
        return False


def with_patience(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def soon(true: Callable[[], object], seconds: float = 90) -> None:
    """Poll until it holds."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.3)


@dataclass
class Book:
    """What the warehouse holds after a command."""

    loads: list[tuple[Any, ...]]
    builds: list[tuple[Any, ...]]
    rows: list[tuple[Any, ...]]
    run_types: set[str]


def book(home: Home) -> Book:
    history = " union all ".join(
        f"select '{feed}', count(*), max(known_from) from raw.{feed}" for feed in (MOVES, FLOWS)
    )
    return Book(
        home.rows("select feed, state, error_code from ops.load order by load_id"),
        home.rows("select build_id from ops.build where state = 'published' order by build_id"),
        home.rows(f"{history} order by 1"),
        {kind for (kind,) in home.rows("select distinct run_type from dag_run", "airflow")},
    )


def tables_that_hold(home: Home, database: str, text: str) -> list[str]:
    running = home.server.running()
    assert running is not None
    with closing(psycopg.connect(running.url(database, "postgres"))) as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 10
        query = sql.SQL("select exists (select 1 from {} as t where t::text like %s)")
        return [
            f"{schema}.{name}"
            for schema, name in tables
            if connection.execute(query.format(sql.Identifier(schema, name)), [f"%{text}%"]).fetchone()
            == (True,)
        ]


def errors_in_logs(home: Home, dag_id: str) -> str:
    """What the tasks of a DAG said when they failed."""
    logs = (home.path / "airflow" / "logs").glob(f"dag_id={dag_id}/**/*.log")
    return "\n".join(
        line for log in logs for line in log.read_text("utf-8").splitlines() if '"level":"error"' in line
    )
