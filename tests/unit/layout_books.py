"""Books, layouts and contract columns as short as a test needs them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

from kpi_warehouse.contract_layout import Layout, layout_of
from kpi_warehouse.japanese.areas import Areas
from kpi_warehouse.readers.grid import (
    DAY_ZERO,
    Book,
    Cell,
    Remark,
    Seen,
    Sheet,
    Value,
    column_letters,
    text_of,
)
from kpi_warehouse.readers.layout import Reading, read_layout


@dataclass(frozen=True)
class Coded:
    """A contract's column as the engine sees it."""

    name: str
    codes: Mapping[str, str] = field(default_factory=dict)
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    mark_status: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    areas: Areas | None = None


@dataclass(frozen=True)
class Formula:
    """A formula and the result it was saved with."""

    text: str
    result: Value = None


@dataclass(frozen=True)
class Shown:
    """A cell of which a person sees something else than is stored; a number that its format adds to counts as typed text."""

    text: str
    stored: Value = None
    exact: Any = None
    raised: tuple[str, ...] = ()
    struck: tuple[str, ...] = ()
    doubt: str | None = None


def sheet(
    rows: Sequence[Sequence[Any]],
    *,
    name: str = "表",
    merged: Sequence[str] = (),
    hidden_rows: Sequence[int] = (),
    hidden_columns: str = "",
    hidden: bool = False,
    remarks: Sequence[tuple[str, str, str]] = (),
    day_zero: date = DAY_ZERO,
) -> Sheet:
    """A sheet from lists; rows of `hidden_rows` count from 1, `merged` are areas like `A1:B2`, remarks kind, place, text."""
    width = max((len(row) for row in rows), default=0)
    grid = [
        [
            _cell(row[at] if at < len(row) else None, f"{name}!{column_letters(at)}{number}")
            for at in range(width)
        ]
        for number, row in enumerate(rows, start=1)
    ]
    for number, row in enumerate(grid, start=1):
        for at, cell in enumerate(row):
            cell.hidden = number in hidden_rows or column_letters(at) in hidden_columns.split()
    for area in merged:
        (top, left), (bottom, right) = (_position(corner) for corner in area.split(":"))
        for at in range(top, bottom + 1):
            for column in range(left, right + 1):
                if (at, column) != (top, left):
                    grid[at][column].value, grid[at][column].text = None, ""
                    grid[at][column].merged_from = (top, left)
    return Sheet(name, grid, hidden, remarks=[_remark(name, *each) for each in remarks], day_zero=day_zero)


def _remark(name: str, kind: Any, at: str, text: str) -> Remark:
    row, column = _position(at) if at else (None, None)
    return Remark(kind, text, f"{name}!{at}" if at else name, row, column)


def _cell(content: Any, place: str) -> Cell:
    if isinstance(content, Shown):
        seen = Seen(content.stored, content.exact, content.raised, content.struck, content.doubt)
        return Cell(content.text or None, place, content.text, seen=seen)
    if isinstance(content, Formula):
        return Cell(content.result, place, text_of(content.result), formula=content.text)
    return Cell(content, place, text_of(content))


def _position(corner: str) -> tuple[int, int]:
    found = re.fullmatch(r"([A-Z])(\d+)", corner)
    assert found
    return int(found[2]) - 1, ord(found[1]) - 65


def layout(text: str, drift: Mapping[str, str] | None = None) -> Layout:
    """A layout from YAML; a fault in it fails the test."""
    faults: list[tuple[object, ...]] = []
    made = layout_of(
        {"layout": yaml.safe_load(text), "drift": drift or {}}, lambda *fault: faults.append(fault)
    )
    assert not faults
    return made


def read(
    sheets: Sheet | Sequence[Sheet],
    made: Layout | str,
    *columns: Coded,
    drift: Mapping[str, str] | None = None,
) -> Reading:
    """Read sheets by a layout."""
    book = Book([sheets] if isinstance(sheets, Sheet) else list(sheets), "xlsx")
    return read_layout(book, layout(made, drift) if isinstance(made, str) else made, columns)


def told(reading: Reading) -> list[tuple[str, str]]:
    """(place, code) of every fault."""
    return [(fault.place, fault.code) for fault in reading.faults]
