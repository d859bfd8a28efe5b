"""A plain table → its stage table by COPY through two connections: the server takes twice as long to write rows as we to make them.

Memory holds the file's bytes, two blocks, the keys (8 bytes a row) and what was learned of the texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import chain, groupby
from operator import itemgetter
from threading import Lock
from typing import Any

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract, FileSource, file_source
from kpi_warehouse.readers.layout_result import MeasureRow
from kpi_warehouse.readers.plain_block import NotPlain, Source
from kpi_warehouse.readers.workbook import OpenedWorkbook
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.tables import names, stage_table

# Bytes below which the layout engine is done before Arrow is imported.
LARGE = {"delimited": 1 << 20, "workbook": 256 << 10}

Lines = tuple[tuple[str, ...], Any]


@dataclass(frozen=True)
class Copied:
    """What was copied: rows, first and last period start of all; `odd` are further rows, still to be written."""

    rows: int
    periods: tuple[date, date]
    odd: list[MeasureRow]


def copy_plain(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    body: bytes,
    name: str,
    workbook: OpenedWorkbook | None,
) -> Copied | None:
    """COPY a large file into its (empty) stage table, if it is a plain table.

    Args:
        connection: its transaction, in which half of the rows are written; the other half is committed by itself, so the
            stage table must be there for all to see, and holds what it should only once this transaction is committed too.
        workbook: the file, opened, where it is one.

    Returns:
        What was copied; None where the file is for the layout engine: the table is empty then.

    Raises:
        UnreadableFile: as the reader of the format.
    """
    source = file_source(contract)
    if len(body) < LARGE.get(source.format, len(body) + 1):
        return None
    try:
        with connection.transaction():
            return _copied(connection, contract, load_id, _opened(source, body, name, workbook))
    except (NotPlain, psycopg.DataError):
        # What the server refuses of a block it refuses of the engine's rows too, in words that are the same.
        connection.execute(sql.SQL("truncate {}").format(stage_table(contract, load_id)))
        return None


def _opened(source: FileSource, body: bytes, name: str, workbook: OpenedWorkbook | None) -> Source:
    # Arrow takes a quarter of a second to import: only for a file that is worth it.
    if workbook is not None:
        from kpi_warehouse.readers.plain_book import PlainBook

        return PlainBook(workbook)
    from kpi_warehouse.readers.plain_text import PlainText

    return PlainText(body, name, encoding=source.encoding, delimiter=source.delimiter)


def _copied(connection: psycopg.Connection, contract: Contract, load_id: int, source: Source) -> Copied:
    from kpi_warehouse.readers.plain_table import PlainTable

    blocks = source.blocks()
    opening = next(blocks, None)
    if opening is None:
        raise NotPlain("no rows")
    table = PlainTable(contract, source, opening)

    def lines() -> Iterator[Lines]:
        for block in chain([opening], blocks):
            yield from table.lines(block)
        table.finish()

    _copy_by_two(connection, stage_table(contract, load_id), _Shared(lines()))
    if not table.rows and not table.odd:
        raise NotPlain("no values")
    return Copied(table.rows, table.periods, table.odd)


class _Shared(Iterator[Lines]):
    """Lines that several threads take from, each the next; one makes them while the others wait for the server."""

    def __init__(self, lines: Iterator[Lines]) -> None:
        self._lines, self._lock = lines, Lock()

    def __next__(self) -> Lines:
        with self._lock:
            return next(self._lines)

    def end(self) -> None:
        """There is nothing more to take."""
        with self._lock:
            self._lines = iter(())


def _copy_by_two(connection: psycopg.Connection, stage: sql.Identifier, lines: _Shared) -> None:
    with connect() as second, ThreadPoolExecutor(1) as thread:
        beside = thread.submit(_copy, second, stage, lines)
        try:
            _copy(connection, stage, lines)
        finally:
            lines.end()
        beside.result()


def _copy(connection: psycopg.Connection, stage: sql.Identifier, lines: Iterator[Lines]) -> None:
    for columns, buffers in groupby(lines, key=itemgetter(0)):
        statement = sql.SQL("copy {} ({}) from stdin").format(stage, names(columns))
        with connection.cursor().copy(statement) as copy:
            for _, buffer in buffers:
                copy.write(buffer)
