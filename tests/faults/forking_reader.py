"""Calamine's process without its start: one process has everything imported and forks a child for each workbook.

What runs in the child is `calamine_child.main`, with its limits. A start takes 40 ms and a fork 2, which is the difference
between an hour and minutes where a hundred thousand damaged files are read.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import python_calamine

from kpi_warehouse.readers import calamine_child, calamine_process

_FORKS = """
import io, os, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
sys.path.insert(0, sys.argv[2])
import calamine_child, python_calamine
requests = sys.stdin
for line in requests:
    given, answer = line.split()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(given, os.O_RDONLY), 0)
            os.dup2(os.open(answer, os.O_WRONLY), 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.stdin, sys.stdout = io.TextIOWrapper(io.FileIO(0)), io.TextIOWrapper(io.FileIO(1, "w"))
            sys.argv = ["calamine_child", sys.argv[2]]
            calamine_child.main()
            sys.stdout.flush()
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    _, status, used = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)
"""


@dataclass
class Used:
    """Processor time that the children took, in seconds."""

    seconds: float = 0.0


class _Child:
    """The part of `subprocess.Popen` that the reader uses."""

    def __init__(self, forks: subprocess.Popen[bytes], given: str, answer: str, used: Used) -> None:
        self._used = used
        assert forks.stdin is not None and forks.stdout is not None
        self._said = forks.stdout
        self._code: int | None = None
        forks.stdin.write(f"{given} {answer}\n".encode())
        forks.stdin.flush()
        self._pid = int(self._said.readline())

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            if timeout is not None and not select.select([self._said], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("calamine", timeout)
            code, seconds = self._said.readline().split()
            self._code = int(code)
            self._used.seconds += float(seconds)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)


@contextmanager
def forking_reader() -> Iterator[Used]:
    """Within it, workbooks are read by forked children."""
    used = Used()
    place = str(Path(python_calamine.__file__).parents[1])
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given"
        forks = subprocess.Popen(
            [sys.executable, "-I", "-c", _FORKS, calamine_child.__file__, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

        def started(reader: Any) -> _Child:
            given.write_bytes(reader._body)
            return _Child(forks, str(given), f"/proc/{os.getpid()}/fd/{reader._answer.fileno()}", used)

        try:
            with patch.object(calamine_process.CalamineProcess, "_started", started):
                yield used
        finally:
            forks.kill()
            forks.wait()
            for pipe in (forks.stdin, forks.stdout):
                if pipe is not None:
                    pipe.close()
