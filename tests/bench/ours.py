"""One measured phase of the loader in a process of its own: prints seconds, seconds of CPU and peak memory as JSON.

Run as `python -m tests.bench.ours PHASE`. What is imported before the clock starts is named by the phase: the gate's
import of Great Expectations is not counted, as the tasks of a running scheduler find it imported.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable

from kpi_warehouse import load
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import read_load

FEED = "estat_migration_flow_monthly"
FIRST = "2020-01"


def newest() -> int:
    """Number of the newest load."""
    with connect() as connection:
        row = connection.execute("select max(load_id) from ops.load").fetchone()
    assert row is not None
    return int(row[0])


def stage_path() -> int:
    """fetch → landed → typed stage."""
    fetched = load.fetch(FEED, since=FIRST, force=True)
    return load.stage(fetched.load_id)


def gate_path() -> int:
    """The gate on what the last phase staged."""
    load.gate(newest())
    return int(read_load(newest())["staged_rows"])


def whole_path() -> int:
    """fetch → stage → gate → publish, as `kpi load --force` does it."""
    published = load.run(FEED, since=FIRST, force=True)
    return published.opened_rows


def pull_path() -> int:
    """The same without --force: an answer of the same bytes is recognised."""
    return load.run(FEED, since=FIRST).opened_rows


PHASES: dict[str, Callable[[], int]] = {
    "stage": stage_path,
    "gate": gate_path,
    "whole": whole_path,
    "pull": pull_path,
}


def cpu_seconds() -> float:
    """User and system time of this process and of those it started and that have ended."""
    times = os.times()
    return sum(times[:4])


def main() -> None:
    """Run the phase named on the command line."""
    phase = PHASES[sys.argv[1]]
    if sys.argv[1] != "stage":
        import kpi_warehouse.gate.suite  # noqa: F401
    load.contract_of(FEED)
    connect().close()
    before, cpu_before = time.perf_counter(), cpu_seconds()
    rows = phase()
    seconds, cpu = time.perf_counter() - before, cpu_seconds() - cpu_before
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": rows, "peak_mb": peak / 1024}))


if __name__ == "__main__":
    main()
