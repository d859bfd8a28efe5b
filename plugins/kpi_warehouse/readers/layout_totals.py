"""計 rows and 計 columns of a table: not loaded, but kept as checks over the cells they must be the sum of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_columns import Columns, ValueColumn
from kpi_warehouse.readers.layout_headers import JOIN
from kpi_warehouse.readers.layout_labels import Label, Words
from kpi_warehouse.readers.layout_result import Check
from kpi_warehouse.readers.layout_tables import Found
from kpi_warehouse.readers.layout_values import Content


@dataclass(frozen=True, slots=True)
class _Row:
    """A data row: its labels as compared, and the place of each value that is there."""

    keys: tuple[str, ...]
    places: tuple[str | None, ...]
    subset: bool


@dataclass(frozen=True, slots=True)
class _Total:
    """A number that a total row states; data rows `first`…`last` are those since the total before it."""

    labels: tuple[Label, ...]
    first: int
    last: int
    subtotal: bool
    column: ValueColumn
    corner: bool
    cell: Cell
    content: Content


class Totals:
    """Collects data rows and stated totals of one table; `checks` then says what must be the sum of what."""

    def __init__(self, found: Found, columns: Columns) -> None:
        rules = found.table.rows
        self._name = found.table.name
        self._columns = columns
        self._totals, self._subtotals = Words(rules.totals), Words(rules.subtotals)
        self._subsets = Words(rules.subsets)
        self.wanted = bool(rules.totals or rules.subtotals)
        self._rows: list[_Row] = []
        self._stated: list[_Total] = []
        self._checks: list[Check] = []
        self._since = 0

    def is_total(self, labels: Sequence[Label]) -> bool:
        """Whether a row is a total or a subtotal by one of its labels."""
        return self.wanted and any(self._is_word(label.text) for label in labels if label.text)

    def _is_word(self, text: str) -> bool:
        return self._totals.equals(text) or self._subtotals.equals(text)

    def data(self, cells: list[Cell], labels: Sequence[Label]) -> None:
        """Note a data row."""
        if not self.wanted:
            return
        self._rows.append(
            _Row(
                tuple(search_key(label.text) for label in labels),
                tuple(
                    cells[column.at].place if cells[column.at].value is not None else None
                    for column in self._columns.values
                ),
                any(self._subsets.begins(label.text) for label in labels if label.text),
            )
        )

    def row_total(self, cells: list[Cell], label: str, column: ValueColumn, content: Content) -> None:
        """Note the total a data row states."""
        members = tuple(
            cells[each.at].place
            for each in self._columns.values
            if _counts(each, column) and cells[each.at].value is not None
        )
        self._state("row", f"{label}{JOIN}{column.label}", cells[column.at], content, column, members)

    def total_row(
        self, labels: Sequence[Label], cells: list[Cell], contents: list[tuple[ValueColumn, bool, Content]]
    ) -> None:
        """Note a total row: (column, whether it is a total column, content) of each of its cells."""
        subtotal = not any(self._totals.equals(label.text) for label in labels if label.text)
        for column, corner, content in contents:
            self._stated.append(
                _Total(
                    tuple(labels),
                    self._since,
                    len(self._rows),
                    subtotal,
                    column,
                    corner,
                    cells[column.at],
                    content,
                )
            )
        # What follows a total belongs to the next subtotal.
        self._since = len(self._rows)

    def checks(self) -> list[Check]:
        """Every total stated, with its members; call it when the whole table was read."""
        at = {id(column): number for number, column in enumerate(self._columns.values)}
        for total in self._stated:
            rows = self._rows[total.first : total.last] if total.subtotal else self._rows
            rows = [row for row in rows if not row.subset and self._belongs(row, total.labels)]
            if total.corner:
                counted = [at[id(each)] for each in self._columns.values if _counts(each, total.column)]
            else:
                counted = [at[id(total.column)]]
            members = tuple(place for row in rows for each in counted if (place := row.places[each]))
            kind = "corner" if total.corner else "subtotal" if total.subtotal else "column"
            label = JOIN.join([*(each.text for each in total.labels if each.text), total.column.label])
            self._state(kind, label, total.cell, total.content, total.column, members)
        return self._checks

    def _belongs(self, row: _Row, labels: tuple[Label, ...]) -> bool:
        """Whether a row is summed in a total: it has the labels left of the word 計, and those written beside it."""
        seen = False
        for key, label in zip(row.keys, labels, strict=True):
            if label.text and self._is_word(label.text):
                seen = True
            elif label.text and (label.own or not seen) and search_key(label.text) != key:
                return False
        return True

    def _state(
        self,
        kind: str,
        label: str,
        cell: Cell,
        content: Content,
        column: ValueColumn,
        members: tuple[str, ...],
    ) -> None:
        if not members or (kind in ("row", "corner") and not self._columns.whole):
            return
        for quantity in content.quantities:
            measure = column.units.get(canonical_unit(quantity.unit)) if quantity.unit else None
            self._checks.append(
                Check(f"{self._name}.{kind}", cell.place, quantity.value, members, label, measure)
            )


def _counts(column: ValueColumn, total: ValueColumn) -> bool:
    """Whether a value column is summed in a total column."""
    return column.spec.in_total and (total.measure is None or total.measure == column.measure)
