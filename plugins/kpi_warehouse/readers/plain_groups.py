"""What the texts of a plain table mean together, and what the layout engine made of each combination seen so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpi_warehouse.readers.grid import Value
from kpi_warehouse.readers.layout_columns import Columns
from kpi_warehouse.readers.layout_result import MeasureRow
from kpi_warehouse.readers.plain_block import Labels

NULL = "\\N"
_LABELS = ("axis", "period", "period_end", "measure")
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
Ids = NDArray[np.int32]


@dataclass
class Group:
    """Columns of the sheet whose texts mean something together, and what each combination of them was read as.

    Args:
        columns: of the sheet; without any, all rows are alike.
        names: columns of the stage that follow from it.
        of_row: what stands in those columns, from a row of the engine.
        of_key: the parts of the row's key among it: (number of the part, what it is).
        known: combination of texts → its id.
        fields, keys, periods: by value column and id: what COPY is to write in `names`, the parts of the key packed into a
            number, the first day of the period.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    of_row: Callable[[MeasureRow], tuple[object, ...]]
    of_key: Callable[[MeasureRow], tuple[tuple[int, object], ...]]
    known: dict[tuple[tuple[type, Value], ...], int] = field(default_factory=dict)
    fields: list[list[tuple[str, ...]]] = field(default_factory=list)
    keys: list[list[int]] = field(default_factory=list)
    periods: list[list[date]] = field(default_factory=list)


def groups_of(table: Columns, axes: Sequence[str]) -> list[Group]:
    """The groups of a table: when, what, the note, then each axis."""
    of_kind: dict[str, list[int]] = {}
    for spec, at in table.labels:
        of_kind.setdefault(spec.kind, []).append(at)
    for kind, found in table.by_kind.items():
        if kind not in _LABELS:
            of_kind[kind] = [at for _, at in found]

    def columns(*kinds: str) -> tuple[int, ...]:
        return tuple(at for kind in kinds for at in of_kind.get(kind, ()))

    groups = [
        Group(
            columns("period", "period_end", "status"),
            ("period", "period_kind", "period_end", "qualifier", "value_status"),
            lambda row: (row.period, row.period_kind, row.period_end, row.qualifier, row.value_status),
            lambda row: ((0, (row.period, row.period_end, row.period_kind)),),
        ),
        Group(
            columns("measure", "unit"),
            ("measure_code", "unit"),
            lambda row: (row.measure_code, row.unit),
            lambda row: ((1, row.measure_code),),
        ),
        Group(columns("note"), ("note",), lambda row: (row.note,), lambda row: ()),
    ]
    by_axis = {spec.column: at for spec, at in table.labels if spec.kind == "axis"}
    for part, axis in enumerate(axes, 2):
        groups.append(_axis_group(axis, part, (by_axis[axis],) if axis in by_axis else ()))
    return groups


def _axis_group(axis: str, part: int, columns: tuple[int, ...]) -> Group:
    return Group(columns, (axis,), lambda row: (row.axes[axis],), lambda row: ((part, row.axes[axis]),))


def combined(group: Group, columns: Sequence[Labels], rows: int) -> tuple[Ids | None, list[int]]:
    """Ids of the combinations in each row, and the first row of each new one, in the order of the new ids."""
    known = group.known
    if not columns:
        new = [] if known else [0]
        known.setdefault((), 0)
        return None, new
    codes: NDArray[Any] = columns[0].codes
    combinations: list[tuple[tuple[type, Value], ...]] = [
        ((type(value), value),) for value in columns[0].values
    ]
    for labels in columns[1:]:
        both = codes.astype(np.int64) * len(labels.values) + labels.codes
        there, codes = np.unique(both, return_inverse=True)
        values = labels.values
        combinations = [
            (*combinations[one // len(values)], (type(values[one % len(values)]), values[one % len(values)]))
            for one in there.tolist()
        ]
    own = np.empty(len(combinations), np.int32)
    fresh = []
    for at, combination in enumerate(combinations):
        found = known.get(combination)
        if found is None:
            found = known[combination] = len(known)
            fresh.append(at)
        own[at] = found
    return own[codes], first_rows(codes, fresh)


def first_rows(codes: NDArray[Any], wanted: Sequence[int]) -> list[int]:
    """The first row in which each code that is wanted occurs."""
    if not wanted:
        return []
    first = np.zeros(int(codes.max()) + 1, np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return [int(first[code]) for code in wanted]


def copy_field(value: object) -> str:
    """A field of COPY's text format."""
    return NULL if value is None else str(value).translate(_ESCAPED)
