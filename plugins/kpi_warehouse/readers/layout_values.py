"""What a value cell says: numbers with unit and qualifier, or a mark, and the footnotes it points to. Only here.

What counts is what a person sees: the text of the cell as it is shown. Order, since folding would destroy marks: the
dictionary of marks on the raw text, then footnote signs off, then numbers. A number that its format shows as something else
is read as it is shown, and keeps the digits that the format leaves away. Each distinct text is read once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from kpi_warehouse.contract_layout import Brackets, CodedColumn
from kpi_warehouse.japanese.numbers import Quantity, read_numbers
from kpi_warehouse.japanese.signs import raised_signs, take_references
from kpi_warehouse.japanese.statuses import status_word
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.readers.grid import Cell, Seen, Value

ERROR_VALUE = re.compile(r"#(REF!|DIV/0!|N/A|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!|GETTING_DATA)")
PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
# What a number in brackets is, by the contract's word: how it is qualified.
_BRACKETS: dict[Brackets, str] = {"subset": "内数", "repeated": "再掲", "planned": "予定"}
# No number is longer, and a parser is not to be kept busy with a page of text.
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Content:
    """What one cell says: quantities, or a mark, or why it cannot be read.

    `text` is what stands there, where it says more than the number's digits. `code` and `expected_ja` are given where it
    cannot be read; `blank` where there is nothing.
    """

    quantities: tuple[Quantity, ...] = ()
    mark: str | None = None
    status: str | None = None
    references: tuple[str, ...] = ()
    text: str | None = None
    code: str = ""
    expected_ja: str = ""
    blank: bool = False


_BLANK = Content(blank=True)
_NEVER_CALCULATED = Content(
    code="formula_without_value",
    expected_ja="計算済みの値（表計算ソフトで開いて保存し直すと、計算結果が残ります）",
)


def _settled(quantity: Quantity) -> Quantity:
    """`123p` is a provisional 123, `123r` a revised one: the letter is a status, no unit."""
    word = {"p": "速報", "r": "訂正"}.get((quantity.unit or "").casefold())
    if word is None or " " in quantity.text:
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
        self._texts: dict[tuple[str, Brackets | None], Content] = {}
        listed = "、".join(f"「{mark}」" for mark in self.marks)
        self.expected_ja = "数値" + (f"、または様式にある記号（{listed}）" if listed else "")

    def read(self, cell: Cell, brackets: Brackets | None = None) -> Content:
        """What a cell says. Never raises.

        Args:
            cell: the cell.
            brackets: what the contract says that a number in brackets is.
        """
        value, seen = cell.value, cell.seen
        if seen is not None and seen.doubt is not None:
            return Content(code="doubtful", expected_ja=f"{self.expected_ja}。{seen.doubt}")
        if value is None:
            return _BLANK if cell.formula is None else _NEVER_CALCULATED
        if type(value) is not str:
            return self._native(cell, value, brackets)
        if seen is None:
            return self._read(cell.text, brackets)
        negative = seen.exact is not None and seen.exact < 0
        return _as_seen(self._read(cell.text, "minus" if negative else brackets), seen, cell.text.strip())

    def _native(self, cell: Cell, value: Value, brackets: Brackets | None) -> Content:
        """A number that is a number in the file, and shown in digits."""
        stored = plain(value, cell.text)
        if stored is None:
            date_typed = "（日付になっています。「1/2」のような入力が日付に変わった可能性があります）"
            hint = date_typed if isinstance(value, date) else ""
            return Content(code="not_a_number", expected_ja=f"{self.expected_ja}{hint}")
        text = cell.text.strip()
        if text in self.marks:  # some systems write 0 for a suppressed value
            return self._read(text, brackets)
        shown = None if _ANY_DIGITS.fullmatch(text) and Decimal(text) == stored else text
        return Content((Quantity(stored, None, None, text),), text=shown)

    def _read(self, text: str, brackets: Brackets | None) -> Content:
        known = self._texts.get((text, brackets))
        if known is None:
            known = self._texts[text, brackets] = self._text(text, brackets)
        return known

    def _text(self, raw: str, brackets: Brackets | None) -> Content:
        text = raw.strip()
        if not text:
            return _BLANK
        rest, references = take_references(fold(text))
        # ※1 alone is the mark ※ that points to its own footnote.
        for mark in (text, take_references(text)[0] or text[:1]):
            if mark in self.marks:
                said = self.mark_status.get(mark)
                return Content((), mark, said, references, text)
        if ERROR_VALUE.fullmatch(text):
            return Content(code="error_value", expected_ja="数値（数式がエラーになっています）")
        if PLAIN.fullmatch(text):
            return Content((Quantity(Decimal(text), None, None, text),))
        if len(text) > _LONGEST:
            return Content(code="unreadable_number", expected_ja=self.expected_ja)
        return self._numbers(text, rest, references, brackets)

    def _numbers(
        self, text: str, rest: str, references: tuple[str, ...], brackets: Brackets | None
    ) -> Content:
        try:
            quantities = list(map(_settled, read_numbers(rest)))
        except Unreadable as error:
            told = f"{self.expected_ja}。{error.expected_ja}" if error.expected_ja else self.expected_ja
            return Content(code="unreadable_number", expected_ja=told)
        if any(quantity.divided for quantity in quantities):
            expected = f"{self.expected_ja}（「{text}」は分数か日付か決められません）"
            return Content(code="fraction", expected_ja=expected)
        for at, quantity in enumerate(quantities):
            if not quantity.bracketed:
                continue
            if at:  # ２９８社（３２１ブース）: behind another number brackets mean "beside", not a minus.
                quantities[at] = replace(quantity, value=abs(quantity.value))
            elif brackets is None:
                return Content(code="brackets", expected_ja=_brackets_ja(quantity))
            elif brackets != "minus":
                words = [each for each in (quantity.qualifier, _BRACKETS[brackets]) if each]
                quantities[at] = replace(quantity, value=abs(quantity.value), qualifier="・".join(words))
        status = next((found for each in quantities if (found := status_word(each.qualifier))), None)
        return Content(tuple(quantities), None, status, references, text)


_ANY_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _as_seen(content: Content, seen: Seen, text: str) -> Content:
    """A number as its format shows it, with the digits that the format leaves away; raised parts point to footnotes."""
    if content.code == "unreadable_number" and seen.stored == 0 and fold(text) in ("-", "―"):
        # The accounting format shows a 0 as a dash; where the contract knows no such mark it is the 0 it is.
        return Content((Quantity(Decimal(0), None, None, text),), text=text)
    if content.code or content.blank:
        return content
    references = (*content.references, *(sign for part in seen.raised for sign in raised_signs(part)))
    if seen.exact is None or len(content.quantities) != 1:
        return replace(content, references=references)
    quantity = content.quantities[0]
    exact = Decimal(seen.exact) if quantity.value * seen.exact >= 0 else -Decimal(seen.exact)
    return replace(content, quantities=(replace(quantity, value=trimmed(exact)),), references=references)


def trimmed(number: Decimal) -> Decimal:
    """A number without zeros behind its last digit, and never with an exponent that hides digits."""
    whole = number.to_integral_value()
    return whole if whole == number else number.normalize()


def _brackets_ja(quantity: Quantity) -> str:
    number = format(abs(quantity.value), "f")
    return (
        f"括弧の意味の分かる値。「{quantity.text}」は、負の値（▲{number}）、内数・再掲（{number}）、予定（{number}）のどれとも読めます。"
        "契約の列か表に brackets: minus / subset / repeated / planned のどれかを書いてください"
    )


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
