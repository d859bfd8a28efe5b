"""The values of one data row: number or mark, period, measure, unit, status and note of each → a measure row or a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from kpi_warehouse.contract_layout import MEASURE_COLUMN
from kpi_warehouse.japanese.numbers import Quantity
from kpi_warehouse.japanese.periods import Period
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.readers.grid import Cell, Value
from kpi_warehouse.readers.layout_columns import Columns, ValueColumn
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_headers import JOIN
from kpi_warehouse.readers.layout_known import Line
from kpi_warehouse.readers.layout_periods import PeriodCells
from kpi_warehouse.readers.layout_result import MeasureRow
from kpi_warehouse.readers.layout_tables import Found
from kpi_warehouse.readers.layout_values import PLAIN, Content, plain

Measured = tuple[Quantity | None, str, str | None]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A value column with what need not be asked of each cell again.

    Args:
        short: measure and unit are settled by the column.
        unit: of a number written without one.
        constants: axes the column and its table add.
    """

    column: ValueColumn
    short: bool
    measure: str
    unit: str | None
    constants: Mapping[str, str]

    def same_row(self, other: _Planned) -> bool:
        """Whether what the row says means the same for both: axes, and the period if the row says it."""
        one, two = self.column, other.column
        return (
            self.constants == other.constants
            and one.from_row == two.from_row
            and (
                not one.from_row
                or (one.period is two.period and one.spec.period_kind == two.spec.period_kind)
            )
        )


