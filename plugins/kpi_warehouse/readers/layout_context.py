"""What the tables of one file share while they are read: code lists, marks, lines outside, and everything found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kpi_warehouse.contract_layout import MEASURE_COLUMN, CodedColumn, Layout
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.readers.layout_labels import CodeList
from kpi_warehouse.readers.layout_outside import OutsideLines
from kpi_warehouse.readers.layout_result import Check, Findings, MeasureRow
from kpi_warehouse.readers.layout_values import ValueReader


class Context:
    """The state of one reading.

    Args:
        columns: the contract's columns, of which the lists, marks and units are used.
    """

    def __init__(self, layout: Layout, columns: Sequence[CodedColumn], outside: OutsideLines) -> None:
        by_name = {column.name: column for column in columns}
        self.layout, self.outside = layout, outside
        self.values = ValueReader(next((column for column in columns if column.marks), None))
        self.measures = CodeList(by_name.get(MEASURE_COLUMN))
        measured = by_name.get(MEASURE_COLUMN)
        units: Mapping[str, str] = measured.units if measured else {}
        self.measure_units = {code: canonical_unit(unit) for code, unit in units.items()}
        self.rows: list[MeasureRow] = []
        self.checks: list[Check] = []
        self.findings = Findings()
        self._lists = {name: CodeList(column) for name, column in by_name.items()}
        self._keys: dict[tuple[object, ...], str] = {}

    def code_list(self, column: str) -> CodeList:
        """The closed list of a column; a column the contract does not have takes every text."""
        known = self._lists.get(column)
        if known is None:
            known = self._lists[column] = CodeList(None)
        return known

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
