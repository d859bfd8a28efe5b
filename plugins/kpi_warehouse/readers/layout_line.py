"""One data row: number or mark, period, measure, unit, status and note of each value → a measure row or a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from kpi_warehouse.contract_layout import MEASURE_COLUMN
from kpi_warehouse.japanese.numbers import Quantity
from kpi_warehouse.japanese.periods import Period
from kpi_warehouse.japanese.signs import note_of
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_columns import Columns, ValueColumn
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_headers import JOIN, known_units, period_part
from kpi_warehouse.readers.layout_periods import WHOLE_YEARS, PeriodCells, as_kind
from kpi_warehouse.readers.layout_result import MeasureRow
from kpi_warehouse.readers.layout_tables import Found
from kpi_warehouse.readers.layout_values import Content, trimmed

Measured = tuple[Quantity | None, str, str | None]


@dataclass(slots=True)
class Line:
    """One row while it is read: what its labels, and the columns beside them, say of every value in it.

    Args:
        texts: labels without footnote signs.
        period: cell and text of its period, in column `period_column`, and the year above it that a bare month is of.
        signs: further footnote signs of its labels.
        measure_label: labels of its measure columns, joined; the last is `measure_column`.
        sound: all its labels were understood.
    """

    at: int
    cells: list[Cell]
    texts: list[str]
    axes: dict[str, str]
    period: tuple[Cell, str, Period | None] | None = None
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
    signs: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """As a division calls the row: `転出／大阪圏`."""
        return JOIN.join(text for text in self.texts if text)


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
        self._values = columns.values
        self._constants = {
            id(column): {name: code for name, code in column.constants.items() if name != MEASURE_COLUMN}
            for column in columns.values
        }

    def read_row(self, line: Line) -> None:
        """Read every value cell of a row."""
        for column in self._values:
            self.read(line, column)

    def content(self, line: Line, column: ValueColumn) -> Content | None:
        """What a cell says; None for a blank one, and for one that cannot be read (that is told)."""
        cell = line.cells[column.at]
        if cell.hidden and cell.value is not None and self.context.layout.hidden == "refuse":
            expected = "表示された行・列の値（非表示の行・列に値があります）"
            self._fault(line, column, expected, "hidden_value")
            return None
        content = self.context.values.read(cell, column.brackets)
        if content.mark is not None and content.references and not self._noted(content.references):
            # ※56 may be the mark ※ with its footnote 56, or a number.
            expected = (
                f"記号「{content.mark}」か数（注「{'、'.join(content.references)}」が表のまわりにありません）"
            )
            self._fault(line, column, expected, "unreadable_number")
            return None
        if content.code:
            self._fault(line, column, content.expected_ja, content.code)
            return None
        return None if content.blank else content

    def _noted(self, signs: tuple[str, ...]) -> bool:
        """Whether signs behind a mark have their footnotes; ※ alone is the mark itself."""
        return all(note_of(sign, self.notes) is not None or not sign[-1].isdigit() for sign in signs)

    def read(self, line: Line, column: ValueColumn) -> None:
        """Read one value cell: rows for what it says, faults for what is wrong with it."""
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
        if self.page.remarks and not self._unit_of_comment_fits(line, column):
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
        remarks = self.page.remarks.at(line.at, column.at) if self.page.remarks else ()
        status = status or next((said.status for said in remarks if said.status), None)
        note = self._note(line, column, content, [said.text for said in remarks])
        axes = _with_constants(line.axes, self._constants[id(column)])
        for quantity, measure, unit in measured:
            row = MeasureRow(
                period.start,
                period.kind,
                axes,
                measure,
                None if quantity is None else quantity.value,
                content.mark,
                content.text,
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

    def _unit_of_comment_fits(self, line: Line, column: ValueColumn) -> bool:
        """Whether comments at a value state no unit, or its own."""
        for said in self.page.remarks.at(line.at, column.at):
            known = known_units(column.spec) | {column.unit} | set(column.units)
            known |= {self.context.measure_units.get(column.measure or line.measure or "")}
            if said.units and known.isdisjoint(said.units):
                unit = column.unit or self.context.measure_units.get(column.measure or line.measure or "")
                wanted = f"単位「{unit}」の値" if unit else "契約にある単位の値"
                self._fault(line, column, f"{wanted}（{said.kind_ja}「{said.text}」）", "unit")
                return False
        return True

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
        cell, text, base = line.period
        kind = column.spec.period_kind or line.period_kind
        read = self.periods.read(cell, text, column.period or base, None if column.within else kind)
        if column.within and not isinstance(read, str):
            read = self._within(read, column.within, column.spec.period_kind)
        if isinstance(read, str):
            position = (self.page.number, line.at, line.period_column)
            self.context.findings.fault(position, cell, line.label, read, "unreadable_period")
            return None
        return read

    def _within(self, year: Period, text: str, kind: str | None) -> Period | str:
        """The month of a heading in the year of a row."""
        if year.kind not in WHOLE_YEARS:
            return f"年（見出し「{text}」がその年の中の期間です）"
        period = period_part(text, self.found.table.year, year)
        if period is None:
            return f"見出し「{text}」の期間が分かる年"
        return as_kind(replace(period, status=period.status or year.status), kind)

    def _note(self, line: Line, column: ValueColumn, content: Content, remarks: Sequence[str]) -> str | None:
        signs = (*column.signs, *content.references)
        if not (signs or remarks or column.remarks):
            return line.note
        if signs and content.mark is not None and not any(note_of(sign, self.notes) for sign in signs):
            # ※ without its footnote: what the contract says of the mark is the reason.
            notes = [self.context.values.marks[content.mark]]
        else:
            notes = [note_of(sign, self.notes) or sign for sign in signs]
        beside = [*remarks, *column.remarks, *([line.note] if line.note else [])]
        return JOIN.join(dict.fromkeys([*notes, *beside])) or None

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
        said = quantity.unit and column.aliases.get(quantity.unit, quantity.unit)
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
            if unit and unit != wanted and unit not in column.factors:
                self._wrong_unit(line, column, f"「{wanted}」" if wanted else "", unit)
                return None
        factor = column.factors.get(said or row_unit or "") if said or row_unit else column.factor
        if factor is not None:
            quantity = replace(quantity, value=trimmed(quantity.value * factor))
        return quantity, found, wanted

    def _labelled(self, line: Line, unit: str | None) -> str | None:
        if not line.measure_label:
            return None
        return self.context.measures.code_with_unit(line.measure_label, unit)

    def _wrong_unit(self, line: Line, column: ValueColumn, expected: str, said: str | None) -> None:
        told = f"（書かれた単位は「{said}」）" if said else "（単位がありません）"
        wanted = f"単位{expected}の数" if expected else "単位のつかない数（この列には契約に単位がありません）"
        self._fault(line, column, f"{wanted}{told}", "unit")

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
