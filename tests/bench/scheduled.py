"""One pull of 100,000 values under Airflow's real scheduler: `python -m tests.bench.scheduled`, exit 1 when the bound is missed.

A stack as `make up` starts it, in a `KPI_HOME` of its own and with the e-Stat simulator beside it. The flows of two months go first,
so that every part has done its work once; then all moves since the first month come in one run of their DAG. Seconds are Airflow's
own, from the start of the run to its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from demo.estat import Simulator
from demo.estat.synthetic import LAST, synthetic_flow_months, synthetic_migration
from demo.estat.tables import months_before
from kpi_warehouse.airflow.rest import FINISHED, Run
from kpi_warehouse.airflow.stack import Stack
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
# Of 1,296 values each: 3 indicators × 3 sexes × 3 nationalities × 48 areas.
MONTHS = months_before(LAST, 78)
BOUND_SECONDS = 10.0
LONGEST_SECONDS = 120
WARM_UPS = 2


def main() -> int:
    """Print the run and its steps; 1 when the bound is missed."""
    with (
        Simulator([synthetic_migration(MONTHS), synthetic_flow_months(MONTHS[-WARM_UPS:])]) as estat,
        tempfile.TemporaryDirectory(prefix="kpi-bench-") as folder,
    ):
        home = Path(folder) / "var"
        environment = {
            "KPI_HOME": str(home),
            "ESTAT_APP_ID": "0" * 40,
            "ESTAT_BASE_URL": estat.base_url,
            "KPI_ESTAT_REQUESTS_PER_SECOND": "0",
        }
        stack = Stack(Settings(home=home))
        try:
            _command(environment, "up")
            for month in MONTHS[-WARM_UPS:]:
                _run(stack, FLOWS, month)
            run = _run(stack, MOVES, LAST)
            return _report(stack, home, run)
        finally:
            _command(environment, "clean")


def _command(environment: dict[str, str], word: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "kpi_warehouse.airflow.stack", word],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _run(stack: Stack, dag_id: str, month: str) -> Run:
    """A run of a DAG for a month, when it has ended."""
    api = stack.api
    api.log_in()
    begun = api.trigger(dag_id, month)
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        (run,) = [run for run in api.newest_runs() if run.run_id == begun.run_id and run.dag_id == dag_id]
        if run.state in FINISHED:
            return run
        time.sleep(0.5)
    raise TimeoutError(f"{dag_id} {month} did not end within {LONGEST_SECONDS} s")


def _report(stack: Stack, home: Path, run: Run) -> int:
    api = stack.api
    api.log_in()
    steps = {task["task_id"]: task for task in api.tasks(run)}
    print(f"{run.dag_id} {run.partition_key}: {run.state}, {_published_rows(home):,} values published")
    for name in ("fetch", "stage", "gate", "publish"):
        print(f"  {name:8} {steps[name]['state']:8} {steps[name]['duration']:.2f} s")
    seconds = run.seconds or float("inf")
    print(f"DAG run {seconds:.2f} s (bound {BOUND_SECONDS:.0f} s)")
    return 0 if run.state == "success" and seconds <= BOUND_SECONDS else 1


def _published_rows(home: Path) -> int:
    server = EmbeddedServer(Settings(home=home)).running()
    assert server is not None
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(
            "select opened_rows from ops.load where feed = %s and state = 'published'", [MOVES]
        ).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
