"""What reading a file by its layout gives: rows, checks, faults and drift, each with the cell it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from kpi_warehouse.readers.grid import Cell


@dataclass(frozen=True)
class CellFault:
    """One thing wrong, or changed, in the file.

    Args:
        place: the cell (`移住!C5`), or the sheet where no single cell is meant.
        label: what a division calls it: `大阪圏／5月`.
        found: the text found there.
        expected_ja: what was expected, in Japanese.
        code: stable identifier, e.g. `stray_cell`.
    """

    place: str
    label: str
    found: str
    expected_ja: str
    code: str


class MeasureRow(NamedTuple):
    """One number of one cell (a tuple, since a file may hold a million of them).

    `period` is the first day and `period_end` the last; exactly one of `value` and `value_mark` is given.
    `public_on` is the day until which the file says that the value is not to be shown.
    """

    period: date
    period_kind: str
    axes: Mapping[str, str]
    measure_code: str
    value: Decimal | None
    value_mark: str | None
    value_text: str | None
    unit: str | None
    qualifier: str | None
    value_status: str
    period_end: date
    note: str | None
    source_cell: str
    public_on: date | None = None


@dataclass(frozen=True)
class Check:
    """A total the file itself states, and the source cells it must be the sum of.

    Args:
        name: table and direction: `outflow.row`, `outflow.column`, `outflow.corner`, `outflow.subtotal`.
        measure_code: where cells hold several quantities, the one that is summed.
    """

    name: str
    place: str
    stated: Decimal
    members: tuple[str, ...]
    label: str
    measure_code: str | None = None


@dataclass(frozen=True)
class Reading:
    """Everything a file says under its layout. Rows are good only if there are no faults.

    `notices` are texts that the file holds beside its figures and that were not read (remarks, struck-out parts).
    """

    rows: list[MeasureRow] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    faults: list[CellFault] = field(default_factory=list)
    drift: list[CellFault] = field(default_factory=list)
    notices: list[CellFault] = field(default_factory=list)


Position = tuple[int, int, int]
# A file of another kind may be wrong in a million cells; nobody reads more, and memory is not to follow it.
MOST_FAULTS = 10_000


class Findings:
    """Collects faults and drift of a reading and hands them out in the order a person reads the sheets."""

    def __init__(self) -> None:
        self._faults: list[tuple[Position, CellFault]] = []
        self._drift: list[tuple[Position, CellFault]] = []
        self._notices: list[tuple[Position, CellFault]] = []
        self._told: set[tuple[str, str]] = set()
        self._more = 0

    def fault(
        self, at: Position, cell: Cell | str, label: str, expected: str, code: str, found: str = ""
    ) -> None:
        """Note a fault of a cell (or of a place without one, and what stands there); of one cell it is told once."""
        self._note(self._faults, at, cell, label, expected, code, found)

    def drift(
        self, at: Position, cell: Cell | str, label: str, expected: str, code: str, found: str = ""
    ) -> None:
        """Note a change of the form that the contract allows to pass."""
        self._note(self._drift, at, cell, label, expected, code, found)

    def notice(
        self, at: Position, cell: Cell | str, label: str, expected: str, code: str, found: str = ""
    ) -> None:
        """Note something that was seen and not read."""
        self._note(self._notices, at, cell, label, expected, code, found)

    def _note(
        self,
        book: list[tuple[Position, CellFault]],
        at: Position,
        cell: Cell | str,
        label: str,
        expected: str,
        code: str,
        said: str,
    ) -> None:
        place, found = (cell, said) if isinstance(cell, str) else (cell.place, shown(cell))
        if (place, code) in self._told and not isinstance(cell, str):
            return
        if len(book) >= MOST_FAULTS:
            self._more += 1
            return
        self._told.add((place, code))
        book.append((at, CellFault(place, label, found, expected, code)))

    def faults_in_order(self) -> list[CellFault]:
        """From the first sheet to the last, row by row; the last says how many more there were, if too many."""
        faults = [fault for _, fault in sorted(self._faults, key=lambda each: each[0])]
        if self._more:
            expected = f"契約どおりの表（ほかに{self._more}件の誤りがあります）"
            faults.append(CellFault("（ファイル全体）", "", "", expected, "more_faults"))
        return faults

    def notices_in_order(self) -> list[CellFault]:
        """From the first sheet to the last, row by row."""
        return [fault for _, fault in sorted(self._notices, key=lambda each: each[0])]

    def drift_in_order(self) -> list[CellFault]:
        """Likewise."""
        return [fault for _, fault in sorted(self._drift, key=lambda each: each[0])]


def shown(cell: Cell) -> str:
    """What a message shows of a cell: its text, or the formula that has no value."""
    if cell.text:
        return cell.text
    return f"={cell.formula}" if cell.formula else ""
