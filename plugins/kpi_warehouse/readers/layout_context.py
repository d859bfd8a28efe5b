"""What the tables of one file share while they are read: code lists, marks, lines outside, and everything found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kpi_warehouse.contract_layout import MEASURE_COLUMN, CodedColumn, Layout
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.readers.layout_labels import CodeLists
from kpi_warehouse.readers.layout_outside import OutsideLines
from kpi_warehouse.readers.layout_result import Check, Findings, MeasureRow
from kpi_warehouse.readers.layout_values import ValueReader


class Context:
    """The state of one reading.

    Args:
        columns: the contract's columns, of which the lists, marks and units are used.
        lists: the code lists of the same columns.
    """

    def __init__(
        self, layout: Layout, columns: Sequence[CodedColumn], lists: CodeLists, outside: OutsideLines
    ) -> None:
        self.layout, self.lists, self.outside = layout, lists, outside
        self.values = ValueReader(next((column for column in columns if column.marks), None))
        self.measures = lists.of(MEASURE_COLUMN)
        measured = next((column for column in columns if column.name == MEASURE_COLUMN), None)
        units: Mapping[str, str] = measured.units if measured else {}
        self.measure_units = {code: canonical_unit(unit) for code, unit in units.items()}
        self.rows: list[MeasureRow] = []
        self.checks: list[Check] = []
        self.findings = Findings()
        self._keys: dict[tuple[object, ...], str] = {}

    def add(self, row: MeasureRow, axes: tuple[str, ...]) -> str | None:
        """Keep a row, unless its key was there before: then the place where it was.

        Args:
            row: the row.
            axes: values of `row.axes` in the order of their names, which a line computes once.
        """
        keys = self._keys
        before = len(keys)
        first = keys.setdefault((row[0], row[10], row[1], row[3], axes), row[12])
        if len(keys) == before:
            return first
        self.rows.append(row)
        return None
