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
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import calamine_child, file_kind
from kpi_warehouse.readers.sheet_marks import Position

# The largest file we take is read in 15 s; the child's own limit is on processor time, this one on waiting.
MAX_SECONDS = 180.0
# A larger file (bytes) is read while its marks are looked for; a smaller one only after it passed, which takes no time.
AT_ONCE = 256 << 10


class ReadColumn(NamedTuple):
    """A column below the first row: doubles of all its cells, or an index into distinct texts, or the values themselves."""

    kind: Literal["numbers", "texts", "values"]
    content: Any
    codes: NDArray[np.int32] | None

    def values(self) -> list[Any]:
        """The values one by one, "" where there is none."""
        if self.codes is not None:
            return list(map(self.content.__getitem__, self.codes.tolist()))
        values: list[Any] = self.content.tolist() if self.kind == "numbers" else self.content
        return values


class ReadSheet(NamedTuple):
    """One sheet as calamine reads it, from A1 on: first row, columns below it with `height` cells each, merged areas."""

    name: str
    hidden: bool
    first: list[Any]
    columns: list[ReadColumn]
    height: int
    merges: list[tuple[Position, Position]]

    def values(self) -> list[list[Any]]:
        """All values by row, "" where there is none."""
        below = zip(*(column.values() for column in self.columns), strict=True)
        return [self.first, *map(list, below)] if self.first else []


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
        try:
            return [_sheet(*sheet) for sheet in rest[0]]
        except (TypeError, ValueError) as error:
            raise self._damaged(str(error)[:200]) from error

    def _damaged(self, problem: str) -> UnreadableFile:
        return UnreadableFile(
            f"{self._name}：ブックの中が壊れていて読めません（{problem}）。"
            "Excel で開いて「名前を付けて保存」し、出し直してください。",
            "file.damaged",
        )


def _sheet(
    name: str,
    hidden: bool,
    first: list[Any],
    columns: list[tuple[Any, Any, Any]],
    count: int,
    merges: list[tuple[Position, Position]],
) -> ReadSheet:
    """A sheet as the child sent it.

    Raises:
        ValueError: what was sent does not fit together.
    """
    made = []
    for kind, content, index in columns:
        column = ReadColumn(kind, content, None)
        if kind == "numbers":
            column = ReadColumn(kind, np.frombuffer(content, np.float64), None)
        elif kind == "texts":
            column = ReadColumn(kind, content, np.frombuffer(index, np.int32))
        codes = column.codes
        if codes is not None and len(codes) and not 0 <= codes.min() <= codes.max() < len(content):
            raise ValueError("an index beyond the texts")
        if len(column.content if codes is None else codes) != count:
            raise ValueError("columns of different lengths")
        made.append(column)
    if count and len(made) != len(first):
        raise ValueError("rows of different lengths")
    return ReadSheet(name, hidden, first, made, count, merges)


class _Answer(pickle.Unpickler):
    """Takes values of a sheet only: the child has handled hostile bytes."""

    def find_class(self, module: str, name: str) -> Any:
        kinds = {kind.__name__: kind for kind in (date, datetime, time, timedelta)}
        if module == "datetime" and name in kinds:
            return kinds[name]
        raise pickle.UnpicklingError(f"{module}.{name}")
