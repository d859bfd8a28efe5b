"""What each column of a table found in a sample is: label, code, period, value, total, note; and the table in the layout's words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from kpi_warehouse.contract_layout import ColumnSpec, Table
from kpi_warehouse.drafting.shapes import Block
from kpi_warehouse.drafting.sketch import Sketch
from kpi_warehouse.drafting.texts import (
    BLANK,
    CODE_HEADING,
    FIGURE,
    MARK,
    NOTES,
    PERIOD,
    PERIOD_HEADINGS,
    STATUS_HEADINGS,
    STATUS_WORDS,
    SUBSETS,
    SUBTOTALS,
    TEXT,
    TOTALS,
    WITHOUT_ERA,
    begins,
    is_word,
    is_yearish,
    kind_of,
    period_kind,
)
from kpi_warehouse.japanese.numbers import read_numbers
from kpi_warehouse.japanese.periods import read_period
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_headers import JOIN, Heading, headings_of, match, split_unit

_NO_TABLE = Table("", ())
# More kinds of rows than this are rather places or people than measures.
MOST_MEASURES = 40
_PLACES = re.compile(r"市|区|町|村|県|地域|地区|都道府県|相手|国|校|施設|路線|地点|団体|企業|事業所")
_UNIT_LIKE = re.compile(r"[^\W\d_]|[%％‰℃円]")
_MONTH_FIRST = re.compile(r"\d{1,2}\s*月")
_TO_BE_FILLED = re.compile(r"実績|数|値|額|量")
_FISCAL, _CALENDAR = re.compile(r"年度"), re.compile(r"年(?!度)|暦年|西暦")


@dataclass
class Column:
    """A column of the block with what stands in it.

    Args:
        kinds: of its cells in body rows.
        period: kind of the period its heading says; None where it says none.
    """

    heading: Heading
    cells: list[Cell]
    kinds: list[int]
    period: str | None

    @property
    def at(self) -> int:
        return self.heading.column

    @cached_property
    def name(self) -> str:
        """The heading without its unit, as far as the reader tells the two apart."""
        if not self.heading.parts:
            return ""
        bare = JOIN.join(filter(None, [*self.heading.parts[:-1], split_unit(self.heading.parts[-1])[0]]))
        spec = ColumnSpec((bare,), "value", unit=self.unit)
        return bare if match(spec, self.heading, _NO_TABLE) is not None else self.heading.text

    @property
    def unit(self) -> str | None:
        """The unit its heading states."""
        if self.heading.unit:
            return self.heading.unit
        found = split_unit(self.heading.parts[-1])[1] if self.heading.parts else None
        return (
            found
            if found and _UNIT_LIKE.search(found) and period_kind(found) is None and not found.isdigit()
            else None
        )

    def share(self, *kinds: int) -> float:
        """Share of the filled cells that are of these kinds."""
        filled = [kind for kind in self.kinds if kind != BLANK]
        return sum(kind in kinds for kind in filled) / len(filled) if filled else 0.0

    @property
    def filled(self) -> int:
        return sum(kind != BLANK for kind in self.kinds)

    def labels(self) -> list[str]:
        """Its distinct texts without footnote signs, folded."""
        return list(
            dict.fromkeys(
                take_references(fold(cell.text))[0]
                for cell in self.cells
                if cell.value is not None and cell.text.strip()
            )
        )


def columns_of(block: Block) -> list[Column]:
    """The columns of a block that hold anything; looked at once."""
    if block.columns is None:
        block.columns = _columns_of(block)
    return block.columns


def _columns_of(block: Block) -> list[Column]:
    columns: list[Column] = []
    for heading in headings_of(block.sheet, block.top, block.bottom, spread=False):
        cells = block.cells(heading.column)
        kinds = [kind_of(cell) for cell in cells]
        if heading.parts or (any(kinds) and not any(not column.heading.parts for column in columns)):
            columns.append(Column(heading, cells, kinds, _heading_period(heading)))
    return columns


def _heading_period(heading: Heading) -> str | None:
    for part in reversed(heading.parts):
        for text in (part, split_unit(part)[0]):
            if text and (found := period_kind(text)):
                return found
    return None


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
        self.numbers = self._column_numbers()
        self.sections = self._sections()
        if self.numbers or self.sections:
            aside = {at for at, _ in (*self.numbers, *self.sections)}
            self.block = replace(block, rows=[at for at in block.rows if at not in aside], columns=None)
            self.columns = columns_of(self.block)
        self.aliases: dict[str, str] = {}

    def write(self, name: str, constants: dict[str, str] | None = None) -> dict[str, Any]:
        """The table as the layout has it; axes, measures and units go into the sketch."""
        values = self._values()
        wide = self._wide(values)
        labels = [column for column in self.columns if column not in values]
        periods = [] if not labels else self._periods(labels, wide)
        written: list[dict[str, Any]] = []
        self.table = {"name": name, "year": self._year(periods), "columns": written}
        if constants:
            self.table["set"] = constants
        rows = self._row_words(labels, values)
        named = self._labels(labels, periods, values, wide=wide)
        for column in labels:
            one = named[column.at]
            same = [other for other in labels if other.name == column.name and other.heading.parts]
            if any(self._same_cells(column, other) for other in same if other.at < column.at):
                continue  # the reader holds labels that stand again at the right against the first
            if len({id(each) for each in same if not self._same_as_label(each)}) > 1:
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

    def _column_numbers(self) -> list[tuple[int, str]]:
        """A first row that only numbers the columns: (1) (2) (3)."""
        at = self.block.rows[0]
        said = [fold(cell.text).strip("() ") for cell in self.block.sheet.rows[at] if cell.value is not None]
        first = next(cell.text for cell in self.block.sheet.rows[at] if cell.value is not None)
        return (
            [(at, fold(first))] if len(said) > 2 and said == [str(n) for n in range(1, len(said) + 1)] else []
        )

    def _sections(self) -> list[tuple[int, str]]:
        """Rows of one text in the first column of labels, that say what the rows below them belong to."""
        if not self.columns:
            return []
        column = self.columns[0].at
        found: list[tuple[int, str]] = []
        others: set[str] = set()
        for at in self.block.rows:
            row = self.block.sheet.rows[at]
            said = [
                number
                for number, cell in enumerate(row)
                if cell.value is not None or cell.merged_from is not None
            ]
            text = take_references(fold(row[column].text))[0]
            if said == [column] and text:
                found.append((at, text))
            else:
                others.add(text)
        texts = [text for _, text in found]
        whole = len(found) > 1 and found[0][0] == self.block.rows[0]
        return found if whole and len(set(texts)) == len(texts) and others.isdisjoint(texts) else []

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
            return any(parts and all(_lacks_year(part) for part in parts) for parts in across)
        return any(
            column["is"] == "period" and any(map(_lacks_year, self._labels_of(column["heading"])))
            for column in self.table["columns"]
        )

    def _labels_of(self, heading: list[str]) -> list[str]:
        return next((each.labels() for each in self.columns if each.name == heading[0]), [])

    # -- which columns

    def _values(self) -> list[Column]:
        """Columns of figures."""
        found = []
        for column in self.columns:
            figures = sum(kind in (FIGURE, MARK) for kind in column.kinds)
            if not column.filled:
                # Nothing in it yet: a period in the heading says that values will come.
                if column.period and any(other.period and other is not column for other in self.columns):
                    found.append(column)
                continue
            if is_word(column.name, (*NOTES, *STATUS_HEADINGS)):
                continue
            across = column.period and any(other.period and other is not column for other in self.columns)
            if not figures or (column.share(FIGURE, MARK) < 0.6 and not across):
                continue
            if FIGURE not in column.kinds and not column.period:
                continue
            if self._is_code(column, found) or self._is_years(column):
                continue
            found.append(column)
        if not found:
            # A form that nobody has filled in yet.
            found = [
                column for column in self.columns if not column.filled and _TO_BE_FILLED.search(column.name)
            ][:1]
        return found

    def _is_code(self, column: Column, before: list[Column]) -> bool:
        """Numbers that name something: 市区町村コード, 区間番号; left of all values."""
        if before or column.period or column.unit:
            return False
        texts = [cell.text.strip() for cell in column.cells if cell.value is not None]
        if column is self.columns[0] and _counts_up([text for text in texts if text.isdigit()]):
            return True
        if not all(text.isdigit() for text in texts):
            return False
        if CODE_HEADING.search(column.heading.text):
            return True
        return any(text.startswith("0") and len(text) > 1 for text in texts)

    def _is_years(self, column: Column) -> bool:
        """A column of bare years, year-months or day numbers: by its heading, or because every cell is a year."""
        if is_word(column.name, PERIOD_HEADINGS):
            return True
        filled = [cell for cell in column.cells if cell.value is not None]
        return column is self.columns[0] and len(self.columns) > 1 and all(map(is_yearish, filled))

    def _wide(self, values: list[Column]) -> bool:
        """Whether the headings of the values say periods."""
        said = [column for column in values if column.period]
        return bool(said) and len(said) * 2 >= len(values)

    def _periods(self, labels: list[Column], wide: bool) -> list[Column]:
        """The column that says the period of the rows; what it holds is for the reader to read or to refuse."""
        if wide:
            return []
        filled = [column for column in labels if column.filled]
        named = [column for column in filled if is_word(column.name, PERIOD_HEADINGS)]
        read = [column for column in filled if column.share(PERIOD) >= 0.8 or self._is_years(column)]
        both = [column for column in named if column in read]
        return (both or read or named)[:1]

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

    # -- labels

    def _labels(
        self, labels: list[Column], periods: list[Column], values: list[Column], *, wide: bool
    ) -> dict[int, dict[str, Any]]:
        """A layout column for each column that holds no values."""
        written: dict[int, dict[str, Any]] = {}
        texts = []
        first_value = min((column.at for column in values), default=0)
        for column in labels:
            heading = [column.name] if column.heading.parts else [""]
            key = column.name
            if column in periods:
                written[column.at] = {"heading": heading, "is": "period", **self._fill_down(column)}
                self.sketch.kinds |= {kind for label in column.labels() if (kind := period_kind(label))}
            elif is_word(key, NOTES) or (
                column.at > first_value and column.heading.parts and not self._same_as_label(column)
            ):
                written[column.at] = {"heading": heading, "is": "note", "optional": True}
            elif is_word(key, ("単位",)):
                written[column.at] = {"heading": heading, "is": "unit"}
            elif is_word(key, STATUS_HEADINGS):
                statuses = {
                    word: STATUS_WORDS.get(word, "actual") for word in column.labels()
                } or STATUS_WORDS
                written[column.at] = {"heading": heading, "is": "status", "statuses": statuses}
            elif not column.filled:
                written[column.at] = {
                    "heading": heading,
                    "is": "ignored",
                    "reason": self.sketch.reason("値のない列。"),
                }
            elif column.at > first_value:
                written[column.at] = {
                    "heading": heading,
                    "is": "ignored",
                    "optional": True,
                    "reason": self.sketch.reason("右にもう一度書かれた見出し。"),
                }
            else:
                texts.append(column)
        self._telling(texts, written, wide=wide, keyed=bool(periods))
        return written

    @staticmethod
    def _same_cells(one: Column, other: Column) -> bool:
        return [cell.text for cell in one.cells] == [cell.text for cell in other.cells]

    def _same_as_label(self, column: Column) -> bool:
        """Whether a column at the right only repeats one at the left."""
        texts = [cell.text for cell in column.cells]
        return any(
            [cell.text for cell in other.cells] == texts for other in self.columns if other.at < column.at
        )

    def _telling(
        self, texts: list[Column], written: dict[int, dict[str, Any]], *, wide: bool, keyed: bool
    ) -> None:
        """Of the columns of labels: which tell the rows apart, and what they are."""
        needed = self._needed(texts)
        codes = [column for column in texts if self._is_code(column, [])]
        spoken = False
        for column in texts:
            heading = [column.name] if column.heading.parts else [""]
            labels = [label for label in column.labels() if not self._is_total(label)]
            if column not in needed:
                reason = "行を見分けるのに要らない欄。" if column not in codes else "行の番号。"
                written[column.at] = {
                    "heading": heading,
                    "is": "ignored",
                    "reason": self.sketch.reason(reason),
                }
                continue
            as_measure = (
                not spoken
                and not keyed
                and column is needed[-1]
                and wide
                and self._plain_wide()
                and len(labels) <= MOST_MEASURES
                and column not in codes
                and not _PLACES.search(column.name)
            )
            if as_measure:
                spoken = True
                for label in labels:
                    self.sketch.measure(label, self._unit_of_row(column, label) or self.unit)
                written[column.at] = {"heading": heading, "is": "measure", **self._fill_down(column)}
                continue
            name = self._axis(column, labels, codes, texts)
            written[column.at] = {"heading": heading, "is": "axis", "column": name, **self._fill_down(column)}

    def _axis(self, column: Column, labels: list[str], codes: list[Column], texts: list[Column]) -> str:
        """A new axis, or the one that a table before this one has with the same heading."""
        label = column.name or "区分"
        known = next((name for name, axis in self.sketch.axes.items() if axis.label == label), None)
        if known is not None:
            axis = self.sketch.axes[known]
            for each in labels:
                if search_key(each) not in {search_key(said) for said in axis.codes.values()}:
                    key = each if column in codes else f"c{len(axis.codes) + 1}"
                    axis.codes[key] = each
            return known
        if column in codes:
            beside = next((other for other in texts if other is not column and other not in codes), None)
            names = self._names(column, beside) if beside is not None else {}
            return self.sketch.axis(label, [names.get(each, each) for each in labels], labels)
        return self.sketch.axis(label, labels)

    def _names(self, column: Column, beside: Column) -> dict[str, str]:
        """Code → name, where each code has one name of its own."""
        names: dict[str, str] = {}
        for code, name in zip(column.cells, beside.cells, strict=True):
            if code.value is not None and name.value is not None:
                names.setdefault(fold(code.text), fold(name.text))
        return names if len(set(names.values())) == len(names) else {}

    def _needed(self, texts: list[Column]) -> list[Column]:
        """The fewest columns that tell the rows apart: one that does alone (a code first), else all that add to it."""
        filled = {column.at: self._down(column) for column in texts}
        periods = [
            column
            for column in self.columns
            if is_word(column.name, PERIOD_HEADINGS) and column.share(PERIOD, FIGURE) >= 0.5
        ]
        keys = [self._down(column) for column in periods[:1] if column not in texts]

        def count(chosen: list[Column]) -> int:
            return (
                len(set(zip(*[*keys, *(filled[column.at] for column in chosen)], strict=True)))
                if chosen or keys
                else 1
            )

        if len(texts) <= 1:
            return texts
        whole = count(texts)
        codes = [column for column in texts if self._is_code(column, [])]
        for column in [*codes, *(each for each in texts if each not in codes)]:
            if count([column]) == whole and all(filled[column.at]):
                return [column]
        chosen: list[Column] = []
        for column in texts:
            if count([*chosen, column]) > count(chosen):
                chosen.append(column)
        for column in list(chosen):
            without = [each for each in chosen if each is not column]
            if without and count(without) == whole:
                chosen = without
        return chosen or texts[:1]

    def _down(self, column: Column) -> list[str]:
        """Labels of a column, row by row, merged areas and blanks taking the one above."""
        said, above = [], ""
        for cell in column.cells:
            above = search_key(take_references(fold(cell.text))[0]) if cell.value is not None else above
            said.append(above)
        return said

    def _fill_down(self, column: Column) -> dict[str, bool]:
        """Blank labels below another, that are not merged, mean the one above."""
        blank = [cell for cell in column.cells if cell.value is None and cell.merged_from is None]
        if blank and column.cells[0].value is not None and column.filled > 1:
            self.sketch.ask(
                f"見出し「{column.name or '（空白）'}」の空欄は、すぐ上と同じとみなす（fillDown）。"
            )
            return {"fillDown": True}
        return {}

    # -- rows

    def _is_total(self, label: str) -> bool:
        return label in self._totals_found

    def _row_words(self, labels: list[Column], values: list[Column]) -> dict[str, Any]:
        """Rows that are totals (and are the sum of the others), subtotals and parts of another row."""
        self._totals_found: set[str] = set()
        rows: dict[str, Any] = {}
        texts = [column for column in labels if column.share(TEXT) > 0]
        for words, key in ((TOTALS, "totals"), (SUBTOTALS, "subtotals")):
            said = [label for column in texts for label in column.labels() if is_word(label, words)]
            if key == "totals":
                said = [label for label in said if self._adds_up(label, texts, values)]
            if said:
                rows[key] = list(dict.fromkeys(said))
                self._totals_found |= set(said)
        subsets = [label for column in texts for label in column.labels() if begins(label, SUBSETS)]
        if subsets and rows:
            rows["subsets"] = (
                sorted(
                    {
                        next(word for word in ("うち", "再掲", "内訳") if word in search_key(label))
                        for label in subsets
                        if any(word in search_key(label) for word in ("うち", "再掲", "内訳"))
                    }
                )
                or subsets
            )
        return rows

    def _adds_up(self, label: str, texts: list[Column], values: list[Column]) -> bool:
        """Whether the row of a total is the sum of other rows in at least one column; then the draft lets the gate check it."""
        for column in values:
            numbers: list[tuple[str, Decimal]] = []
            stated: list[Decimal] = []
            for at, cell in enumerate(column.cells):
                number = _number(cell)
                names = [fold(text.cells[at].text) for text in texts if text.cells[at].value is not None]
                if number is None:
                    continue
                if any(search_key(name) == search_key(label) for name in names):
                    stated.append(number)
                elif not any(is_word(name, (*TOTALS, *SUBTOTALS)) or begins(name, SUBSETS) for name in names):
                    numbers.append((" ".join(names), number))
            total = sum((number for _, number in numbers), Decimal(0))
            if stated and numbers and (sum(stated) == total or all(each == total for each in stated)):
                return True
        return False

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
        units = {unit for cell in column.cells if (unit := _unit_in(cell))}
        return next(iter(units)) if len(units) == 1 else None

    def _unit_in_order(self, column: Column, values: list[Column]) -> str | None:
        """The unit of a column where one line states as many as there are columns without: （単位：人、km2）."""
        bare = [each for each in values if not self._unit_of(each)] if len(self.units) > 1 else []
        if not bare or len(bare) != len(self.units):
            return None
        self.sketch.ask(f"単位「{'、'.join(self.units)}」は、この順に列の単位とみなす。")
        return canonical_unit(self.units[bare.index(column)])

    def _unit_of_row(self, column: Column, label: str) -> str | None:
        """The unit that the numbers of a row are mostly written with; 市 beside 市町村 is asked about."""
        rows = [at for at, cell in enumerate(column.cells) if take_references(fold(cell.text))[0] == label]
        said = [
            unit
            for at in rows
            for other in self.columns
            if other.period and (unit := _unit_in(other.cells[at]))
        ]
        if not said:
            return None
        most = Counter(said).most_common(1)[0][0]
        for unit in dict.fromkeys(said):
            if unit != most and (unit in most or most in unit):
                self.aliases[unit] = most
                self.sketch.ask(
                    f"「{label}」の単位は「{most}」と「{unit}」で書かれている。同じ単位とみなす（unitAliases）。"
                )
        return most

    def _row_totals(self, values: list[Column]) -> list[Column]:
        """Columns beside the periods that are the sum of their row."""
        across = [column for column in values if column.period]
        return [
            column
            for column in values
            if not column.period and is_word(column.name, TOTALS) and _sums(column, across)
        ]

    def _column_total(self, values: list[Column]) -> list[Column]:
        """計 among measures: the sum of all other columns in every row."""
        return [
            column
            for column in values
            if is_word(column.name, ("計", "合計", "総計"))
            and len(values) > 2
            and _sums(column, [other for other in values if other is not column])
        ]

    def _has_gaps(self, values: list[Column]) -> bool:
        """Whether a row that holds values lacks some."""
        filled = [at for at in range(len(self.block.rows)) if any(column.kinds[at] for column in values)]
        return any(column.kinds[at] == BLANK for column in values for at in filled)


def _counts_up(texts: list[str]) -> bool:
    """1, 2, 3 …: a numbering of the rows."""
    return len(texts) > 2 and texts == [str(at) for at in range(1, len(texts) + 1)]


def _lacks_year(text: str) -> bool:
    """Whether a text is a month or another part of a year that it does not say."""
    return not _has_year(text)


def _has_year(text: str) -> bool:
    """Whether a period says its year itself, or takes the era of the one before it; what is no period needs none."""
    if _MONTH_FIRST.match(fold(text)):
        return False  # also with a weekday, which fits one year only
    if period_kind(text) is None or WITHOUT_ERA.fullmatch(fold(text)):
        return True
    try:
        read_period(text, year="fiscal")
    except Unreadable:
        return False
    return True


def _number(cell: Cell) -> Decimal | None:
    if cell.value is None or isinstance(cell.value, bool):
        return None
    try:
        quantities = read_numbers(cell.text)
    except Unreadable:
        return None
    return quantities[0].value if len(quantities) == 1 else None


def _unit_in(cell: Cell) -> str | None:
    if not isinstance(cell.value, str):
        return None
    try:
        quantities = read_numbers(cell.text)
    except Unreadable:
        return None
    return canonical_unit(quantities[0].unit) if len(quantities) == 1 and quantities[0].unit else None


def _sums(total: Column, parts: list[Column]) -> bool:
    """Whether a column is the sum of others in every row that states it."""
    compared = 0
    for at, cell in enumerate(total.cells):
        stated = _number(cell)
        numbers = [number for part in parts if (number := _number(part.cells[at])) is not None]
        if stated is None or not numbers:
            continue
        if sum(numbers, Decimal(0)) != stated:
            return False
        compared += 1
    return compared > 0
