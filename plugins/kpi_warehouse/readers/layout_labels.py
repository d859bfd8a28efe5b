"""Labels of rows and headings → codes of the contract, by code, label or synonym, compared by `search_key`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from kpi_warehouse.contract_layout import MEASURE_COLUMN, CodedColumn, ColumnSpec
from kpi_warehouse.japanese.areas import Areas
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_headers import JOIN, period_part

_HINTS = 200
# In a synonym the year stands for any year: an event of every year carries its own (くまもと移住FES 2024).
_YEAR = re.compile(r"20\d\d年?|(?:令和|(?<![a-z])r)(?:\d{1,2}|元)年?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a row: its folded text, whether it stands in the row itself, and the cell it comes from."""

    text: str
    own: bool
    cell: Cell


class CodeList:
    """The closed list of one column; a column without codes takes every text as it stands."""

    def __init__(self, column: CodedColumn | None) -> None:
        self._codes: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        # Synonyms with a year, whatever the year; None where two codes share one.
        self._of_any_year: dict[str, str | None] = {}
        self._known: dict[str, str | None] = {}
        self._asked = 0
        self.open = column is None or not column.codes
        self._areas = column.areas if column is not None else None
        if column is None or self._areas is not None:
            return
        for code, label in column.codes.items():
            for text in (code, label, *column.synonyms.get(code, ())):
                self._codes.setdefault(search_key(text), code)
                self._labels.setdefault(search_key(text), text)
            for text in column.synonyms.get(code, ()):
                key, years = _YEAR.subn("年", search_key(text))
                if years:
                    self._of_any_year[key] = code if self._of_any_year.get(key, code) == code else None

    def code_and_signs(self, text: str) -> tuple[str | None, tuple[str, ...]]:
        """Code of a label, and the signs behind it that are no part of its name (`相談②` may be a name of its own)."""
        code = self.code(text) if not self.open else None
        if code is not None:
            return code, ()
        bare, signs = take_references(text)
        return self.code(bare), signs

    def code(self, text: str) -> str | None:
        """Code of a label; None for one the contract does not have."""
        if text in self._known:
            return self._known[text]
        if self._areas is not None:
            found = self._area(self._areas, text)
        else:
            found = fold(text) if self.open else self._listed(search_key(text))
        self._known[text] = found
        return found

    def _listed(self, key: str) -> str | None:
        if (found := self._codes.get(key)) is not None or not self._of_any_year:
            return found
        return self._of_any_year.get(_YEAR.sub("年", key))

    @staticmethod
    def _area(listed: Areas, text: str) -> str | None:
        try:
            return listed.code(text)
        except Unreadable:
            return None

    def code_with_unit(self, text: str, unit: str | None) -> str | None:
        """Code of `空家バンク／人` before that of `空家バンク`: one row label may stand for a measure of each unit."""
        if unit and (found := self.code(f"{text}{JOIN}{unit}")) is not None:
            return found
        return self.code(text)

    def has_units_of(self, text: str) -> bool:
        """Whether a label stands for measures told apart by their unit (`空家バンク／人`)."""
        begins = search_key(f"{text}{JOIN}")
        return any(key.startswith(begins) for key in self._codes)

    def expected_ja(self, text: str) -> str:
        """What was expected, with the nearest labels there are."""
        if self._areas is not None:
            try:
                self._areas.code(text)
            except Unreadable as refused:
                return refused.expected_ja
        self._asked += 1
        # Comparing is slow: a column full of unknown names needs no hint for each of them.
        near = (
            get_close_matches(search_key(text), list(self._labels), 3, 0.4) if self._asked <= _HINTS else []
        )
        if near:
            return f"様式にある項目（近いもの：{'、'.join(self._labels[each] for each in near)}）"
        return f"様式にある項目（{'、'.join(list(self._labels.values())[:10])}）"


class CodeLists:
    """The closed lists of a contract's columns."""

    def __init__(self, columns: Iterable[CodedColumn]) -> None:
        self._lists = {column.name: CodeList(column) for column in columns}

    def of(self, column: str) -> CodeList:
        """The closed list of a column; a column the contract does not have takes every text."""
        known = self._lists.get(column)
        if known is None:
            known = self._lists[column] = CodeList(None)
        return known

    def recognise(self, spec: ColumnSpec, text: str) -> bool:
        """Whether a text is a label of the column that a spec stands for, or reads as its period."""
        if spec.kind == "period":
            return period_part(fold(text), "calendar", None) is not None
        codes = self.of(spec.column or MEASURE_COLUMN)
        return not codes.open and codes.code(text) is not None


class Words:
    """A short list of words that a label may equal (計, 合計) or, for subsets, begin with (うち…)."""

    def __init__(self, words: Iterable[str]) -> None:
        self._keys = tuple(search_key(word) for word in words)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def equals(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = search_key(text) in self._keys
        return known

    def begins(self, text: str) -> bool:
        return search_key(text).lstrip("(・").startswith(self._keys) if self._keys else False
