"""A command on the stack: one at a time for one `KPI_HOME`, and however it is ended it stops what it started."""

from __future__ import annotations

import fcntl
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kpi_warehouse.errors import KpiError

ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """One `run`, `up`, `down` or `clean` at a time for one `KPI_HOME`."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KpiError(
                f"{home} では別の make run / up / down が動いています。終わってからやり直してください。",
                "stack.busy",
            ) from None
        yield


def end_in_order() -> None:
    """From now on a signal unwinds the command: whoever ends it, or closes the terminal, finds nothing running."""
    for number in ENDINGS:
        signal.signal(number, _unwind)


def _unwind(received: int, _: object) -> None:
    # make passes on the signal that the terminal has sent already: the second one must not end the stopping.
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + received)