class LineValues:
    """Reads value cells of one table into the context's rows."""

    def __init__(
        self,
        found: Found,
        context: Context,
        columns: Columns,
        periods: PeriodCells,
        notes: Mapping[str, str],
    ) -> None:
        self.found, self.page, self.context = found, found.page, context
        self.periods, self.notes = periods, notes
        self._measured = {column.at for column in (*columns.values, *columns.totals)}
        self._refused = context.layout.hidden == "refuse"
        self._digits: dict[str, Decimal] = {}
        # A number that is itself a mark (0 for a suppressed value) must not take the short way.
        numeric_marks = any(mark[:1].isdigit() for mark in context.values.marks)
        self._plan = [self._planned(column, numeric_marks) for column in columns.values]

    def _planned(self, column: ValueColumn, numeric_marks: bool) -> _Planned:
        measure = column.measure
        short = measure is not None and not (column.units or column.signs or numeric_marks)
        declared = (column.spec.unit and column.unit) or self.context.measure_units.get(measure or "")
        return _Planned(
            column,
            short,
            measure or "",
            declared or column.unit,
            {name: code for name, code in column.constants.items() if name != MEASURE_COLUMN},
        )

    def read_row(self, line: Line) -> None:
        """Read every value cell of a row.

        A native number in a column whose measure and unit are settled takes the short way, which is most of a long table.
        """
        cells, add = line.cells, self.context.add
        settled = line.sound and line.unit is None
        period: Period | None = None
        last: _Planned | None = None
        axes, values = line.axes, tuple(line.axes.values())
        for planned in self._plan:
            column = planned.column
            cell = cells[column.at]
            value = cell.value
            if (
                not settled
                or not planned.short
                or (cell.hidden and self._refused)
                or (number := self._number(value, cell.text)) is None
            ):
                self.read(line, planned)
                continue
            if last is None or not planned.same_row(last):
                period = self._period(line, column)
                axes = _with_constants(line.axes, planned.constants)
                values = tuple(axes.values())
                last = planned
            elif not column.from_row:
                period = column.period
            if period is None:
                continue
            row = MeasureRow(
                period.start,
                period.kind,
                axes,
                planned.measure,
                number,
                None,
                None,
                planned.unit,
                period.qualifier,
                line.status
                or column.status
                or (period.status if column.from_row else None)
                or column.spec.status
                or "actual",
                line.end or period.end,
                line.note,
                cell.place,
                line.public_on,
            )
            first = add(row, values)
            if first is not None:
                self._twice(line, column, first)

    def _number(self, value: Value, text: str) -> Decimal | None:
        """A plain number, native or as digits; None for anything that has more to say."""
        if type(value) is int:
            return Decimal(value)
        if type(value) is not str:
            return plain(value, text) if type(value) is float else None
        known = self._digits.get(value)
        if known is None and PLAIN.fullmatch(value):
            known = self._digits[value] = Decimal(value)
        return known

    def content(self, line: Line, column: ValueColumn) -> Content | None:
        """What a cell says; None for a blank one, and for one that cannot be read (that is told)."""
        cell = line.cells[column.at]
        if cell.hidden and cell.value is not None and self.context.layout.hidden == "refuse":
            expected = "表示された行・列の値（非表示の行・列に値があります）"
            self._fault(line, column, expected, "hidden_value")
            return None
        content = self.context.values.read(cell)
        if content.code:
            self._fault(line, column, content.expected_ja, content.code)
            return None
        return None if content.blank else content

    def read(self, line: Line, planned: _Planned) -> None:
        """Read one value cell: rows for what it says, faults for what is wrong with it."""
        column = planned.column
        cell = line.cells[column.at]
        if cell.value is None and cell.formula is None:
            self._blank(line, column, cell)
            return
        content = self.content(line, column)
        if content is None:
            if isinstance(cell.value, str) and not cell.value.strip():
                self._blank(line, column, cell)
            return
        period = self._period(line, column)
        if period is None or not line.sound:
            return
        measured = (
            self._measures(line, column, content.quantities)
            if content.mark is None
            else self._marked(line, column)
        )
        if not measured:
            return
        status = content.status or line.status or column.status
        if status is None and column.from_row:
            status = period.status
        raw = cell.value.strip() if type(cell.value) is str else None
        text = None if raw is None or PLAIN.fullmatch(raw) else raw
        note = self._note(line, column, content)
        axes = _with_constants(line.axes, planned.constants)
        for quantity, measure, unit in measured:
            row = MeasureRow(
                period.start,
                period.kind,
                axes,
                measure,
                None if quantity is None else quantity.value,
                content.mark,
                text,
                unit,
                _joined(None if quantity is None else quantity.qualifier, period.qualifier),
                status or column.spec.status or "actual",
                line.end or period.end,
                note,
                cell.place,
                line.public_on,
            )
            first = self.context.add(row, tuple(axes.values()))
            if first is not None:
                self._twice(line, column, first)

    def _twice(self, line: Line, column: ValueColumn, first: str) -> None:
        expected = f"一度だけの値（{first} に同じ期間・項目の値があります）"
        self._fault(line, column, expected, "duplicate_key")

    def _label(self, line: Line, column: ValueColumn) -> str:
        return f"{line.label}{JOIN}{column.label}" if line.texts else column.label

    def _fault(self, line: Line, column: ValueColumn, expected: str, code: str) -> None:
        cell = line.cells[column.at]
        position = (self.page.number, line.at, column.at)
        self.context.findings.fault(position, cell, self._label(line, column), expected, code)

    def _blank(self, line: Line, column: ValueColumn, cell: Cell) -> None:
        origin = cell.merged_from
        if origin is not None and origin[0] > self.found.bottom and origin[1] in self._measured:
            top = self.page.cell(*origin)
            if top.value is not None:
                position = (self.page.number, *origin)
                expected = "一つのセルに一つの値（結合されたセルの値は、どの項目のものか決められません）"
                self.context.findings.fault(
                    position, top, self._label(line, column), expected, "merged_value"
                )
                return
        if column.blank_is_fault:
            self._fault(line, column, f"{self.context.values.expected_ja}（空欄です）", "blank")

    def _period(self, line: Line, column: ValueColumn) -> Period | None:
        if not column.from_row:
            return column.period
        if line.period is None:
            return None  # the blank label was told
        cell, text = line.period
        kind = column.spec.period_kind or line.period_kind
        read = self.periods.read(cell, text, column.period, kind)
        if isinstance(read, str):
            position = (self.page.number, line.at, line.period_column)
            self.context.findings.fault(position, cell, line.label, read, "unreadable_period")
            return None
        return read

    def _note(self, line: Line, column: ValueColumn, content: Content) -> str | None:
        signs = (*column.signs, *content.references)
        if not signs:
            return line.note
        notes = [self.notes[sign] for sign in signs if self.notes.get(sign)]
        if not notes and content.mark is not None:
            # ※ without its footnote: what the contract says of the mark is the reason.
            notes = [self.context.values.marks[content.mark]]
        return JOIN.join(dict.fromkeys([*notes, *([line.note] if line.note else [])])) or None

    # -- measures and units

    def _marked(self, line: Line, column: ValueColumn) -> list[Measured]:
        """Measures that a mark stands for: every one of a cell that holds several quantities."""
        if column.units:
            by_measure = {measure: unit for unit, measure in reversed(list(column.units.items()))}
            return [(None, measure, unit) for measure, unit in by_measure.items()]
        measure = column.measure or line.measure
        if measure is None and line.measure_label and column.unit:
            measure = self.context.measures.code_with_unit(line.measure_label, column.unit)
        if measure is None:
            self._no_measure(line, column)
            return []
        return [(None, measure, column.unit or line.unit or self.context.measure_units.get(measure))]

    def _measures(self, line: Line, column: ValueColumn, quantities: tuple[Quantity, ...]) -> list[Measured]:
        if len(quantities) > 1 and not column.units and (column.measure or line.measure):
            self._fault(line, column, "一つのセルに一つの数", "several_numbers")
            return []
        measured = [self._measure(line, column, quantity) for quantity in quantities]
        sound = [each for each in measured if each is not None]
        if len(sound) < len(measured):
            return []
        lacking = set(column.units.values()) - {measure for _, measure, _ in sound}
        if lacking and column.blank_is_fault:
            units = "、".join(unit for unit, measure in column.units.items() if measure in lacking)
            self._fault(line, column, f"単位「{units}」の数も", "missing_quantity")
        return sound

    def _measure(self, line: Line, column: ValueColumn, quantity: Quantity) -> Measured | None:
        """Measure and unit of one quantity; a unit other than the one declared is a fault."""
        said = quantity.unit and column.aliases.get(
            canonical_unit(quantity.unit), canonical_unit(quantity.unit)
        )
        if column.units:
            measure = column.units.get(said or "")
            if measure is None:
                self._wrong_unit(line, column, "、".join(f"「{unit}」" for unit in column.units), said)
                return None
            # 人 where the measure is counted in 名: the contract lists both, and one is the measure's own.
            return quantity, measure, said
        found = column.measure or line.measure
        if found is None or (line.measure_label and not column.measure and said):
            found = self._labelled(line, said or column.unit) or found
        if found is None:
            self._no_measure(line, column)
            return None
        row_unit = line.unit and column.aliases.get(line.unit, line.unit)
        wanted = (column.spec.unit and column.unit) or self.context.measure_units.get(found)
        wanted = wanted or row_unit or column.unit
        for unit in (said, row_unit):
            if unit and wanted and unit != wanted:
                self._wrong_unit(line, column, f"「{wanted}」", unit)
                return None
        return quantity, found, said or wanted

    def _labelled(self, line: Line, unit: str | None) -> str | None:
        if not line.measure_label:
            return None
        return self.context.measures.code_with_unit(line.measure_label, unit)

    def _wrong_unit(self, line: Line, column: ValueColumn, expected: str, said: str | None) -> None:
        told = f"（書かれた単位は「{said}」）" if said else "（単位がありません）"
        self._fault(line, column, f"単位{expected}の数{told}", "unit")

    def _no_measure(self, line: Line, column: ValueColumn) -> None:
        if line.measure_label is None:
            self._fault(line, column, "指標の分かる行", "unknown_measure")
            return
        position = (self.page.number, line.at, line.measure_column)
        cell = line.cells[line.measure_column]
        expected = self.context.measures.expected_ja(line.measure_label)
        self.context.findings.fault(position, cell, line.measure_label, expected, "unknown_label")


def _with_constants(axes: dict[str, str], constants: Mapping[str, str]) -> dict[str, str]:
    """Axes of a row and of its column, in the order of their names."""
    return dict(sorted({**axes, **constants}.items())) if constants else axes


def _joined(one: str | None, other: str | None) -> str | None:
    if one is None or other is None or one == other:
        return one or other
    return f"{one}・{other}"
