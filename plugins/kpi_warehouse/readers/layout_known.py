"""One data row while it is read, and the short way for rows whose labels were all understood before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from kpi_warehouse.contract_layout import ColumnSpec
from kpi_warehouse.readers.grid import Cell, Value
from kpi_warehouse.readers.layout_headers import JOIN
from kpi_warehouse.readers.layout_labels import Label

# Labels kept for the short way; a column of ever new texts (free names) must not fill the memory.
_KEPT = 200_000


@dataclass(slots=True)
class Line:
    """One row while it is read: what its labels, and the columns beside them, say of every value in it.

    Args:
        texts: labels without footnote signs.
        period: cell and text of its period, in column `period_column`.
        measure_label: labels of its measure columns, joined; the last is `measure_column`.
        sound: all its labels were understood.
    """

    at: int
    cells: list[Cell]
    texts: list[str]
    axes: dict[str, str]
    period: tuple[Cell, str] | None = None
    period_column: int = 0
    period_kind: str | None = None
    end: date | None = None
    measure_label: str | None = None
    measure_column: int = 0
    measure: str | None = None
    unit: str | None = None
    status: str | None = None
    note: str | None = None
    public_on: date | None = None
    sound: bool = True

    @property
    def label(self) -> str:
        """As a division calls the row: `転出／大阪圏`."""
        return JOIN.join(text for text in self.texts if text)


class KnownLabels:
    """Rows of a long table repeat their labels: what each text of a column meant is kept, and a row of known texts needs
    no second look. Only plain rows take this way: own labels, no footnote signs, one measure column at most.

    Args:
        columns: label columns of the table.
        off: rows are needed as labels too (totals), so that nothing is to be skipped.
    """

    def __init__(self, columns: Sequence[tuple[ColumnSpec, int]], *, off: bool) -> None:
        kinds = [spec.kind for spec, _ in columns]
        self._columns = columns
        self._kept: list[dict[Value, tuple[str, str]]] = [{} for _ in columns]
        names = [spec.column or "" for spec, _ in columns if spec.kind == "axis"]
        self._in_order = names == sorted(names)
        self._off = (
            off
            or not columns
            or kinds.count("measure") > 1
            or "period_end" in kinds
            or any(spec.fill_down for spec, _ in columns)
        )

    def keep(self, line: Line, labels: Sequence[Label]) -> None:
        """Remember the labels of a row that was read the long way and understood."""
        if self._off or len(self._kept[0]) >= _KEPT:
            return
        for (spec, _), label, text, kept in zip(self._columns, labels, line.texts, self._kept, strict=True):
            # A text with a footnote sign says more than its code. True is 1 to a dictionary, so numbers are not kept.
            if not label.own or label.text != text or not isinstance(label.cell.value, str | date):
                continue
            if spec.kind == "axis":
                kept[label.cell.value] = (text, line.axes[spec.column or ""])
            elif spec.kind == "measure":
                if line.measure is not None:
                    kept[label.cell.value] = (text, line.measure)
            else:
                kept[label.cell.value] = (text, "")

    def line(self, at: int, cells: list[Cell]) -> Line | None:
        """The row, if every label of it is known."""
        if self._off:
            return None
        line = Line(at, cells, [], {})
        for (spec, column), kept in zip(self._columns, self._kept, strict=True):
            cell = cells[column]
            known = kept.get(cell.value)
            if known is None:
                return None
            text, code = known
            line.texts.append(text)
            if spec.kind == "axis":
                line.axes[spec.column or ""] = code
            elif spec.kind == "measure":
                line.measure_label, line.measure_column, line.measure = text, column, code
            else:
                line.period, line.period_column = (cell, text), column
                line.period_kind = spec.period_kind
        if not self._in_order:
            line.axes = dict(sorted(line.axes.items()))
        return line
