"""The columns of a found table made ready for reading: period, measure, unit and status of every value column.

Whatever the form changed (columns new, missing or doubled, units other than declared) is told here, once, by the drift
policy of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from kpi_warehouse.contract_layout import FROM_HEADING, MEASURE_COLUMN, Brackets, ColumnSpec, Policy
from kpi_warehouse.japanese.periods import Period
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_headers import (
    JOIN,
    Heading,
    Matched,
    known_units,
    looks_like_period,
    period_of,
    split_unit,
)
from kpi_warehouse.readers.layout_outside import UnitSaid
from kpi_warehouse.readers.layout_periods import as_kind, is_of_kind, missing_between, period_of_text
from kpi_warehouse.readers.layout_remarks import Said
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
        within: a month (a quarter, a half) without a year, of the year that the row says: 平成7年 by １月中 … 12月中.
        measure: code, where the column alone decides it.
        units: canonical unit → measure, for several quantities in a cell.
        unit: the unit of a number written without one.
        factors: other units, canonical → by what a number in them is multiplied to be one in `unit`.
        factor: the same for numbers without a unit of their own, by the unit of the heading or of the table.
        brackets: what a number in brackets is.
        remarks: comments at its heading.
    """

    at: int
    label: str
    spec: ColumnSpec
    period: Period | None
    from_row: bool
    within: str | None
    measure: str | None
    units: Mapping[str, str]
    unit: str | None
    factors: Mapping[str, Decimal]
    factor: Decimal | None
    brackets: Brackets | None
    aliases: Mapping[str, str]
    status: str | None
    signs: tuple[str, ...]
    remarks: tuple[str, ...]
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
        self.measure_units = context.measure_units
        self.units_said = [*self.outside.units(found), *self._corner_units()]

    def columns(self) -> Columns:
        found = self.found
        for first, second in found.doubled:
            place = found.page.cell(first.heading.row, first.heading.column).place
            expected = f"一度だけの見出し（{place} にも同じ見出しがあります。契約の列に occurrence で何番目かを書くと読めます）"
            self._fault(second, expected, "duplicate_heading")
        for heading in found.unknown:
            expected = f"様式にある見出し（{'、'.join(spec.name_ja for spec in self.table.columns)}）"
            self._drift(self.layout.drift.new_column, heading, expected, "new_column")
        readable = self._missing()
        by_kind: dict[str, list[tuple[ColumnSpec, int]]] = {}
        for matched in found.columns:
            by_kind.setdefault(matched.spec.kind, []).append((matched.spec, matched.heading.column))
        held = self._changed_units() | self._changed_by_comment()
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
        taken |= {heading.column for _, heading in (*found.doubled, *found.repeated)}
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

    def _corner_units(self) -> list[UnitSaid]:
        """Units that headings over labels state for the whole table (`区分　単位：人`)."""
        said = []
        for matched in self.found.columns:
            if matched.unit and matched.says_unit and matched.spec.kind != "value":
                heading = matched.heading
                cell = self.found.page.cell(heading.row, heading.column)
                units = (canonical_unit(matched.unit),)
                said.append(UnitSaid(cell.place, cell.text, heading.row, heading.column, units))
        return said

    def _known(self, matched: Matched) -> frozenset[str]:
        """Units a value column may have by the contract: its own, or those of the measures it may hold."""
        spec = matched.spec
        if spec.unit or spec.units:
            return known_units(spec)
        measure = spec.measure or self.table.constants.get(MEASURE_COLUMN)
        if measure in self.measure_units:
            return known_units(spec) | {self.measure_units[measure]}
        if measure is None or measure == FROM_HEADING:
            return known_units(spec) | frozenset(self.measure_units.values())
        return known_units(spec)

    def _changed_units(self) -> set[int]:
        """Columns whose unit is not the one declared; their cells are not read."""
        held: set[int] = set()
        values = [each for each in self.found.columns if each.spec.kind == "value"]
        known = {id(each): self._known(each) for each in values}
        for matched in values:
            declared = known[id(matched)]
            if matched.unit and declared and canonical_unit(matched.unit) not in declared:
                expected = f"単位{_listed(declared)}（見出しの単位は「{matched.unit}」）"
                self._drift(self.layout.drift.changed_unit, matched.heading, expected, "changed_unit")
                held.add(matched.heading.column)
        for said in self.units_said:
            # A table's unit need not be that of every column, but one of which no column has it has changed.
            if any(not declared.isdisjoint(said.units) for declared in known.values()):
                continue
            bare = [each for each in values if each.unit is None and not each.spec.units]
            declared_units = frozenset(unit for each in bare for unit in known[id(each)])
            if not declared_units:
                if len(said.units) > 1 and bare:
                    expected = "列ごとの単位（契約の列に unit を書くと決まります）"
                    position = (self.found.page.number, said.row, said.column)
                    self.findings.fault(position, said.place, "単位", expected, "unit_unclear", said.text)
                continue
            tell = self.findings.fault if self.layout.drift.changed_unit == "block" else self.findings.drift
            position = (self.found.page.number, said.row, said.column)
            expected = f"単位{_listed(declared_units)}（書かれた単位は「{'、'.join(said.units)}」）"
            tell(position, said.place, "単位", expected, "changed_unit", said.text)
            held |= {each.heading.column for each in bare}
        return held

    def _comments(self, matched: Matched) -> list[Said]:
        """Comments at the cells of a heading, of a merged one too."""
        page, column = self.found.page, matched.heading.column
        if not page.remarks:
            return []
        cells = [(row, column) for row in range(self.found.top, self.found.bottom + 1)]
        cells += [page.cell(*each).merged_from or each for each in cells]
        return [said for cell in dict.fromkeys(cells) for said in page.remarks.at(*cell)]

    def _changed_by_comment(self) -> set[int]:
        """Columns whose heading has a comment that states another unit than the contract's."""
        held: set[int] = set()
        for matched in self.found.columns:
            known = self._known(matched)
            for said in self._comments(matched) if matched.spec.kind == "value" else ():
                if said.units and known.isdisjoint(said.units):
                    expected = (
                        f"単位{_listed(known)}（{said.kind_ja}「{said.text}」）"
                        if known
                        else f"契約にある単位（{said.kind_ja}「{said.text}」）"
                    )
                    self._drift(self.layout.drift.changed_unit, matched.heading, expected, "changed_unit")
                    held.add(matched.heading.column)
        return held

    def _stated(self, matched: Matched) -> str | None:
        """The unit that heading or table state for a column, canonical and by the contract's aliases."""
        said = canonical_unit(matched.unit) if matched.unit else None
        if said is None:
            alone = [each.units[0] for each in self.units_said if len(each.units) == 1]
            known = self._known(matched)
            said = next((unit for unit in alone if unit in known or not known), None)
        return _aliases(matched.spec).get(said, said) if said else None

    def _unit(self, matched: Matched) -> tuple[str | None, Decimal | None]:
        """The unit of a number without one, and by what it is multiplied to be in it."""
        stated = self._stated(matched)
        if not matched.spec.unit:
            return stated, None
        return canonical_unit(matched.spec.unit), _factors(matched.spec).get(stated or "")

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
        unit, factor = self._unit(matched)
        remarks = self._comments(matched)
        stated = next((said.status for said in remarks if said.status), None)
        return ValueColumn(
            at=matched.heading.column,
            label=matched.heading.text,
            spec=spec,
            period=period,
            from_row=from_row,
            within=self._within(matched) if from_row and period is None else None,
            measure=measure,
            units={canonical_unit(unit): code for unit, code in spec.units.items()},
            unit=unit,
            factors=_factors(spec),
            factor=factor,
            brackets=spec.brackets or table.brackets,
            aliases=_aliases(spec),
            status=(period.status if own_period and period else None) or stated,
            signs=matched.heading.references,
            remarks=tuple(said.text for said in remarks),
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
            fits = period is not None and is_of_kind(period, spec.period_kind)
            return (as_kind(period, spec.period_kind) if period and fits else None), False
        if source == "row" or (source is None and rows_have_period):
            return None, True
        if source is None or source == "document":
            return (as_kind(self.document, spec.period_kind) if self.document else None), False
        try:
            return as_kind(period_of_text(source, table.year, self.base), spec.period_kind), False
        except Unreadable:
            return None, False

    def _within(self, matched: Matched) -> str | None:
        """The part of a period heading that needs the year of the row."""
        if not matched.spec.period_heading:
            return None
        return next((part for part in matched.heading.parts if looks_like_period(part, self.table)), None)

    def _total(self, matched: Matched) -> ValueColumn:
        return self._compiled(matched, None, False, matched.spec.measure)

    def _distinct(self, values: list[ValueColumn]) -> list[ValueColumn]:
        """Columns of different period or measure; a second one of the same is a fault of its heading, not of every cell."""
        kept: dict[tuple[object, ...], ValueColumn] = {}
        for column in values:
            period = column.period
            if not column.spec.period_heading or (period is None and column.within is None):
                kept[column.at, "named"] = column
                continue
            key = (
                (period.start, period.end, period.kind) if period else search_key(column.within or ""),
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


def _factors(spec: ColumnSpec) -> dict[str, Decimal]:
    return {canonical_unit(said): factor for said, factor in spec.unit_factors.items()}


def _listed(units: frozenset[str]) -> str:
    return "、".join(f"「{unit}」" for unit in sorted(units))


def _aliases(spec: ColumnSpec) -> dict[str, str]:
    return {canonical_unit(said): canonical_unit(meant) for said, meant in spec.unit_aliases.items()}
