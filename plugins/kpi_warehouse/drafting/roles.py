"""A table found in a sample, in the words of the layout: its labels, periods, values, totals and rows that are no data."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from kpi_warehouse.drafting.columns import (
    Column,
    columns_of,
    is_wide,
    lacks_year,
    periods_of,
    repeats_label,
    sums,
    unit_beside,
    values_of,
)
from kpi_warehouse.drafting.labels import LabelDraft
from kpi_warehouse.drafting.row_words import column_numbers, row_rules, sections_of
from kpi_warehouse.drafting.shapes import Block
from kpi_warehouse.drafting.sketch import Sketch
from kpi_warehouse.drafting.texts import (
    BLANK,
    TOTALS,
    is_word,
    period_kind,
)
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.readers.layout_headers import JOIN, split_unit

_FISCAL, _CALENDAR = re.compile(r"年度"), re.compile(r"年(?!度)|暦年|西暦")


class TableDraft:
    """Writes one block into a sketch as a table of the layout."""

    def __init__(
        self, block: Block, sketch: Sketch, *, units: list[str], title: str, around: str = ""
    ) -> None:
        self.block, self.sketch, self.title = block, sketch, title
        self.units = units
        self.unit = canonical_unit(units[0]) if len(units) == 1 else None
        self.around = around
        self.columns = columns_of(block)
        self.table: dict[str, Any] = {}
        self.numbers = column_numbers(block)
        self.sections = sections_of(block, self.columns)
        if self.numbers or self.sections:
            aside = {at for at, _ in (*self.numbers, *self.sections)}
            self.block = replace(block, rows=[at for at in block.rows if at not in aside], columns=None)
            self.columns = columns_of(self.block)
        self.aliases: dict[str, str] = {}

    def write(self, name: str, constants: dict[str, str] | None = None) -> dict[str, Any]:
        """The table as the layout has it; axes, measures and units go into the sketch."""
        values = values_of(self.columns)
        wide = is_wide(values)
        labels = [column for column in self.columns if column not in values]
        periods = [] if not labels else periods_of(labels, self.columns, wide=wide)
        written: list[dict[str, Any]] = []
        self.table = {"name": name, "year": self._year(periods), "columns": written}
        if constants:
            self.table["set"] = constants
        rows, stated = row_rules(labels, values)
        said = LabelDraft(self.sketch, self.columns, stated, self.unit, plain=self._plain_wide())
        named = said.written(labels, periods, values, wide=wide)
        self.aliases = said.aliases
        for column in labels:
            one = named[column.at]
            same = [other for other in labels if other.name == column.name and other.heading.parts]
            if any(_same_cells(column, other) for other in same if other.at < column.at):
                continue  # the reader holds labels that stand again at the right against the first
            if len({id(each) for each in same if not repeats_label(each, self.columns)}) > 1:
                one["occurrence"] = same.index(column) + 1
            written.append(one)
        by_row = self._by_row(named)
        by_period = bool(periods) or (bool(self.sections) and self._stacked(written))
        totals = self._row_totals(values) if wide else self._column_total(values)
        written.extend(self._value_columns(values, totals, by_period, wide=wide, by_row=by_row))
        for _, label in self.numbers:
            rows.setdefault("ignore", {})[label] = self.sketch.reason("列の番号の行。")
        if rows:
            self.table["rows"] = rows
        if self.block.gaps:
            self.table.setdefault("rows", {})["until"] = "end"
        if self._has_gaps(values):
            self.table["blank"] = "skip"
            self.sketch.ask("空欄の値は読み飛ばす（blank: skip）。値が必ず入る表なら fault に直す。")
        return self.table

    def _stacked(self, written: list[dict[str, Any]]) -> bool:
        """The column that the section rows make; True where they say periods."""
        heading = next((one["heading"] for one in written if one["is"] in ("axis", "measure")), None)
        if heading is None:
            return False
        texts = [text for _, text in self.sections]
        period = all(period_kind(text) for text in texts)
        if period:
            one = {"heading": heading, "is": "period", "stacked": True}
        else:
            one = {
                "heading": heading,
                "is": "axis",
                "column": self.sketch.axis("区分（見出しの行）", list(dict.fromkeys(texts))),
                "stacked": True,
            }
        self.sketch.ask(f"「{texts[0]}」などの行は、下の行が何に属すかを表す（stacked）。")
        written.append(one)
        return period

    def bare_months(self) -> bool:
        """Whether months stand in the headings or the rows without their year."""
        across = [
            [part for part in column.heading.parts if period_kind(part)]
            for column in self.columns
            if column.period
        ]
        if across:
            return any(parts and all(lacks_year(part) for part in parts) for parts in across)
        return any(
            column["is"] == "period" and any(map(lacks_year, self._labels_of(column["heading"])))
            for column in self.table["columns"]
        )

    def _labels_of(self, heading: list[str]) -> list[str]:
        return next((each.labels() for each in self.columns if each.name == heading[0]), [])

    def _year(self, periods: list[Column]) -> str:
        """What a bare year means, as the texts around it suggest."""
        texts = [part for column in self.columns for part in column.heading.parts if period_kind(part)]
        texts += [label for column in periods for label in [*column.labels()[:5], *column.heading.parts]]
        texts += [text for _, text in self.sections]
        around = [
            self.around,
            self.title,
            *(part for column in self.columns for part in column.heading.parts),
        ]
        for group in (texts, around):
            if any(_FISCAL.search(text) for text in group):
                return "fiscal"
            if any(_CALENDAR.search(text) for text in group):
                return "calendar"
        self.sketch.ask("期間の見出しからは年度か暦年か分からない（year）。")
        return "fiscal"

    # -- values

    def _plain_wide(self) -> bool:
        """Whether the headings of the values are nothing but periods, or say one thing beside them."""
        rests = {self._rest(column) for column in self.columns if column.period}
        return len(rests) <= 1

    def _rest(self, column: Column) -> tuple[str, ...]:
        """The parts of a heading that are no period."""
        return tuple(
            part
            for part in column.heading.parts
            if not (period_kind(part) or period_kind(split_unit(part)[0]))
        )

    @staticmethod
    def _by_row(named: dict[int, dict[str, Any]]) -> bool:
        return any(column["is"] == "measure" for column in named.values())

    def _value_columns(
        self, values: list[Column], totals: list[Column], by_period: bool, *, wide: bool, by_row: bool
    ) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        across = [column for column in values if column.period and column not in totals] if wide else []
        if across:
            written.extend(self._across(across, by_row=by_row))
            self.sketch.kinds |= {column.period for column in across if column.period}
        for column in values:
            if column in across:
                continue
            heading = [column.name] if column.heading.parts else [""]
            if column in totals:
                written.append({"heading": heading, "is": "row_total"})
                continue
            if wide and by_row:
                written.append(
                    {
                        "heading": heading,
                        "is": "ignored",
                        "reason": self.sketch.reason("期間の列ではない数値。"),
                    }
                )
                continue
            unit = self._unit_of(column) or self._unit_in_order(column, values) or self.unit
            same = [other for other in values if other.name == column.name]
            occurrence = same.index(column) + 1 if len(same) > 1 else 0
            label = f"{column.name}（{occurrence}番目）" if occurrence else column.name
            code = self.sketch.measure(label or self.title, unit)
            one: dict[str, Any] = {"heading": heading, "is": "value", "measure": code}
            if occurrence:
                one["occurrence"] = occurrence
                self.sketch.ask(
                    f"見出し「{column.name}」が {len(same)} 列ある。それぞれの意味（occurrence）。"
                )
            if unit:
                one["unit"] = unit
            one["period"] = "row" if by_period else "document"
            written.append(one)
        return written

    def _across(self, across: list[Column], *, by_row: bool) -> list[dict[str, Any]]:
        """The period columns: one word for all of them, with what stands beside the period."""
        rests = dict.fromkeys(self._rest(column) for column in across)
        units = {unit for column in across if (unit := self._unit_of(column))}
        unit = next(iter(units)) if len(units) == 1 else None
        written = []
        if len(rests) > 1 and by_row is False:
            for rest in rests:
                text = JOIN.join(rest)
                name, said = split_unit(text)
                self.sketch.measure(name or self.title, said or unit or self.unit)
            column: dict[str, Any] = {"heading": "period", "is": "value", "measure": "heading"}
            plain = [rest for rest in rests if not rest]
            if plain:
                code = self.sketch.measure(self.title, unit or self.unit)
                written.append({"heading": "period", "is": "value", "measure": code})
            written.append(column)
            return written
        for rest in rests:
            column = {"heading": "period", "is": "value"}
            if not by_row:
                label, said = split_unit(JOIN.join(rest)) if rest else (self.title, None)
                own = said or unit or self.unit
                column["measure"] = self.sketch.measure(label or self.title, own)
                if own:
                    column["unit"] = own
            elif unit or self.unit:
                own = unit or self.unit
                if len({self.sketch.units.get(code, own) for code in self.sketch.measures}) <= 1:
                    column["unit"] = own
                    for code in self.sketch.measures:
                        self.sketch.units.setdefault(code, str(own))
            if rest:
                column["with"] = [JOIN.join(rest)]
            if self.aliases:
                column["unitAliases"] = self.aliases
            written.append(column)
        return written

    def _unit_of(self, column: Column) -> str | None:
        """Unit of a column: of its heading, or written beside its numbers."""
        if column.unit:
            return canonical_unit(column.unit)
        units = {unit for cell in column.cells if (unit := unit_beside(cell))}
        return next(iter(units)) if len(units) == 1 else None

    def _unit_in_order(self, column: Column, values: list[Column]) -> str | None:
        """The unit of a column where one line states as many as there are columns without: （単位：人、km2）."""
        bare = [each for each in values if not self._unit_of(each)] if len(self.units) > 1 else []
        if not bare or len(bare) != len(self.units):
            return None
        self.sketch.ask(f"単位「{'、'.join(self.units)}」は、この順に列の単位とみなす。")
        return canonical_unit(self.units[bare.index(column)])

    def _row_totals(self, values: list[Column]) -> list[Column]:
        """Columns beside the periods that are the sum of their row."""
        across = [column for column in values if column.period]
        return [
            column
            for column in values
            if not column.period and is_word(column.name, TOTALS) and sums(column, across)
        ]

    def _column_total(self, values: list[Column]) -> list[Column]:
        """計 among measures: the sum of all other columns in every row."""
        return [
            column
            for column in values
            if is_word(column.name, ("計", "合計", "総計"))
            and len(values) > 2
            and sums(column, [other for other in values if other is not column])
        ]

    def _has_gaps(self, values: list[Column]) -> bool:
        """Whether a row that holds values lacks some."""
        filled = [at for at in range(len(self.block.rows)) if any(column.kinds[at] for column in values)]
        return any(column.kinds[at] == BLANK for column in values for at in filled)


def _same_cells(one: Column, other: Column) -> bool:
    return [cell.text for cell in one.cells] == [cell.text for cell in other.cells]
