"""The code of a number format taken apart: `#,##0.0,"千人";[Red]"▲"0` → sections with what each does to a number.

The codes are those of ECMA-376 (18.8.31) with what Japanese Excel adds to them: eras (g, e, r), weekdays (aaa), `G/標準`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

# Excel takes 255 characters; a longer code is nobody's format and is not looked into.
LONGEST = 1000
_TOKEN = re.compile(
    r"""
      "(?P<quoted>[^"]*)"?
    | \\(?P<escaped>.)
    | _(?P<pad>.)
    | \*(?P<fill>.)
    | \[(?P<bracket>[^\]]*)\]
    | (?P<general>General|G/標準)
    | (?P<half>AM/PM|A/P|午前/午後)
    | (?P<exponent>E[+-])
    | (?P<digit>[0#?])
    | (?P<date>y+|m+|d+|h+|s+|g+|e+|a{3,4}|r+)
    | (?P<at>@)
    | (?P<end>;)
    | (?P<other>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(<>|<=|>=|=|<|>)\s*(-?\d{1,30}(?:\.\d{1,30})?)")
_ELAPSED = re.compile(r"[hms]+", re.IGNORECASE)
_COLOUR = re.compile(
    r"black|white|red|green|blue|yellow|magenta|cyan|黒|白|赤|緑|青|黄|紫|水|(?:color|色)\s*\d+",
    re.IGNORECASE,
)

TokenKind = Literal[
    "literal", "blank", "digit", "point", "comma", "percent", "exponent", "date", "half", "elapsed", "at", "general", "slash",
]  # fmt: skip
_OWN: dict[str, TokenKind] = {
    "general": "general", "half": "half", "exponent": "exponent", "digit": "digit", "date": "date", "at": "at",
}  # fmt: skip
_SIGNS: dict[str, TokenKind] = {".": "point", ",": "comma", "%": "percent", "/": "slash"}
Kind = Literal["number", "general", "date", "text", "words"]


@dataclass(frozen=True, slots=True)
class Token:
    """One piece: `literal` is shown as it stands, `blank` as white space, the others say how digits or a date are shown."""

    kind: TokenKind
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """One of the up to four parts between semicolons.

    Args:
        tokens: its pieces in order, without commas that group or scale.
        kind: `words` shows no digit and no text of the cell, be it some words or nothing.
        condition: operator and limit, where the section has one of its own.
        colour: of its own, in lower case.
        percent: how often the number is taken by 100.
        thousands: how often it is divided by 1000.
        grouped: commas between thousands.
        decimals: places behind the point.
        whole: the least number of digits before it.
    """

    tokens: tuple[Token, ...]
    kind: Kind
    condition: tuple[str, Decimal] | None
    colour: str | None
    percent: int = 0
    thousands: int = 0
    grouped: bool = False
    decimals: int = 0
    whole: int = 0

    @property
    def words(self) -> str:
        """What it shows around digits, joined."""
        return "".join(token.text for token in self.tokens if token.kind == "literal")

    @property
    def exponent(self) -> bool:
        return any(token.kind == "exponent" for token in self.tokens)

    @property
    def fraction(self) -> bool:
        return self.kind == "number" and any(token.kind == "slash" for token in self.tokens)


def sections_of(code: str) -> tuple[Section, ...]:
    """The sections of a format code, at least one; what is no code at all counts as text to be shown."""
    parts: list[list[Token]] = [[]]
    conditions: list[tuple[str, Decimal] | None] = [None]
    colours: list[str | None] = [None]
    for match in _TOKEN.finditer(code[:LONGEST]):
        kind = match.lastgroup or ""
        text = match[kind]
        if kind == "end":
            parts.append([])
            conditions.append(None)
            colours.append(None)
        elif kind == "bracket":
            condition = _CONDITION.fullmatch(text.strip())
            if condition:
                conditions[-1] = (condition[1], Decimal(condition[2]))
            elif text.startswith("$"):
                symbol = text[1:].partition("-")[0]
                if symbol:
                    parts[-1].append(Token("literal", symbol))
            elif _ELAPSED.fullmatch(text):
                parts[-1].append(Token("elapsed", text.lower()))
            elif _COLOUR.fullmatch(text.strip()):
                colours[-1] = text.strip().casefold()
        else:
            parts[-1].append(_token(kind, text))
    return tuple(
        _section(tokens, condition, colour)
        for tokens, condition, colour in zip(parts, conditions, colours, strict=True)
    )


def _token(kind: str, text: str) -> Token:
    match kind:
        case "quoted" | "escaped":
            return Token("literal", text)
        case "pad":
            return Token("blank", " ")
        case "fill":
            return Token("blank", "")
        case "other":
            return Token(_SIGNS.get(text, "literal"), text)
    return Token(_OWN[kind], text.lower() if kind == "date" else text)


def _section(tokens: list[Token], condition: tuple[str, Decimal] | None, colour: str | None) -> Section:
    kinds = {token.kind for token in tokens}
    if kinds & {"date", "elapsed"} and not _digits_of_a_number(tokens):
        return Section(tuple(_literal(tokens, "percent")), "date", condition, colour)
    tokens = _literal(tokens, "date")
    if "digit" in kinds:
        return _number(tokens, condition, colour)
    tokens = _literal(tokens, "point", "comma", "slash", "exponent", "half", "elapsed")
    percent = sum(token.kind == "percent" for token in tokens)
    kind: Kind = "text" if "at" in kinds else "general" if "general" in kinds else "words"
    return Section(tuple(tokens), kind, condition, colour, percent=percent if kind == "general" else 0)


def _literal(tokens: list[Token], *kinds: str) -> list[Token]:
    """The tokens, those of some kinds as text."""
    return [Token("literal", token.text) if token.kind in kinds else token for token in tokens]


def _digits_of_a_number(tokens: list[Token]) -> bool:
    """Digits other than the fractions of a second in `ss.00`."""
    rest = [token for token in tokens if token.kind not in ("literal", "blank")]
    for at, token in enumerate(rest):
        if token.kind != "digit":
            continue
        back = at
        while back and rest[back - 1].kind == "digit":
            back -= 1
        seconds = back >= 2 and rest[back - 1].kind == "point" and rest[back - 2].text.startswith("s")
        if not seconds:
            return True
    return False


def _number(tokens: list[Token], condition: tuple[str, Decimal] | None, colour: str | None) -> Section:
    digits = [at for at, token in enumerate(tokens) if token.kind == "digit"]
    first, last = digits[0], digits[-1]
    points = [at for at, token in enumerate(tokens) if token.kind == "point"]
    point = points[0] if points else len(tokens)
    powers = [at for at, token in enumerate(tokens) if token.kind == "exponent"]
    power = powers[0] if powers else len(tokens)
    before = [at for at in digits if at < min(point, power)]
    last_whole = before[-1] if before else first
    made: list[Token] = []
    thousands, grouped = 0, False
    for at, token in enumerate(tokens):
        if token.kind == "comma":
            if first < at < last_whole:
                grouped = True
            elif _only_commas(tokens, last if at > point else last_whole, at):
                thousands += 1
            else:
                made.append(Token("literal", ","))
        elif (token.kind == "point" and at != point) or token.kind in ("at", "general", "half", "elapsed"):
            made.append(Token("literal", token.text))
        else:
            made.append(token)
    return Section(
        tuple(made),
        "number",
        condition,
        colour,
        percent=sum(token.kind == "percent" for token in made),
        thousands=thousands,
        grouped=grouped,
        decimals=sum(point < at < power for at in digits),
        whole=sum(tokens[at].text == "0" for at in before),
    )


def _only_commas(tokens: list[Token], start: int, end: int) -> bool:
    return all(token.kind == "comma" for token in tokens[start + 1 : end])
