"""Numbers as divisions write them: widths, ▲, brackets, 億 and 万, counters, and the words that qualify them.

Only a comma separates thousands, and only at every third digit. A blank, a line break or any other sign inside a number
makes two numbers of it, and nothing is read past a character that marks (①, ², ½).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import Unreadable, fold

EXPECTED = "数（例：1,234、▲56、約200人、28.5億円）"
SCALES = {
    "千": Decimal(1000),
    "百万": Decimal(10) ** 6,
    "万": Decimal(10) ** 4,
    "億": Decimal(10) ** 8,
    "兆": Decimal(10) ** 12,
}
_BEFORE = "約|およそ|概ね|おおむね|延べ|のべ|平均|多い月で|多い月|最大|計|合計"
_AFTER = "以上|以下|未満|程度|前後|超|余り|余|弱|強|予定|見込み|見込|延べ|のべ|速報|概数|支援中|実施中"
# Characters that mark are no part of a unit; neither are invisible ones.
_MARKS = "①-⓿❶-➓⑴-⒵⁰-₎²³¹¼-¾⅐-\u218b㈠-㈩\u00ad\u200b-\u200f\u2060\ufeff\x00-\x1f"
_BRACKETS = {
    "(": ")",
    "[": "]",
    "〔": "〕",
    "【": "】",
    "{": "}",
    "<": ">",
    "〈": "〉",
    "《": "》",
    "「": "」",
}
_QUANTITY = re.compile(
    rf"\s*(?P<before>(?:(?:{_BEFORE})\s*)*)"
    rf"(?P<open>[{''.join(map(re.escape, _BRACKETS))}])?(?P<sign>[-+▲△])?\s*"
    r"(?P<digits>(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)(?![0-9])"
    r"(?:\s*/\s*(?P<divisor>[0-9]+)(?![0-9年月日]))?\s*"
    rf"(?P<unit>(?:(?!{_AFTER}|を)[^\d\s()\[\]{{}}<>〔〕【】〈〉《》「」+▲△.,/※*{_MARKS}-])*(?:(?<=m)[23](?![0-9]))?(?:\s*/\s*[0-9]*[^\d\s()\[\]{{}}<>〔〕【】〈〉《》「」{_MARKS}]+)?)"
    rf"(?P<close>[{''.join(map(re.escape, _BRACKETS.values()))}])?"
    rf"(?P<after>(?:\s*を?\s*\(?(?:{_AFTER})\)?)*)\s*"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit as written (`億円` stays `億円`), the words that qualify it, and the text it was read from.

    `bracketed`: it stands in brackets, which are read as a minus here; who knows the table may know better.
    `divided`: it is written as a fraction (10/12), which may as well be a day.
    """

    value: Decimal
    unit: str | None
    qualifier: str | None
    text: str
    bracketed: bool = False
    divided: bool = False

    @property
    def scaled(self) -> tuple[Decimal, str | None]:
        """The value in the base unit, and that unit: 28.5億円 is 2,850,000,000 円."""
        for scale in sorted(SCALES, key=len, reverse=True):
            if self.unit and self.unit.startswith(scale):
                return self.value * SCALES[scale], self.unit[len(scale) :] or None
        return self.value, self.unit


def read_number(text: str) -> Quantity:
    """Read one number.

    Raises:
        Unreadable: no number, or more than one.
    """
    found = read_numbers(text)
    if len(found) > 1:
        raise Unreadable(text, text.find(found[1].text[:1]), "ひとつの数")
    return found[0]


def read_numbers(text: str) -> list[Quantity]:
    """Read every number of a text that holds nothing else: `264組427名` is two.

    Raises:
        Unreadable: empty, or something in it is no number.
    """
    folded, found, at = fold(text), [], 0
    while at < len(folded):
        match = _QUANTITY.match(folded, at)
        if match is None or not match[0].strip() or _BRACKETS.get(match["open"] or "") != match["close"]:
            raise Unreadable(text, _place(text, folded, at), EXPECTED)
        found.append(_quantity(text, folded, match))
        at = match.end()
    if not found:
        raise Unreadable(text, 0, EXPECTED)
    if len(found) > 1 and not all(quantity.unit for quantity in found):
        raise Unreadable(text, len(text) - 1, "数ごとの単位（例：264組427名）")
    return found


def _quantity(text: str, folded: str, match: re.Match[str]) -> Quantity:
    value = Decimal(match["digits"].replace(",", ""))
    if match["divisor"] is not None:
        if int(match["divisor"]) == 0:
            raise Unreadable(text, _place(text, folded, match.start("divisor")), "0 でない分母")
        value /= int(match["divisor"])
    brackets = match["open"] is not None
    if brackets and match["sign"]:
        raise Unreadable(text, _place(text, folded, match.start("sign")), "負号か括弧のどちらか一方")
    if brackets or (match["sign"] or "+") != "+":
        value = -value
    words = re.findall(rf"{_BEFORE}|{_AFTER}", f"{match['before']} {match['after']}")
    unit = canonical_unit(match["unit"]) or None
    text = match[0].strip()
    return Quantity(value, unit, "・".join(words) or None, text, brackets, match["divisor"] is not None)


def _place(text: str, folded: str, at: int) -> int:
    """Where the character of the folded text stands in the text itself; folding hardly moves anything."""
    if len(text) == len(folded):
        return at
    return max(0, min(len(text) - 1, text.find(text.strip()[:1]) + at if text.strip() else 0))
