"""A division's landed file → rows of a stage table, stated totals and faulty cells.

The file is read whole by the reader of its format, interpreted by the contract's layout, and written only when every
cell was understood: one faulty cell sends the file back with all its faults, since a sheet that was half read looks
complete to whoever sees the result. A large file that is nothing but a plain table goes by `plain_copy` instead, with the
same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract, FileSource, file_source
from kpi_warehouse.contract_layout import MEASURE_COLUMN
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.readers.corrected import corrected
from kpi_warehouse.readers.delimited import read_delimited
from kpi_warehouse.readers.grid import Book
from kpi_warehouse.readers.json_records import read_json
from kpi_warehouse.readers.layout import CellFault, MeasureRow, Reading, read_layout
from kpi_warehouse.readers.plain_copy import Copied, copy_plain
from kpi_warehouse.readers.refusal import refusal_ja
from kpi_warehouse.readers.workbook import open_workbook, read_workbook
from kpi_warehouse.warehouse.corrections import (
    Correction,
    Use,
    corrections_for,
    corrections_used,
    note_uses,
)
from kpi_warehouse.warehouse.tables import copy_statement, raw_table, stage_table

WHOLE_FILE = "（ファイル全体）"
# Notices kept of one file: nobody reads more.
MOST_NOTICES = 200


@dataclass(frozen=True)
class StagedFile:
    """What was staged: rows, and the first and last period start among them."""

    rows: int
    period_from: date
    period_to: date


def open_book(source: FileSource, body: bytes, name: str) -> Book:
    """Read a file by its format.

    Raises:
        UnreadableFile: not of this format, protected, broken or too large; with what was found.
    """
    if source.format == "workbook":
        return read_workbook(body, name)
    if source.format == "json":
        return read_json(body, name, source.records)
    return read_delimited(body, name, encoding=source.encoding, delimiter=source.delimiter)


def read_file(contract: Contract, body: bytes, name: str) -> Reading:
    """Read and interpret a file; faults are in the result, not raised.

    Raises:
        UnreadableFile: nothing of it could be read.
    """
    source = file_source(contract)
    return read_layout(open_book(source, body, name), source.layout, contract.columns)


def stage_file(
    connection: psycopg.Connection, contract: Contract, load_id: int, body: bytes, name: str
) -> StagedFile:
    """Read a file into its (empty) stage table; faults and stated totals go into `ops`.

    Raises:
        UnreadableFile: nothing of it could be read.
        GateRejected: cells could not be read under the contract; every one is in ``ops.cell_fault``.
    """
    known = corrections_for(connection, contract.feed, hashlib.sha256(body).hexdigest())
    reading, uses, plain = _read(connection, contract, load_id, body, name, known)
    note_uses(connection, load_id, uses)
    _note_faults(connection, load_id, reading.faults)
    _note_drift(connection, contract, load_id, reading.drift, reading.notices)
    if reading.faults:
        connection.commit()
        raise GateRejected(refusal_ja(contract, name, reading.faults), "file.cells")
    if not reading.rows and plain is None:
        raise GateRejected(f"{contract.title_ja}：「{name}」に値がひとつもありません。", "file.empty")
    _copy(connection, contract, load_id, reading)
    changed = _units_changed(connection, contract, load_id)
    if changed:
        connection.execute(sql.SQL("truncate {}").format(stage_table(contract, load_id)))
        _note_faults(connection, load_id, changed)
        connection.commit()
        raise GateRejected(refusal_ja(contract, name, changed), "file.cells")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.stated_total (load_id, name, place, label, measure_code, stated, members)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    load_id,
                    check.name,
                    check.place,
                    check.label,
                    check.measure_code,
                    check.stated,
                    list(check.members),
                )
                for check in reading.checks
            ],
        )
    periods = [*(row.period for row in reading.rows), *(plain.periods if plain else ())]
    return StagedFile(len(reading.rows) + (plain.rows if plain else 0), min(periods), max(periods))


def stage_file_again(
    connection: psycopg.Connection, contract: Contract, load_id: int, body: bytes, name: str
) -> int:
    """Read a file that was accepted once into its (empty) stage table, with the corrections that applied then; returns its rows.

    Nothing is written down of it: the books say already what became of it.

    Raises:
        UnreadableFile, GateRejected: the contract of today does not understand it any more.
    """
    reading, _, plain = _read(
        connection, contract, load_id, body, name, corrections_used(connection, load_id)
    )
    if reading.faults:
        raise GateRejected(refusal_ja(contract, name, reading.faults), "file.cells")
    _copy(connection, contract, load_id, reading)
    return len(reading.rows) + (plain.rows if plain else 0)


def _read(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    body: bytes,
    name: str,
    known: list[Correction],
) -> tuple[Reading, list[Use], Copied | None]:
    source = file_source(contract)
    workbook = open_workbook(body, name) if source.format == "workbook" else None
    # A correction is looked for in every row, which only the layout engine has one by one.
    plain = None if known else copy_plain(connection, contract, load_id, body, name, workbook)
    if plain is not None:
        return Reading(rows=plain.odd), [], plain
    book = workbook.book() if workbook else open_book(source, body, name)
    reading, uses = corrected(read_layout(book, source.layout, contract.columns), known)
    reading.notices.extend(CellFault(WHOLE_FILE, "", "", note, "file_note") for note in book.notes)
    return reading, uses, None


def _copy(connection: psycopg.Connection, contract: Contract, load_id: int, reading: Reading) -> None:
    with connection.cursor() as cursor, cursor.copy(copy_statement(contract, load_id)) as copy:
        for row in _rows(contract, reading.rows):
            copy.write_row(row)


def _units_changed(connection: psycopg.Connection, contract: Contract, load_id: int) -> list[CellFault]:
    """Measures whose unit only the file states, and states otherwise than the accepted deliveries did (人 → 千人).

    A form in which rows state their units is left to the rules of its contract.
    """
    columns = [column for table in file_source(contract).layout.tables for column in table.columns]
    measures = next(column for column in contract.columns if column.name == MEASURE_COLUMN)
    declared = bool(measures.codes) and set(measures.codes) <= set(measures.units)
    if declared or any(column.kind == "unit" or column.units for column in columns):
        return []
    raw = connection.execute("select to_regclass(%s)", [f'raw."{contract.feed}"']).fetchone()
    if raw is None or raw[0] is None:
        return []
    query = sql.SQL(
        "with before as (select measure_code, min(unit) as unit from {} where known_to = 'infinity'"
        " and unit is not null group by measure_code having count(distinct unit) = 1)"
        " select s.measure_code, before.unit, s.unit, min(s.source_cell) from {} as s"
        " join before using (measure_code) where s.unit is distinct from before.unit and s.value is not null"
        " group by 1, 2, 3 order by 1, 3"
    ).format(raw_table(contract), stage_table(contract, load_id))
    return [
        CellFault(
            str(place),
            str(measures.codes.get(measure) or measure),
            said or "（単位なし）",
            f"これまでと同じ単位「{unit}」",
            "changed_unit",
        )
        for measure, unit, said, place in connection.execute(query)
    ]


def _rows(contract: Contract, rows: list[MeasureRow]) -> Iterator[tuple[object, ...]]:
    """Rows in the order of `Contract.stage_columns`."""
    axes = [column.name for column in contract.axes if column.name not in ("period_kind", "measure_code")]
    order = contract.stage_columns
    for row in rows:
        values: dict[str, object] = {
            "period": row.period,
            "period_kind": row.period_kind,
            "measure_code": row.measure_code,
            contract.value.name: row.value,
            contract.mark.name: row.value_mark,
            "value_text": row.value_text,
            "unit": row.unit,
            "qualifier": row.qualifier,
            "value_status": row.value_status,
            "period_end": row.period_end,
            "note": row.note,
            "public_on": row.public_on,
            "source_page": 1,
            "source_cell": row.source_cell,
        }
        values |= {axis: row.axes[axis] for axis in axes}
        yield tuple(values[name] for name in order)


def _note_faults(connection: psycopg.Connection, load_id: int, faults: list[CellFault]) -> None:
    connection.execute("delete from ops.cell_fault where load_id = %s", [load_id])
    connection.execute("delete from ops.stated_total where load_id = %s", [load_id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.cell_fault (load_id, position, place, label, found, expected_ja, code)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            [
                (load_id, position, fault.place, fault.label, fault.found, fault.expected_ja, fault.code)
                for position, fault in enumerate(faults, 1)
            ],
        )


def _note_drift(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    drift: list[CellFault],
    notices: list[CellFault],
) -> None:
    """Write down what changed of the form, each with what the contract says is to be done about it, and what was not read."""
    policy = file_source(contract).layout.drift
    of_code = {
        "new_column": policy.new_column,
        "missing_column": policy.missing_column,
        "changed_unit": policy.changed_unit,
    }
    connection.execute("delete from ops.drift where load_id = %s", [load_id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.drift (load_id, position, place, label, found, expected_ja, code, policy)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    load_id,
                    at,
                    one.place,
                    one.label,
                    one.found,
                    one.expected_ja,
                    one.code,
                    of_code.get(one.code, "note"),
                )
                for at, one in enumerate([*drift, *notices[:MOST_NOTICES]], 1)
            ],
        )
