"""Read a workbook with calamine in a process of its own: standard input → pickled sheets on standard output.

A hostile file of three kilobytes makes calamine ask for 96 GB (`uniqueCount="4000000000"` of the shared strings), which
ends the process it runs in and with it an Airflow worker and its other loads. Here it ends this process only, within
the limits below. Nothing of ours is imported: this starts in 30 ms.

Below the first row, columns that are all numbers or all text go as arrays: a million cells as objects cost more to hand
over than to read.
"""

from __future__ import annotations

import gc
import io
import pickle
import resource
import sys
from array import array
from typing import Any

# The largest sheet we take (5 million cells of text) needs 1.5 GB, its file being some 20 MB; a small file gets less, so
# that one made to grow is ended before it took much.
MAX_MEMORY = 3 << 30
LEAST_MEMORY = 768 << 20
MEMORY_PER_BYTE = 256
MAX_CPU_S = 120


def read(body: bytes) -> list[tuple[str, bool, list[Any], list[tuple[str, Any, Any]], int, list[Any]]]:
    """Name, hidden, first row, columns below it, how many rows these have, and merged areas of each sheet of cells."""
    import python_calamine as calamine

    workbook = calamine.load_workbook(io.BytesIO(body))
    sheets = []
    for index, meta in enumerate(workbook.sheets_metadata):
        if meta.typ is not calamine.SheetTypeEnum.WorkSheet:
            continue  # a chart or a macro sheet holds no cells
        sheet = workbook.get_sheet_by_index(index)
        values = sheet.to_python(skip_empty_area=False)
        hidden = meta.visible is not calamine.SheetVisibleEnum.Visible
        first, below = (values[0], values[1:]) if values else ([], [])
        columns = list(map(column, zip(*below, strict=True)))
        sheets.append((meta.name, hidden, first, columns, len(below), sheet.merged_cell_ranges or []))
    return sheets


def column(cells: tuple[Any, ...]) -> tuple[str, Any, Any]:
    """One column: ("numbers", doubles, None), ("texts", distinct texts, index of each cell), or ("values", cells, None)."""
    kinds = set(map(type, cells))
    if kinds == {float}:
        return "numbers", array("d", cells).tobytes(), None
    if kinds == {str}:
        texts = list(dict.fromkeys(cells))
        index = dict(zip(texts, range(len(texts)), strict=True))
        return "texts", texts, array("i", map(index.__getitem__, cells)).tobytes()
    return "values", list(cells), None


def main() -> None:
    """Answer with ("read", sheets) or ("failed", name of the error, its text)."""
    sys.path.insert(0, sys.argv[1])  # where the parent found calamine
    body = sys.stdin.buffer.read()
    memory = min(MAX_MEMORY, LEAST_MEMORY + MEMORY_PER_BYTE * len(body))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()
    answer: tuple[Any, ...]
    try:
        answer = ("read", read(body))
    except BaseException as error:  # a panic of Rust code is no Exception
        answer = ("failed", type(error).__name__, str(error))
    pickler = pickle.Pickler(sys.stdout.buffer, protocol=5)
    pickler.fast = True  # nothing in a sheet is shared, and remembering each cell takes ten times as long
    pickler.dump(answer)


if __name__ == "__main__":
    main()
