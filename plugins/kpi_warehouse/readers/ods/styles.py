"""Styles of an OpenDocument spreadsheet → number formats and fonts as Excel writes them.

A data style is a list of parts (digits, words, day, month …). It becomes the code that Excel has for the same display, so that what a
format means is judged in one place (`shown/number_format.py`).

Source: OpenDocument 1.3, 16.29 Data Styles, 20.344 style:condition, 20.371 style:text-line-through-style, 20.384 style:text-position.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kpi_warehouse.readers.shown.cell_style import CellStyle
from kpi_warehouse.readers.shown.number_format import number_format
from kpi_warehouse.readers.shown.text_runs import Level

_DATA_STYLES = {
    "number-style",
    "percentage-style",
    "currency-style",
    "date-style",
    "time-style",
    "text-style",
    "boolean-style",
}
_DIGITS = ("number", "scientific-number")
_COLOUR = re.compile(r"#([0-9A-Fa-f]{6})")
_WORDS = ("text", "currency-symbol", "embedded-text")
_CONDITION = re.compile(r"value\(\)\s*(<=|>=|<>|!=|=|<|>)\s*(-?[0-9.]+)")
# A style that inherits from itself, over however many others.
_DEEPEST = 20
_MOST_DIGITS = 30
# The third of three conditions takes what the first two leave, as the third section of Excel's codes does.
_CONDITIONS = 2
_DATE_PARTS = {
    "day": ("d", "dd"),
    "year": ("yy", "yyyy"),
    "hours": ("h", "hh"),
    "minutes": ("m", "mm"),
    "seconds": ("s", "ss"),
    "day-of-week": ("aaa", "aaaa"),
    "era": ("g", "ggg"),
}


@dataclass
class _DataStyle:
    kind: str
    code: str = ""
    maps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Style:
    parent: str = ""
    data: str = ""
    struck: bool | None = None
    level: Level | None = None
    has_level: bool = False


class OdsStyles:
    """Collects styles from the events of a parser; `cell` and `font` answer when the styles are read."""

    def __init__(self) -> None:
        self._data: dict[str, _DataStyle] = {}
        self._styles: dict[str, _Style] = {}
        self._open_data: _DataStyle | None = None
        self._open_style: _Style | None = None
        self._words: list[str] | None = None
        self._number: dict[str, str] = {}  # what is said of the digits that are open
        self._among: list[tuple[int, str]] = []  # words among them: digits to their right, words
        self._place = 0
        self._made: dict[str, CellStyle] = {}

    def start(self, tag: str, said: dict[str, str]) -> None:
        """An element begins; `tag` and the keys of `said` are without their namespace."""
        if tag in _DATA_STYLES:
            self._open_data = self._data[said.get("name", "")] = _DataStyle(tag)
        elif tag in ("style", "default-style"):
            self._open_style = self._styles[said.get("name", "")] = _Style(
                said.get("parent-style-name", ""), said.get("data-style-name", "")
            )
        elif tag == "text-properties" and self._open_style is not None and self._open_data is None:
            self._font(self._open_style, said)
        elif self._open_data is not None:
            self._part(self._open_data, tag, said)

    def end(self, tag: str) -> None:
        """An element ends."""
        if tag in _DATA_STYLES:
            self._open_data = None
        elif tag in ("style", "default-style"):
            self._open_style = None
        elif self._open_data is not None and tag in _DIGITS:
            self._open_data.code += _digits(self._number, self._among) + ("E+00" if tag != "number" else "")
        elif tag in _WORDS and self._open_data is not None and self._words is not None:
            words, self._words = "".join(self._words), None
            if tag == "embedded-text":
                self._among.append((self._place, words))
            else:
                self._open_data.code += _literal(words, self._open_data.kind)

    def characters(self, text: str) -> None:
        """Letters of the element that is open."""
        if self._words is not None:
            self._words.append(text)

    def _font(self, style: _Style, said: dict[str, str]) -> None:
        through = said.get("text-line-through-style") or said.get("text-line-through-type")
        if through is not None:
            style.struck = through != "none"
        position = said.get("text-position", "").split()
        if position:
            style.has_level, first = True, position[0]
            if first == "super" or (first.endswith("%") and not first.startswith(("-", "0%"))):
                style.level = "raised"
            elif first == "sub" or first.startswith("-"):
                style.level = "lowered"

    def _part(self, style: _DataStyle, tag: str, said: dict[str, str]) -> None:
        long = said.get("style") == "long"
        if tag in _WORDS:
            self._words, self._place = [], _count(said.get("position"), 0)
        elif tag in _DIGITS:
            self._number, self._among = said, []
        elif tag == "text-properties" and (colour := _COLOUR.fullmatch(said.get("color", ""))):
            style.code += f"[Color {int(colour[1], 16)}]"  # red digits may be the minus
        elif tag == "fraction":
            below = "?" * max(_count(said.get("min-denominator-digits"), 1, 7), 1)
            style.code += f"# ?/{said.get('denominator-value') or below}"
        elif tag == "boolean":
            style.code = '"TRUE";"TRUE";"FALSE"'
        elif tag == "text-content":
            style.code += "@"
        elif tag == "am-pm":
            style.code += "AM/PM"
        elif tag == "month":
            style.code += (
                ("mmmm" if long else "mmm") if said.get("textual") == "true" else "mm" if long else "m"
            )
        elif tag == "year" and said.get("calendar") == "gengou":
            style.code += "ee" if long else "e"
        elif tag in _DATE_PARTS:
            style.code += _DATE_PARTS[tag][long]
        elif tag == "map" and (match := _CONDITION.search(said.get("condition", ""))):
            sign = "<>" if match[1] == "!=" else match[1]
            style.maps.append((f"[{sign}{match[2]}]", said.get("apply-style-name", "")))

    def cell(self, name: str, value_type: str = "") -> CellStyle | None:
        """The style of a cell; None where it says nothing.

        Args:
            value_type: office:value-type of the cell; a percentage is one without a style too.
        """
        key = f"{name}\n{value_type == 'percentage'}"
        if key not in self._made:
            self._made[key] = self._cell(name, value_type)
        made = self._made[key]
        return None if made.is_plain else made

    def _cell(self, name: str, value_type: str) -> CellStyle:
        struck, level = self.font(name)
        code = self._code(next((style.data for style in self._chain(name) if style.data), ""))
        if not code and value_type == "percentage":
            code = "0.00%"
        plain = code.strip().casefold() in ("", "general", "@")
        return CellStyle(None if plain else number_format(code), bool(struck), level is not None)

    def font(self, name: str) -> tuple[bool | None, Level | None]:
        """Whether a style strikes out what stands there (None: it does not say), and whether it raises or lowers it."""
        chain = self._chain(name)
        struck = next((style.struck for style in chain if style.struck is not None), None)
        level = next((style.level for style in chain if style.has_level), None)
        return struck, level

    def _chain(self, name: str) -> list[_Style]:
        chain: list[_Style] = []
        while name in self._styles and len(chain) < _DEEPEST:
            chain.append(self._styles[name])
            name = chain[-1].parent
        return chain

    def _code(self, name: str) -> str:
        style = self._data.get(name)
        if style is None:
            return ""
        sections = [
            f"{condition if at < _CONDITIONS else ''}{other.code}"
            for at, (condition, target) in enumerate(style.maps[:3])
            if (other := self._data.get(target)) is not None
        ]
        return ";".join([*sections, style.code])


def _digits(said: dict[str, str], among: list[tuple[int, str]]) -> str:
    """`number:number` as Excel writes it; `among` are words inside it and how many digits stand to their right."""
    whole = (
        "#,##0" if said.get("grouping") == "true" else "0" * _count(said.get("min-integer-digits"), 1) or "#"
    )
    for right, words in sorted(among):
        plain = whole.replace(",", "")
        count = sum(digit in "0#" for digit in re.sub('"[^"]*"', "", plain))
        whole = "#" * (right + 1 - count) + plain
        at, left = len(whole), right
        while left:
            at = whole.rindex('"', 0, at - 1) if whole[at - 1] == '"' else at - 1
            left -= whole[at] != '"'
        whole = f"{whole[:at]}{_literal(words, '')}{whole[at:]}"
    decimals = _count(said.get("decimal-places"), 0)
    least = min(_count(said.get("min-decimal-places"), decimals), decimals)
    factor, commas = _count(said.get("display-factor"), 1, 10**12), 0
    while factor >= 1000 and factor % 1000 == 0:
        factor, commas = factor // 1000, commas + 1
    fraction = "." + "0" * least + "#" * (decimals - least) if decimals else ""
    if not decimals and "decimal-places" not in said:
        return "General" if whole == "0" and not commas else whole + "," * commas
    return whole + fraction + "," * commas


def _count(text: str | None, default: int, most: int = _MOST_DIGITS) -> int:
    return min(int(text), most) if text and text.isdecimal() and len(text) < 14 else default


def _literal(text: str, kind: str) -> str:
    """Words of a data style, quoted; the sign of a percentage counts."""
    if kind == "percentage-style" and "%" in text:
        before, _, behind = text.partition("%")
        return f"{_literal(before, '')}%{_literal(behind, '')}"
    return f'"{text.replace(chr(34), "")}"' if text else ""
