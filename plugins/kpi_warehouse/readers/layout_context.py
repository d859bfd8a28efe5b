"""What the tables of one file share while they are read: code lists, marks, lines outside, and everything found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kpi_warehouse.contract_layout import MEASURE_COLUMN, CodedColumn, Layout
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_labels import CodeList
from kpi_warehouse.readers.layout_outside import OutsideLines
from kpi_warehouse.readers.layout_result import Check, Findings, MeasureRow, Position
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

    def add(self, row: MeasureRow, at: Position, cell: Cell, label: str) -> None:
        """Keep a row, unless its key was there before: then the fault names both places."""
        key = (row.period, row.period_kind, row.measure_code, *row.axes.values())
        before = len(self._keys)
        first = self._keys.setdefault(key, cell.place)
        if len(self._keys) == before:
            expected = f"一度だけの値（{first} に同じ期間・項目の値があります）"
            self.findings.fault(at, cell, label, expected, "duplicate_key")
            return
        self.rows.append(row)
