"""What stands in a value cell: numbers with unit and qualifier, or a mark, and the footnotes it points to.

Order, since folding would destroy marks: the dictionary of marks on the raw text, then footnote signs off, then numbers.
Each distinct text is read once; a number that is a number in the file is not parsed at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from kpi_warehouse.contract_layout import CodedColumn
from kpi_warehouse.japanese.numbers import Quantity, read_numbers
from kpi_warehouse.japanese.widths import Unreadable
from kpi_warehouse.readers.grid import Cell, Value
from kpi_warehouse.readers.layout_headers import take_references

ERROR_VALUE = re.compile(r"#(REF!|DIV/0!|N/A|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!|GETTING_DATA)")
PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
# No number is longer, and a parser is not to be kept busy with a page of text.
_LONGEST = 200
# Words beside a number that say how final it is; the longer are looked for first.
_STATUS_WORDS = (
    ("予定", "planned"),
    ("計画", "planned"),
    ("見込", "planned"),
    ("支援中", "partial"),
    ("途中", "partial"),
    ("末現在", "partial"),
    ("速報", "provisional"),
    ("暫定", "provisional"),
    ("訂正", "revised"),
    ("目標", "target"),
)


@dataclass(frozen=True, slots=True)
class Content:
    """What one cell says: quantities, or a mark, or why it cannot be read.

    `code` and `expected_ja` are given where it cannot; `blank` where there is nothing.
    """

    quantities: tuple[Quantity, ...] = ()
    mark: str | None = None
    status: str | None = None
    references: tuple[str, ...] = ()
    code: str = ""
    expected_ja: str = ""
    blank: bool = False


_BLANK = Content(blank=True)
_NEVER_CALCULATED = Content(
    code="formula_without_value",
    expected_ja="計算済みの値（表計算ソフトで開いて保存し直すと、計算結果が残ります）",
)


def status_word(text: str | None) -> str | None:
    """value_status that a qualifier or a note beside a number means; None where it says nothing of it."""
    if not text:
        return None
    return next((status for word, status in _STATUS_WORDS if word in text), None)


def _settled(quantity: Quantity) -> Quantity:
    """`123p` is a provisional 123, `123r` a revised one: the letter is a status, no unit."""
    word = {"p": "速報", "r": "訂正"}.get((quantity.unit or "").casefold())
    if word is None:
        return quantity
    words = f"{quantity.qualifier}・{word}" if quantity.qualifier else word
    return replace(quantity, unit=None, qualifier=words)


class ValueReader:
    """Reads value cells under the marks of one contract.

    Args:
        value: the value column of the contract: its marks and their statuses.
    """

    def __init__(self, value: CodedColumn | None) -> None:
        self.marks = dict(value.marks) if value else {}
        self.mark_status = dict(value.mark_status) if value else {}
        self._texts: dict[str, Content] = {}
        listed = "、".join(f"「{mark}」" for mark in self.marks)
        self.expected_ja = "数値" + (f"、または様式にある記号（{listed}）" if listed else "")

    def read(self, cell: Cell) -> Content:
        """What a cell says. Never raises."""
        value = cell.value
        if type(value) is str:
            content = self._texts.get(value)
            if content is None:
                content = self._texts[value] = self._text(value)
            return content
        return self._native(cell, value)

    def _native(self, cell: Cell, value: Value) -> Content:
        if value is None:
            return _BLANK if cell.formula is None else _NEVER_CALCULATED
        text = cell.text.strip()
        if text in self.marks:  # some systems write 0 for a suppressed value
            return self._mark(text, ())
        number = plain(value, cell.text)
        if number is not None:
            return Content((Quantity(number, None, None, text),))
        date_typed = "（日付になっています。「1/2」のような入力が日付に変わった可能性があります）"
        hint = date_typed if isinstance(value, date) else ""
        return Content(code="not_a_number", expected_ja=f"{self.expected_ja}{hint}")

    def _text(self, raw: str) -> Content:
        text = raw.strip()
        if not text:
            return _BLANK
        rest, references = take_references(text)
        # ※1 alone is the mark ※ that points to its own footnote.
        for mark in (text, rest or text[:1]):
            if mark in self.marks:
                return self._mark(mark, references)
        if ERROR_VALUE.fullmatch(text):
            return Content(code="error_value", expected_ja="数値（数式がエラーになっています）")
        if PLAIN.fullmatch(text):
            return Content((Quantity(Decimal(text), None, None, text),))
        return self._numbers(rest, references)

    def _numbers(self, text: str, references: tuple[str, ...]) -> Content:
        if len(text) > _LONGEST:
            return Content(code="unreadable_number", expected_ja=self.expected_ja)
        try:
            quantities = tuple(map(_settled, read_numbers(text)))
        except Unreadable as error:
            told = f"{self.expected_ja}。{error.expected_ja}" if error.expected_ja else self.expected_ja
            return Content(code="unreadable_number", expected_ja=told)
        # ２９８社（３２１ブース）: behind another number brackets mean "beside", not a minus.
        quantities = (
            *quantities[:1],
            *(
                replace(each, value=abs(each.value)) if each.text.startswith("(") else each
                for each in quantities[1:]
            ),
        )
        status = next((found for each in quantities if (found := status_word(each.qualifier))), None)
        return Content(quantities, None, status, references)

    def _mark(self, mark: str, references: tuple[str, ...]) -> Content:
        return Content((), mark, self.mark_status.get(mark), references)


def plain(value: Value, text: str) -> Decimal | None:
    """A native number as Decimal without the noise of binary fractions; None for anything that is no finite number."""
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, float):
        try:
            number = Decimal(text)
        except ArithmeticError:
            number = Decimal(repr(value))
    else:
        return None
    return number if number.is_finite() else None
