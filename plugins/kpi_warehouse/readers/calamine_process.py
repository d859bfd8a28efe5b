"""The parent's side of `calamine_child`: starts it, waits within limits, says in our words what became of it."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
import tempfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import calamine_child, file_kind
from kpi_warehouse.readers.sheet_marks import Position

# The largest file we take is read in 15 s; the child's own limit is on processor time, this one on waiting.
MAX_SECONDS = 180.0
# A larger file (bytes) is read while its marks are looked for; a smaller one only after it passed, which takes no time.
AT_ONCE = 256 << 10


class ReadSheet(NamedTuple):
    """One sheet as calamine reads it: values by row from A1 on, "" where there is none."""

    name: str
    hidden: bool
    values: list[list[Any]]
    merges: list[tuple[Position, Position]]


class CalamineProcess:
    """Reads a workbook beside us while the marks of its sheets are looked for here.

    Use as a context: whatever happens inside, no process is left behind.
    """

    def __init__(self, body: bytes, name: str) -> None:
        self._body, self._name = body, name
        self._process: subprocess.Popen[bytes] | None = None
        # Files instead of pipes: neither side ever waits for the other to read.
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115, closed by __exit__
        if len(body) > AT_ONCE:
            self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        found = importlib.util.find_spec("python_calamine")
        assert found is not None and found.origin is not None
        with tempfile.TemporaryFile() as given:
            given.write(self._body)
            given.seek(0)
            return subprocess.Popen(
                [sys.executable, "-I", calamine_child.__file__, str(Path(found.origin).parents[1])],
                stdin=given,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
            )

    def __enter__(self) -> CalamineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._answer.close()

    def sheets(self) -> list[ReadSheet]:
        """What the child read.

        Raises:
            UnreadableFile: a password, a damaged book, one that asks for more memory or time than any real one.
        """
        self._process = self._process or self._started()
        try:
            code = self._process.wait(MAX_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise self._damaged(f"{MAX_SECONDS:.0f} 秒で読み終わりません") from error
        if code:
            raise self._damaged(f"読み取りの途中で異常終了しました（{code}）")
        self._answer.seek(0)
        word, *rest = _Answer(self._answer).load()
        if word != "read":
            if rest[0] == "PasswordError":
                raise file_kind.password(self._name)
            raise self._damaged(str(rest[1])[:200])
        return [ReadSheet(*sheet) for sheet in rest[0]]

    def _damaged(self, problem: str) -> UnreadableFile:
        return UnreadableFile(
            f"{self._name}：ブックの中が壊れていて読めません（{problem}）。"
            "Excel で開いて「名前を付けて保存」し、出し直してください。",
            "file.damaged",
        )


class _Answer(pickle.Unpickler):
    """Takes values of a sheet only: the child has handled hostile bytes."""

    def find_class(self, module: str, name: str) -> Any:
        kinds = {kind.__name__: kind for kind in (date, datetime, time, timedelta)}
        if module == "datetime" and name in kinds:
            return kinds[name]
        raise pickle.UnpicklingError(f"{module}.{name}")
