"""`python -m demo.estat`: the simulator from the command line. Prints its base URL (for ESTAT_BASE_URL),
ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from demo.estat import published
from demo.estat.simulator import Simulator
from demo.estat.tables import Table, months_before


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m demo.estat", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free port of 127.0.0.1")
    parser.add_argument(
        "--data", default="published", help="published, or synthetic:<values of the flow table>"
    )
    parser.add_argument("--last", default="2025-02", help="newest month of synthetic data, YYYY-MM")
    parser.add_argument("--seed", type=int, default=1, help="seed of synthetic data")
    parser.add_argument(
        "--control", action="store_true", help="offer /control/{faults,clock,revise,prepare,requests}"
    )
    parser.add_argument("--prepared", action="store_true", help="keep finished answers (needs --clock)")
    parser.add_argument("--clock", help="RESULT.DATE of every answer; default: the time of the answer")
    parser.add_argument("--ready-file", type=Path, help="write the base URL here once requests are taken")
    asked = parser.parse_args(arguments)
    sim = Simulator(
        _tables(asked.data, asked.last, asked.seed),
        control=asked.control,
        prepared=asked.prepared,
        clock=asked.clock,
        port=asked.port,
    )
    # The server hands the signal on after its clean stop; the process has nothing left to do with it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if asked.ready_file is not None:
        part = asked.ready_file.with_suffix(".part")
        part.write_text(sim.base_url, encoding="utf-8")
        part.replace(asked.ready_file)
    print(sim.base_url, flush=True)
    sim.serve()
    return 0


def _tables(data: str, last: str, seed: int) -> list[Table]:
    if data == "published":
        return [published.moves(), published.flow()]
    kind, _, values = data.partition(":")
    if kind != "synthetic" or not values.isdigit() or int(values) < 1:
        raise SystemExit(f"--data {data}: expected published or synthetic:<values>")
    # numpy takes longer to import than everything else here; published figures do without it.
    from demo.estat import synthetic

    flow = synthetic.synthetic_flow(int(values), seed, last=last)
    return [synthetic.synthetic_migration(months_before(last, len(flow.months)), seed), flow]


if __name__ == "__main__":
    sys.exit(main())
