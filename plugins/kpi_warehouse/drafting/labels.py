"""The columns of labels of a table: which tell its rows apart, and whether they are an axis, measures, notes or nothing of ours."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from kpi_warehouse.drafting.columns import Column, filled_down, is_code, repeats_label, unit_beside
from kpi_warehouse.drafting.sketch import Sketch
from kpi_warehouse.drafting.texts import (
    FIGURE,
    NOTES,
    PERIOD,
    PERIOD_HEADINGS,
    STATUS_HEADINGS,
    STATUS_WORDS,
    is_word,
    period_kind,
)
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import fold, search_key

# More kinds of rows than this are rather places or people than measures.
MOST_MEASURES = 40
_PLACES = re.compile(r"市|区|町|村|県|地域|地区|都道府県|相手|国|校|施設|路線|地点|団体|企業|事業所")


class LabelDraft:
    """Says of the columns without values what they are; axes, and measures that stand in rows, go into the sketch.

    Args:
        columns: all columns of the table.
        totals: labels of rows that are no data.
        unit: of the table, where one is stated.
        plain: the headings of the values are periods and nothing that differs.
    """

    def __init__(
        self, sketch: Sketch, columns: list[Column], totals: set[str], unit: str | None, *, plain: bool
    ) -> None:
        self.sketch, self.columns, self.totals, self.unit, self.plain = sketch, columns, totals, unit, plain
        self.aliases: dict[str, str] = {}

    def written(
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
                column.at > first_value and column.heading.parts and not repeats_label(column, self.columns)
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

    def _telling(
        self, texts: list[Column], written: dict[int, dict[str, Any]], *, wide: bool, keyed: bool
    ) -> None:
        """Of the columns of labels: which tell the rows apart, and what they are."""
        needed = self._needed(texts)
        codes = [column for column in texts if is_code(column, self.columns, [])]
        spoken = False
        for column in texts:
            heading = [column.name] if column.heading.parts else [""]
            labels = [label for label in column.labels() if label not in self.totals]
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
                and self.plain
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
        filled = {column.at: filled_down(column) for column in texts}
        periods = [
            column
            for column in self.columns
            if is_word(column.name, PERIOD_HEADINGS) and column.share(PERIOD, FIGURE) >= 0.5
        ]
        keys = [filled_down(column) for column in periods[:1] if column not in texts]

        def count(chosen: list[Column]) -> int:
            return (
                len(set(zip(*[*keys, *(filled[column.at] for column in chosen)], strict=True)))
                if chosen or keys
                else 1
            )

        if len(texts) <= 1:
            return texts
        whole = count(texts)
        codes = [column for column in texts if is_code(column, self.columns, [])]
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

    def _fill_down(self, column: Column) -> dict[str, bool]:
        """Blank labels below another, that are not merged, mean the one above."""
        blank = [cell for cell in column.cells if cell.value is None and cell.merged_from is None]
        if blank and column.cells[0].value is not None and column.filled > 1:
            self.sketch.ask(
                f"見出し「{column.name or '（空白）'}」の空欄は、すぐ上と同じとみなす（fillDown）。"
            )
            return {"fillDown": True}
        return {}

    def _unit_of_row(self, column: Column, label: str) -> str | None:
        """The unit that the numbers of a row are mostly written with; 市 beside 市町村 is asked about."""
        rows = [at for at, cell in enumerate(column.cells) if take_references(fold(cell.text))[0] == label]
        said = [
            unit
            for at in rows
            for other in self.columns
            if other.period and (unit := unit_beside(other.cells[at]))
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
