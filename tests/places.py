"""Folders for the servers under test, in memory where the machine has room: a database is 300 small files, and tests make hundreds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 * 2**30


@contextmanager
def folder(mode: int = 0o755) -> Iterator[Path]:
    """A folder of these permissions; pytest's own are closed to the server's user when we are root."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    made = Path(tempfile.mkdtemp(prefix="kpi-test-", dir=MEMORY if roomy else None))
    made.chmod(mode)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
