"""A workbook → blocks of a plain table, where it holds one sheet of values and nothing beside them.

Hidden rows and columns, formulas, error values, merged cells, a second sheet that says something: all that is not plain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kpi_warehouse.readers.calamine_process import ReadColumn, ReadSheet
from kpi_warehouse.readers.grid import Cell, Value, column_letters, number_and_text
from kpi_warehouse.readers.layout_values import PLAIN
from kpi_warehouse.readers.plain_block import Labels, NotPlain, Numbers, arrow_numbers, arrow_texts
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.shown.number_format import Says
from kpi_warehouse.readers.workbook import OpenedWorkbook, cell_of

# Rows of a block.
BLOCK = 1 << 16
# Doubles below it are whole numbers exactly, and shown as such (`grid.number`).
_WHOLE = 1e15


class PlainBook:
    """A workbook as a source of blocks.

    Raises:
        NotPlain: anything but one sheet of values.
    """

    def __init__(self, opened: OpenedWorkbook) -> None:
        said = [sheet for sheet in opened.sheets if sheet.first]
        if len(said) != 1 or said[0].hidden or said[0].height < 1:
            raise NotPlain("sheets")
        sheet = said[0]
        if sheet.merges or any(map(_says_more, opened.marks.values())):
            raise NotPlain("marks beside the values")
        self.name = sheet.name
        self.sheet: ReadSheet = sheet
        self.heading = [cell_of(value, self.at(column, 1)) for column, value in enumerate(sheet.first)]

    def at(self, column: int, row: int) -> str:
        """The place of a cell; its row counts from 1."""
        return f"{self.name}!{column_letters(column)}{row}"

    def place(self, column: int) -> tuple[str, str]:
        return f"{self.name}!{column_letters(column)}", ""

    def blocks(self) -> Iterator[_BookBlock]:
        for start in range(0, self.sheet.height, BLOCK):
            yield _BookBlock(self, start, min(start + BLOCK, self.sheet.height))


def _says_more(marks: SheetMarks) -> bool:
    """Whether cells of a sheet say more than their stored values, or other texts are on it."""
    beside = marks.hidden_rows or marks.hidden_columns or marks.formulas or marks.errors or marks.merges
    return bool(
        beside
        or marks.show_more
        or any(style.says_of_zero is not Says.NO_MORE for style in set(marks.styles.values()))
    )


class _BookBlock:
    def __init__(self, book: PlainBook, start: int, end: int) -> None:
        self.first, self.rows = start + 2, end - start
        self._book, self._part = book, slice(start, end)

    def _column(self, column: int) -> ReadColumn:
        read = self._book.sheet.columns[column]
        if read.codes is not None:
            return read._replace(codes=read.codes[self._part])
        return read._replace(content=read.content[self._part])

    def labels(self, column: int) -> Labels:
        read = self._column(column)
        distinct: Sequence[Any]
        if read.codes is not None:
            there, codes = _distinct(read.codes)
            distinct = [read.content[each] for each in there.tolist()]
        elif read.kind == "numbers":
            there, codes = _distinct(read.content)
            distinct = there.tolist()
        else:
            known: dict[tuple[type, Any], int] = {}
            codes = np.array(
                [known.setdefault((type(value), value), len(known)) for value in read.content], np.int32
            )
            distinct = [value for _, value in known]
        values: list[Value] = [cell_of(value, "").value for value in distinct]
        return Labels(codes, values)

    def numbers(self, column: int) -> Numbers:
        read = self._column(column)
        if read.kind == "numbers":
            return Numbers(_shown(read.content), None, None)
        if read.codes is not None:
            index, distinct = read.codes, read.content
        else:
            index, distinct = np.arange(self.rows, dtype=np.int32), read.content
        texts = [_number(value) for value in distinct]
        plain = np.array([bool(text) for text in texts], bool)[index]
        blank = np.array([value == "" for value in distinct], bool)[index]
        taken = arrow_texts([text or "" for text in texts]).take(arrow_numbers(index))
        return Numbers(taken, None if plain.all() else plain, blank if blank.any() else None)

    def is_empty(self, column: int) -> bool:
        return all(value is None for value in self.labels(column).values)

    def cells(self, row: int) -> list[Cell]:
        at = self._part.start + row
        cells = []
        for column, read in enumerate(self._book.sheet.columns):
            if read.codes is not None:
                value = read.content[read.codes[at]]
            else:
                value = float(read.content[at]) if read.kind == "numbers" else read.content[at]
            cells.append(cell_of(value, self._book.at(column, at + 2)))
        return cells


def _distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """The distinct values, and the index of each value among them."""
    found: tuple[Any, Any] = np.unique(values, return_inverse=True)
    return found[0], found[1].astype(np.int32)


def _number(value: Any) -> str | None:
    """A number in digits where a cell holds one and nothing else."""
    if type(value) is float:
        return number_and_text(value)[1] if np.isfinite(value) else None
    if type(value) is int:
        return str(value)
    return value if type(value) is str and PLAIN.fullmatch(value) else None


def _shown(numbers: NDArray[np.float64]) -> Any:
    """Doubles as a person sees them, as Arrow texts."""
    if not np.isfinite(numbers).all():
        raise NotPlain("a number that is none")
    if (np.abs(numbers) < _WHOLE).all():
        whole = numbers.astype(np.int64)
        if (whole == numbers).all():
            return arrow_numbers(whole).cast(pa.string())
    distinct, index = _distinct(numbers)
    return arrow_texts([number_and_text(each)[1] for each in distinct.tolist()]).take(arrow_numbers(index))
