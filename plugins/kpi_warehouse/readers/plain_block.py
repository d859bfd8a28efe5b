"""What a plain table is read as: blocks of rows, column by column, instead of a cell at a time.

A table is plain when nothing about its rows needs looking at one by one: one heading row at the very top, one record a row,
labels that repeat, and numbers written as numbers. `plain_text` and `plain_book` cut a file into such blocks, `plain_table`
makes rows of them. Whatever is not plain raises `NotPlain`, and the layout engine reads the whole file instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kpi_warehouse.readers.grid import Cell, Value


class NotPlain(Exception):
    """Something that only the layout engine can judge. The text is for developers: no user ever sees it."""


@dataclass(frozen=True)
class Labels:
    """A column of repeating texts: for each row the index of what stands there, and the distinct values of the block."""

    codes: NDArray[np.int32]
    values: Sequence[Value]


@dataclass(frozen=True)
class Numbers:
    """A column of values.

    Args:
        texts: Arrow strings, one a row; where `plain`, a number as PostgreSQL reads it.
        plain: which rows hold a number and nothing else; None: all of them.
        blank: which rows hold nothing; None: none of them.
    """

    texts: Any
    plain: NDArray[np.bool_] | None
    blank: NDArray[np.bool_] | None


class Block(Protocol):
    """Some rows of a table that follow each other; columns and rows count from 0, rows within the block."""

    @property
    def first(self) -> int:
        """Number of its first row as a place names it."""

    @property
    def rows(self) -> int:
        """How many there are."""

    def labels(self, column: int) -> Labels:
        """A column of labels.

        Raises:
            NotPlain: a text that cannot be read, or more different ones than a column of labels has.
        """

    def numbers(self, column: int) -> Numbers:
        """A column of values."""

    def is_empty(self, column: int) -> bool:
        """Whether nothing stands in a column."""

    def cells(self, row: int) -> list[Cell]:
        """The cells of one row as the reader of the format hands them to the layout engine."""


class Source(Protocol):
    """A file as one sheet whose first row is the heading."""

    @property
    def name(self) -> str:
        """Name of the sheet."""

    @property
    def heading(self) -> list[Cell]:
        """Cells of the first row."""

    def place(self, column: int) -> tuple[str, str]:
        """What stands before and behind the row's number in the place of a cell of this column."""

    def blocks(self) -> Iterator[Block]:
        """All rows below the heading.

        Raises:
            NotPlain: rows that are not all alike.
        """


def arrow_numbers(numbers: NDArray[Any]) -> Any:
    """An Arrow array over the same memory (`pyarrow.array` would first import pandas, which takes two seconds)."""
    kind = pa.from_numpy_dtype(numbers.dtype)
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])


def arrow_texts(texts: Sequence[str]) -> Any:
    """An Arrow array of texts, without pandas likewise."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def numpy_of(array: Any) -> NDArray[Any]:
    """The numbers or truths of an Arrow array without nulls, without pandas likewise."""
    if pa.types.is_boolean(array.type):
        return numpy_of(array.cast(pa.uint8())).astype(bool)
    whole = np.frombuffer(array.buffers()[1], array.type.to_pandas_dtype())
    return whole[array.offset : array.offset + len(array)]
