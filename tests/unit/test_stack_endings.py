"""However a command on the stack is ended, it stops what it started; what a killed run left is ended by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kpi_warehouse.airflow.components import MARK
from kpi_warehouse.airflow.stack import ONE_RUN, Stack
from kpi_warehouse.settings import Settings

STOPPING = """
import sys, time
from kpi_warehouse.airflow.one_command import end_in_order
end_in_order()
try:
    print("running", flush=True)
    time.sleep(60)
finally:
    print("stopping", flush=True)
    time.sleep(0.5)
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_sent_twice_does_not_end_the_stopping(number: signal.Signals) -> None:
    """make and a terminal send it to a whole group, and make passes it on once more."""
    with subprocess.Popen([sys.executable, "-c", STOPPING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopped\n"
    assert process.returncode == 128 + number


@pytest.fixture
def supervisor_of(tmp_path: Path) -> Iterator[Callable[..., psutil.Process]]:
    """A process that stands where the supervisor of `tmp_path` does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> psutil.Process:
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            env=os.environ | {MARK: str(tmp_path)} | environment,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()  # its environment can be read a moment after it was started
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "supervisord.pid").write_text(str(process.pid), encoding="utf-8")
        return psutil.Process(process.pid)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_a_killed_run_left_is_ended_before_it_passes_for_a_whole_stack(
    tmp_path: Path, supervisor_of: Callable[..., psutil.Process]
) -> None:
    stack = Stack(Settings(home=tmp_path))
    supervisor_of(**{ONE_RUN: "False"})
    assert stack.supervisor() is not None
    stack.end_killed_run()
    assert stack.supervisor() is None


def test_a_lasting_stack_is_left_alone(tmp_path: Path, supervisor_of: Callable[..., psutil.Process]) -> None:
    stack = Stack(Settings(home=tmp_path))
    lasting = supervisor_of()
    stack.end_killed_run()
    assert stack.supervisor() == lasting
