"""The columns of a found table made ready for reading: period, measure, unit and status of every value column.

Whatever the form changed (columns new, missing or doubled, units other than declared) is told here, once, by the drift
policy of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kpi_warehouse.contract_layout import FROM_HEADING, MEASURE_COLUMN, ColumnSpec, Policy
from kpi_warehouse.japanese.periods import Period
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_headers import JOIN, Heading, Matched, known_units, period_of, split_unit
from kpi_warehouse.readers.layout_outside import Line
from kpi_warehouse.readers.layout_periods import as_kind, missing_between, period_of_text
from kpi_warehouse.readers.layout_result import Position
from kpi_warehouse.readers.layout_tables import Found

# Without these a row cannot be told from another: the table is not read, whatever the policy says.
STRUCTURAL = ("axis", "measure", "period", "unit")


@dataclass(frozen=True)
class ValueColumn:
    """A column of values, ready to read.

    Args:
        period: of the heading, the document or the contract; None where each row says its own.
        from_row: the row's period counts (then `period` is at most the year of its bare months).
        measure: code, where the column alone decides it.
        units: canonical unit → measure, for several quantities in a cell.
        unit: the unit of a number written without one.
    """

    at: int
    label: str
    spec: ColumnSpec
    period: Period | None
    from_row: bool
    measure: str | None
    units: Mapping[str, str]
    unit: str | None
    aliases: Mapping[str, str]
    status: str | None
    signs: tuple[str, ...]
    constants: Mapping[str, str]
    blank_is_fault: bool


@dataclass
class Columns:
    """All columns of a table.

    Args:
        loose: columns without heading; nothing may stand in them.
        whole: every value column is read, so row totals can be checked.
        readable: nothing is missing without which rows cannot be told apart.
    """

    values: list[ValueColumn]
    totals: list[ValueColumn]
    labels: list[tuple[ColumnSpec, int]]
    by_kind: dict[str, list[tuple[ColumnSpec, int]]]
    loose: list[int]
    whole: bool
    readable: bool


class ColumnCompiler:
    """Compiles the columns of one found table; faults and drift go to `findings`."""

    def __init__(self, found: Found, context: Context) -> None:
        self.found, self.table = found, found.table
        self.layout, self.outside = context.layout, context.outside
        self.measures, self.findings = context.measures, context.findings
        self.base = self.outside.base(found)
        self.document = self.outside.document_period(found)
        self.unit_line = self.outside.unit(found)

    def columns(self) -> Columns:
        found = self.found
        for first, second in found.doubled:
            place = found.page.cell(first.heading.row, first.heading.column).place
            expected = f"一度だけの見出し（{place} にも同じ見出しがあります）"
            self._fault(second, expected, "duplicate_heading")
        for heading in found.unknown:
            expected = f"様式にある見出し（{'、'.join(spec.name_ja for spec in self.table.columns)}）"
            self._drift(self.layout.drift.new_column, heading, expected, "new_column")
        readable = self._missing()
        by_kind: dict[str, list[tuple[ColumnSpec, int]]] = {}
        for matched in found.columns:
            by_kind.setdefault(matched.spec.kind, []).append((matched.spec, matched.heading.column))
        held = self._changed_units()
        values = [
            column
            for matched in found.columns
            if matched.spec.kind == "value" and matched.heading.column not in held
            for column in self._value(matched, "period" in by_kind)
        ]
        totals = [self._total(matched) for matched in found.columns if matched.spec.kind == "row_total"]
        self._gaps(values)
        taken = {matched.heading.column for matched in found.columns}
        taken |= {heading.column for heading in found.unknown}
        taken |= {heading.column for _, heading in found.doubled}
        width = len(found.page.sheet.rows[found.top])
        return Columns(
            values=self._distinct(values),
            totals=totals,
            labels=[
                (m.spec, m.heading.column)
                for m in found.columns
                if m.spec.kind in ("axis", "measure", "period", "period_end")
            ],
            by_kind=by_kind,
            loose=[at for at in range(width) if at not in taken],
            whole=not held and not any(spec.kind == "value" for spec in found.missing),
            readable=readable,
        )

    def _at(self, heading: Heading) -> Position:
        return (self.found.page.number, heading.row, heading.column)

    def _fault(self, heading: Heading, expected: str, code: str) -> None:
        cell = self.found.page.cell(heading.row, heading.column)
        self.findings.fault(self._at(heading), cell, heading.text, expected, code)

    def _drift(self, policy: Policy, heading: Heading, expected: str, code: str) -> None:
        tell = self.findings.fault if policy == "block" else self.findings.drift
        cell = self.found.page.cell(heading.row, heading.column)
        tell(self._at(heading), cell, heading.text, expected, code)

    def _missing(self) -> bool:
        """Tell the columns that are not there; False where the table cannot be read without them."""
        found, readable = self.found, True
        page = found.page
        seen = "、".join(f"「{each}」" for each in self._headings())
        at = (page.number, found.top, 0)
        for spec in found.missing:
            structural = spec.kind in STRUCTURAL or (spec.period_heading and not found.columns)
            readable = readable and not structural
            tell = (
                self.findings.fault
                if structural or self.layout.drift.missing_column == "block"
                else self.findings.drift
            )
            place = page.cell(found.top, 0).place
            expected = f"見出し{spec.name_ja}のある列。表にある見出し：{seen}"
            tell(at, place, f"{self.table.name}／{spec.name_ja}", expected, "missing_column")
        return readable

    def _headings(self) -> list[str]:
        headings = [each.heading for each in self.found.columns] + list(self.found.unknown)
        return [each.text for each in sorted(headings, key=lambda each: each.column) if each.text]

    def _changed_units(self) -> set[int]:
        """Columns whose unit is not the one declared; their cells are not read."""
        held: set[int] = set()
        values = [each for each in self.found.columns if each.spec.kind == "value"]
        for matched in values:
            known = known_units(matched.spec)
            if matched.unit and matched.spec.unit and canonical_unit(matched.unit) not in known:
                expected = f"単位「{matched.spec.unit}」（見出しの単位は「{matched.unit}」）"
                self._drift(self.layout.drift.changed_unit, matched.heading, expected, "changed_unit")
                held.add(matched.heading.column)
        line = self.unit_line
        bare = [each for each in values if each.unit is None and each.spec.unit and not each.spec.units]
        if line is None or not bare:
            return held
        said = canonical_unit(line.groups["unit"])
        # A sheet's unit need not be that of every column, but a sheet of which no column has it has changed.
        if not any(said in known_units(each.spec) for each in values):
            declared = "、".join(dict.fromkeys(f"「{each.spec.unit}」" for each in bare))
            tell = self.findings.fault if self.layout.drift.changed_unit == "block" else self.findings.drift
            cell = line.page.cell(line.row, line.column)
            position = (line.page.number, line.row, line.column)
            tell(position, cell, "単位", f"単位{declared}", "changed_unit")
            held |= {each.heading.column for each in bare}
        return held

    def _unit(self, matched: Matched, line: Line | None) -> str | None:
        spec = matched.spec
        aliases = _aliases(spec)
        if spec.unit:
            return canonical_unit(spec.unit)
        said = matched.unit or (line.groups["unit"] if line else None)
        return aliases.get(canonical_unit(said), canonical_unit(said)) if said else None

    def _value(self, matched: Matched, rows_have_period: bool) -> list[ValueColumn]:
        """One value column; none where its period or measure cannot be told (that is then a fault)."""
        spec, table = matched.spec, self.table
        period, from_row = self._period(matched, rows_have_period)
        if period is None and not from_row:
            expected = "期間の分かる見出し（月だけの見出しには、表題・シート名などの年が要ります）"
            if not spec.period_heading:
                expected = "期間（見出し・期間の列・文書の時点のいずれか）"
            self._fault(matched.heading, expected, "no_period")
            return []
        measure = spec.measure or table.constants.get(MEASURE_COLUMN)
        if measure == FROM_HEADING:
            text = JOIN.join(matched.rest)
            measure = self.measures.code_with_unit(text, matched.unit and canonical_unit(matched.unit))
            if measure is None:
                text, unit = split_unit(text)
                measure = self.measures.code_with_unit(text, unit and canonical_unit(unit))
                matched = replace(matched, unit=matched.unit or unit)
            if measure is None:
                self._fault(matched.heading, self.measures.expected_ja(text), "unknown_measure")
                return []
        return [self._compiled(matched, period, from_row, measure)]

    def _compiled(
        self, matched: Matched, period: Period | None, from_row: bool, measure: str | None
    ) -> ValueColumn:
        spec, table = matched.spec, self.table
        own_period = spec.period_heading and period is not None
        return ValueColumn(
            at=matched.heading.column,
            label=matched.heading.text,
            spec=spec,
            period=period,
            from_row=from_row,
            measure=measure,
            units={canonical_unit(unit): code for unit, code in spec.units.items()},
            unit=self._unit(matched, self.unit_line),
            aliases=_aliases(spec),
            status=(period.status if own_period and period else None),
            signs=matched.heading.references,
            constants={**table.constants, **spec.constants},
            blank_is_fault=(spec.blank or table.blank) == "fault",
        )

    def _period(self, matched: Matched, rows_have_period: bool) -> tuple[Period | None, bool]:
        """The period of a column, and whether its rows say it (then the column's is the year of their months)."""
        spec, table = matched.spec, self.table
        source = spec.period
        if spec.period_heading:
            period = period_of(matched, table, self.base)
            if rows_have_period and source != "heading":
                return period, True
            return (as_kind(period, spec.period_kind) if period else None), False
        if source == "row" or (source is None and rows_have_period):
            return None, True
        if source is None or source == "document":
            return (as_kind(self.document, spec.period_kind) if self.document else None), False
        try:
            return as_kind(period_of_text(source, table.year, self.base), spec.period_kind), False
        except Unreadable:
            return None, False

    def _total(self, matched: Matched) -> ValueColumn:
        return self._compiled(matched, None, False, matched.spec.measure)

    def _distinct(self, values: list[ValueColumn]) -> list[ValueColumn]:
        """Columns of different period or measure; a second one of the same is a fault of its heading, not of every cell."""
        kept: dict[tuple[object, ...], ValueColumn] = {}
        for column in values:
            if not column.spec.period_heading or column.period is None:
                kept[column.at, "named"] = column
                continue
            period = column.period
            key = (
                period.start,
                period.kind,
                column.measure,
                id(column.spec),
                tuple(column.constants.items()),
            )
            if key in kept:
                heading = next(m.heading for m in self.found.columns if m.heading.column == column.at)
                place = self.found.page.cell(heading.row, kept[key].at).place
                self._fault(
                    heading, f"ほかの列と重ならない期間（{place} と同じ期間です）", "duplicate_heading"
                )
            else:
                kept[key] = column
        return sorted(kept.values(), key=lambda column: column.at)

    def _gaps(self, values: list[ValueColumn]) -> None:
        for spec in self.table.columns:
            if not spec.gapless:
                continue
            columns = [column for column in values if column.spec is spec]
            lacking = missing_between([column.period for column in columns if column.period])
            if lacking:
                cell = self.found.page.cell(self.found.bottom, columns[0].at)
                position = (self.found.page.number, self.found.bottom, columns[0].at)
                expected = f"途切れのない期間の見出し（ないもの：{'、'.join(lacking)}）"
                label = JOIN.join(column.label for column in columns)
                self.findings.fault(position, cell, fold(label), expected, "period_gap")


def _aliases(spec: ColumnSpec) -> dict[str, str]:
    return {canonical_unit(said): canonical_unit(meant) for said, meant in spec.unit_aliases.items()}
