"""A JSON document with records → one sheet: the keys as header row, then one row a record.

A nested object becomes columns `key／inner key`, as a heading of two rows does in a workbook. What stands beside the
records (a date of the whole answer, a count) is kept in the book's properties by its JSON pointer.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind
from kpi_warehouse.readers.grid import Book, Cell, Rows, Sheet, Value, text_of
from kpi_warehouse.readers.sheet_marks import MAX_CELLS
from kpi_warehouse.readers.text_encoding import decode

# Parsed JSON takes about ten times its bytes.
MAX_JSON = 50 << 20
# A number of more digits is no figure of ours, and writing 1e999999999 in plain digits would take a gigabyte.
_MAX_DIGITS = 400
_JOINED = "／"
# A heading of more levels is no heading of a table.
_MAX_DEPTH = 8


def read_json(body: bytes, name: str, records: str) -> Book:
    """Read the records of a JSON document.

    Args:
        body: the bytes, UTF-8 (or UTF-16 with its mark).
        name: file name or address, for messages.
        records: JSON pointer to the list of records (`/records`; "" for the whole document); one object is one record.

    Raises:
        UnreadableFile: not JSON, a key given twice, no list at the pointer, a record that is none, too large.
    """
    file_kind.guard_name(body, name)
    file_kind.guard_size(body, name, MAX_JSON)
    text, encoding = decode(body, name, "utf-8" if not body.startswith((b"\xff\xfe", b"\xfe\xff")) else None)
    try:
        document = json.loads(
            text,
            parse_float=_decimal,
            parse_constant=_no_number,
            object_pairs_hook=_once,
        )
    except RecursionError as error:
        raise _not_json(name, "入れ子が深すぎます") from error
    except ValueError as error:
        raise _not_json(name, str(error)) from error
    beside: dict[str, str] = {}
    found = _pointed(document, name, records, beside)
    listed = isinstance(found, list)
    rows: list[dict[str, tuple[str, Value]]] = []
    columns: dict[str, None] = {}
    for index, record in enumerate(found if listed else [found]):
        place = f"{records.rstrip('/')}/{index}" if listed else records.rstrip("/")
        if not isinstance(record, dict):
            raise _not_json(name, f"{place} が項目の組（オブジェクト）ではなく「{str(record)[:60]}」です")
        cells = _flatten(record, name, place)
        columns |= dict.fromkeys(cells)
        rows.append(cells)
        if len(rows) * len(columns) > MAX_CELLS:
            raise UnreadableFile(
                f"{name}：値が多すぎます（見つかったもの：{len(rows):,} 件 × {len(columns):,} 項目、期待：{MAX_CELLS:,} 個以下）。",
                "file.too_many_cells",
            )
    return Book([_sheet(name, records.rstrip("/"), listed, list(columns), rows)], "json", encoding, beside)


def _sheet(
    name: str, pointer: str, listed: bool, columns: list[str], rows: list[dict[str, tuple[str, Value]]]
) -> Sheet:
    def row(index: int) -> list[Cell]:
        base = f"{pointer}/{index - 1}" if listed else pointer
        if index == 0:
            head = f"{pointer}/*" if listed else pointer
            return [Cell(key, f"{head}/{_escaped(key)}", key) for key in columns]
        cells: list[Cell] = []
        for key in columns:
            place, value = rows[index - 1].get(key, (f"{base}/{_escaped(key)}", None))
            cells.append(Cell(None if value == "" else value, place, text_of(value)))
        return cells

    return Sheet(name, Rows(len(rows) + 1 if columns else 0, row))


def _flatten(record: dict[str, Any], name: str, place: str) -> dict[str, tuple[str, Value]]:
    """Column → (place, value) of one record; what is nested comes where it stands, level by level."""
    cells: dict[str, tuple[str, Value]] = {}
    waiting: list[tuple[str, str, Any]] = [("", place, record)]
    while waiting:
        column, where, value = waiting.pop()
        if isinstance(value, list):
            inner = [(str(index), each) for index, each in enumerate(value)]
        elif isinstance(value, dict):
            inner = list(value.items())
        else:
            cells[column] = (where, value)
            continue
        if column.count(_JOINED) > _MAX_DEPTH:
            raise _not_json(name, f"{where[:100]} の入れ子が深すぎます")
        waiting += [
            (f"{column}{_JOINED if column else ''}{key}", f"{where}/{_step(key)}", each)
            for key, each in reversed(inner)
        ]
    return cells


def _pointed(document: Any, name: str, pointer: str, beside: dict[str, str]) -> Any:
    """What the pointer names; scalars passed on the way go to `beside`."""
    at, path = document, ""
    for step in pointer.strip("/").split("/") if pointer.strip("/") else []:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict) and key in at:
            for other, value in at.items():
                if other != key and not isinstance(value, dict | list):
                    beside[f"{path}/{_step(other)}"] = text_of(value)
            at = at[key]
        elif isinstance(at, list) and key.isdecimal() and int(key) < len(at):
            at = at[int(key)]
        else:
            there = "、".join(list(at)[:10]) if isinstance(at, dict) else str(at)[:60]
            raise _not_json(name, f"{path or '/'} に「{key}」がありません（あるもの：{there}）")
        path = f"{path}/{step}"
    return at


def _step(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _escaped(column: str) -> str:
    return "/".join(_step(key) for key in column.split(_JOINED))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"同じ項目「{twice}」が 2 回あります")
    return made


def _decimal(text: str) -> Decimal:
    made = Decimal(text)
    if len(text) > _MAX_DIGITS or abs(made.adjusted()) > _MAX_DIGITS:
        raise ValueError(f"数「{text[:40]}」が大きすぎます")
    return made


def _no_number(text: str) -> None:
    raise ValueError(f"「{text}」は数ではありません")


def _not_json(name: str, problem: str) -> UnreadableFile:
    return UnreadableFile(
        f"{name}：JSON として読めません（{problem}）。途中で切れていないか、書き出しの設定を確かめてください。",
        "file.not_json",
    )
