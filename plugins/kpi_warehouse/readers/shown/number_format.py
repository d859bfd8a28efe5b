"""What a number format shows of a stored number, text or day, and whether that says more than the digits do.

Written here because the packages that render such formats give a text and nothing else; what is needed is how the text came
about: the number behind `91.3%` before it was rounded, a minus that a sign, brackets or a colour stands for, a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import IntEnum
from fractions import Fraction
from functools import cached_property, lru_cache

from kpi_warehouse.readers.grid import Number, text_of
from kpi_warehouse.readers.shown.format_code import LONGEST, Section, Token, sections_of
from kpi_warehouse.readers.shown.shown_day import shown_day

# A double has up to 309 digits before the point, a format up to 255 behind it.
_EXACT = Context(prec=700, rounding=ROUND_HALF_UP)
_MINUS = "-−‐‑–—－▲△"
_DASHES = "-−‐‑–—－―ー"
_FISCAL_YEAR = "年度"
_HIDDEN_MINUS = "負号の見える数（保存された値は {}、表示は「{}」で、表示形式が負号を見せていません）"
_NOTHING = "見える値（表示形式が、保存された値「{}」を見せていません）"
_TOO_LONG = "ふつうの表示形式の値（表示形式が長すぎて、何が見えるか分かりません）"


class Says(IntEnum):
    """What a format may do: nothing that matters, other digits or words for the same value, another value."""

    NO_MORE = 0
    TEXT = 1
    VALUE = 2


@dataclass(frozen=True, slots=True)
class Display:
    """What is shown.

    Args:
        text: as a person sees it, without white space around.
        typed: what it says beyond the stored value, as it would have been typed; None where it says the value itself.
        exact: the number shown before its digits were rounded; None where `typed` is, or no number is shown.
        doubt: as in `Seen`.
    """

    text: str
    typed: str | None = None
    exact: Number | None = None
    doubt: str | None = None


class NumberFormat:
    """A format code, ready to show values.

    Args:
        code: as the file has it, in English notation.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        self.sections = sections_of(code)

    @cached_property
    def says(self) -> Says:
        """The most it may do to a number."""
        if len(self.code) > LONGEST:
            return Says.VALUE
        numbers = self.sections[: 3 if len(self.sections) > 3 or not self._last_is_text else -1]
        said = [self._says(at, section) for at, section in enumerate(numbers or self.sections[:1])]
        text = self._text_section
        if text is not None and [token.kind for token in text.tokens if token.kind != "blank"] != ["at"]:
            said.append(Says.VALUE)
        return max(said)

    @cached_property
    def says_of_zero(self) -> Says:
        """The most it may do to a 0: the common format of accounts shows a dash."""
        if len(self.code) > LONGEST:
            return Says.VALUE
        at = self._chosen(0)
        if at is None:
            return Says.VALUE if self._numeric() else Says.NO_MORE
        section = self._numeric()[at]
        return Says.VALUE if section.kind == "words" else self._says(at, section)

    @property
    def is_date(self) -> bool:
        return self.sections[0].kind == "date"

    @property
    def is_length(self) -> bool:
        """It shows a length of time ([h]:mm)."""
        return any(token.kind == "elapsed" for token in self.sections[0].tokens)

    def _says(self, at: int, section: Section) -> Says:
        if section.kind == "date":
            return Says.VALUE if _FISCAL_YEAR in section.words else Says.TEXT
        if section.kind == "text":
            return Says.NO_MORE
        if section.kind == "words":
            dash = section.words.strip() and not section.words.strip().strip(_DASHES)
            return Says.TEXT if dash and at == 2 else Says.VALUE
        words = "".join(section.words.split())
        minus = self._only_negative(at)
        if minus and (
            words in tuple(_MINUS) or words in ("()", "（）") or (not words and self._coloured(at))
        ):
            words = ""
        elif minus:
            return Says.VALUE
        if words or section.percent or section.thousands or section.whole > 1:
            return Says.VALUE
        return Says.TEXT if section.exponent or section.fraction else Says.NO_MORE

    @property
    def _last_is_text(self) -> bool:
        return self.sections[-1].kind == "text"

    @property
    def _text_section(self) -> Section | None:
        if len(self.sections) > 3:
            return self.sections[3]
        return self.sections[-1] if self._last_is_text else None

    def _coloured(self, at: int) -> bool:
        """The colour of a section tells it from the first: red digits are a minus."""
        colour = self.sections[at].colour
        return colour is not None and colour != self.sections[0].colour

    # -- choosing a section

    def _numeric(self) -> tuple[Section, ...]:
        sections = self.sections[:3]
        if self._last_is_text and len(self.sections) <= 3:
            sections = sections[:-1]
        return sections

    def _chosen(self, value: Number) -> int | None:
        """Index of the section a number is shown by; None where only a text has one, and where no condition holds."""
        sections = self._numeric()
        if not sections:
            return None
        if any(section.condition for section in sections[:2]):
            return next((at for at in range(len(sections)) if self._takes(at, value)), None)
        if value < 0 and len(sections) > 1:
            return 1
        return 2 if value == 0 and len(sections) > 2 else 0

    def _takes(self, at: int, value: Number) -> bool:
        """Whether a section shows a number where one of the first two has a condition, the ones before it having refused."""
        sections = self._numeric()
        condition = sections[at].condition
        if condition:
            return _holds(condition, value)
        if at == len(sections) - 1:
            return True
        return value > 0 if at == 0 else value < 0

    def _only_negative(self, at: int) -> bool:
        """Whether a section shows negative numbers only, so that they stand there without their minus."""
        sections = self._numeric()
        condition = sections[at].condition
        if condition:
            operator, limit = condition
            return (operator == "<" and limit <= 0) or (operator == "<=" and limit < 0)
        if at != 1:
            return False
        first = sections[0].condition
        if first is None:
            return True
        operator, limit = first
        return (operator == ">=" and limit <= 0) or (operator == ">" and limit < 0)

    # -- showing

    def show(self, value: Number) -> Display:
        """A number, as a cell of this format shows it; a date format gives the plain digits (see `show_day`)."""
        plain = text_of(value)
        if len(self.code) > LONGEST:
            return Display(plain, doubt=_TOO_LONG)
        at = self._chosen(value)
        if at is None:
            return Display(plain) if not self._numeric() else Display("", doubt=_NOTHING.format(plain))
        section = self._numeric()[at]
        if section.kind in ("date", "text"):
            return Display(plain)
        if section.kind == "words":
            return self._words(section, value, plain)
        return self._digits(at, section, value, plain)

    def _words(self, section: Section, value: Number, plain: str) -> Display:
        text = _joined(section.tokens)
        if not text:
            return Display("", doubt=_NOTHING.format(plain))
        if value == 0 and not text.strip(_DASHES):
            return Display(text)  # 0 shown as a dash, which the common format of accounts does
        return Display(text, typed=text)

    def _digits(self, at: int, section: Section, value: Number, plain: str) -> Display:
        exact = _number(_scaled(section, Decimal(value)))
        negative = value < 0
        unsigned = negative and self._only_negative(at)
        before, digits, after, inner = _parts(section, abs(Decimal(exact)), abs(Decimal(value)))
        zero = not any(digit in "123456789" for digit in digits)
        lead = "-" if negative and not unsigned and not zero else ""
        text = f"{lead}{before}{digits}{after}".strip()
        words_before, words_after = "".join(before.split()), "".join(after.split())
        typed = None
        if unsigned:
            sign, words_before, words_after = _minus(words_before, words_after)
            if not sign and not self._coloured(at):
                return Display(text, doubt=_HIDDEN_MINUS.format(plain, text))
            typed = f"-{words_before}{digits.strip()}{words_after}"
        else:
            typed = f"{lead}{words_before}{digits.strip()}{words_after}"
            if not negative and words_before[:1] and words_before[0] in _MINUS:
                exact = -exact  # a sign that stands before every number is read as one
        more = words_before or words_after or inner or section.percent or section.thousands
        more = more or section.whole > max(len(text_of(abs(Decimal(exact))).partition(".")[0]), 1)
        if not more or section.fraction or section.exponent:
            return Display(text)
        if words_before[-1:].isdecimal() or words_after[:1].isdecimal():
            # "1"0 shows 112 for a 12: its own digits and those of the number cannot be told apart.
            return Display(text, typed=text)
        return Display(text, typed=typed, exact=None if inner else exact)

    def show_text(self, value: str) -> Display | None:
        """A text; None where it is shown as it is."""
        section = self._text_section
        if section is None or value == "":
            return None
        text = "".join(value if token.kind == "at" else token.text for token in section.tokens)
        if text.strip() == value.strip():
            return None
        if not text.strip():
            return Display("", doubt=_NOTHING.format(value[:40]))
        return Display(text.strip(), typed=text.strip())

    def show_day(self, value: date) -> Display:
        """A day (with its time of day, where it has one)."""
        section = next((each for each in self.sections if each.kind == "date"), None)
        if section is None:
            return Display(text_of(value))
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        text = shown_day(section.tokens, moment)
        if not text:
            return Display(text_of(value))
        return Display(text, typed=text if _FISCAL_YEAR in section.words else None)


@lru_cache(maxsize=4096)
def number_format(code: str) -> NumberFormat:
    """The format of a code; the cells of a book share a few."""
    return NumberFormat(code)


def _holds(condition: tuple[str, Decimal], value: Number) -> bool:
    operator, limit = condition
    number = Decimal(value)
    match operator:
        case "<":
            return number < limit
        case "<=":
            return number <= limit
        case ">":
            return number > limit
        case ">=":
            return number >= limit
        case "=":
            return number == limit
    return number != limit


def _scaled(section: Section, value: Decimal) -> Decimal:
    """The number in the scale it is shown in."""
    return _EXACT.multiply(value, Decimal(1).scaleb(2 * section.percent - 3 * section.thousands))


def _number(exact: Decimal) -> Number:
    if exact == exact.to_integral_value(context=_EXACT) and abs(exact) < Decimal("1e15"):
        return int(exact)
    return exact.normalize(_EXACT)


def _minus(before: str, after: str) -> tuple[bool, str, str]:
    """Whether a negative number is shown as one by sign or brackets, and the words left without it."""
    if before[:1] and before[0] in _MINUS:
        return True, before[1:], after
    if before[-1:] and before[-1] in _MINUS:
        return True, before[:-1], after
    if before[:1] in ("(", "（") and after[-1:] in (")", "）"):
        return True, before[1:], after[:-1]
    return False, before, after


def _joined(tokens: tuple[Token, ...]) -> str:
    return "".join(token.text for token in tokens if token.kind in ("literal", "blank", "percent")).strip()


def _parts(section: Section, exact: Decimal, value: Decimal) -> tuple[str, str, str, bool]:
    """Words before the digits, the digits, words behind them, and whether words stand among the digits."""
    shows = ("digit", "point", "exponent", "slash", "general")
    places = [at for at, token in enumerate(section.tokens) if token.kind in shows]
    first, last = places[0], places[-1]
    around = ("literal", "blank", "percent")
    before = "".join(token.text for token in section.tokens[:first] if token.kind in around)
    after = "".join(token.text for token in section.tokens[last + 1 :] if token.kind in around)
    middle = section.tokens[first : last + 1]
    if section.kind == "general":
        return before, text_of(_number(value)), after, False
    if section.fraction:
        return before, _fraction(middle, exact), after, False
    if section.exponent:
        return before, _scientific(middle, section, exact), after, False
    inner = any(token.kind == "literal" for token in middle)
    return before, _placed(middle, section, exact), after, inner


def _rounded(value: Decimal, decimals: int) -> tuple[str, str]:
    """Digits before and behind the point."""
    made = value.quantize(Decimal(1).scaleb(-decimals), context=_EXACT)
    whole, _, rest = format(made, "f").partition(".")
    return whole, rest


def _placed(tokens: tuple[Token, ...], section: Section, exact: Decimal) -> str:
    """The digits put into their places: those before the point from the right, the first place takes what is left."""
    whole, rest = _rounded(exact, section.decimals)
    digits = whole.lstrip("0")
    point = next((at for at, token in enumerate(tokens) if token.kind == "point"), len(tokens))
    shown: list[str] = []
    places = [at for at in range(point) if tokens[at].kind == "digit"]
    taken = 0
    for at in range(point - 1, -1, -1):
        token = tokens[at]
        if token.kind != "digit":
            shown.append(token.text)
            continue
        here = digits[::-1][taken:] if at == places[0] else digits[::-1][taken : taken + 1]
        if not here:
            here = {"0": "0", "?": " "}.get(token.text, "")
        for digit in here:
            if section.grouped and taken and taken % 3 == 0 and digit != " ":
                shown.append(",")
            shown.append(digit)
            taken += 1
    if not places and digits:
        shown.append(digits[::-1])
    text = "".join(each if len(each) == 1 else each[::-1] for each in shown)[::-1]
    behind = ""
    kept = len(rest.rstrip("0"))
    count = 0
    for token in tokens[point + 1 :]:
        if token.kind != "digit":
            behind += token.text
            continue
        if count < kept or token.text == "0":
            behind += rest[count]
        elif token.text == "?":
            behind += " "
        count += 1
    return text + ("." if behind else "") + behind


def _scientific(tokens: tuple[Token, ...], section: Section, exact: Decimal) -> str:
    mark = next(token.text for token in tokens if token.kind == "exponent")
    at = next(at for at, token in enumerate(tokens) if token.kind == "exponent")
    width = max(sum(token.kind == "digit" for token in tokens[at + 1 :]), 1)
    power = exact.adjusted() if exact else 0
    whole, rest = _rounded(exact.scaleb(-power, context=_EXACT), section.decimals)
    if len(whole) > 1:
        power += 1
        whole, rest = "1", "0" * len(rest)
    sign = "-" if power < 0 else "+" if "+" in mark else ""
    return f"{whole}{'.' if rest else ''}{rest}E{sign}{abs(power):0{width}}"


def _fraction(tokens: tuple[Token, ...], exact: Decimal) -> str:
    """A fraction with as many digits below the line as there are places for (at most seven)."""
    at = next(at for at, token in enumerate(tokens) if token.kind == "slash")
    below = "".join(token.text for token in tokens[at + 1 :] if token.kind in ("digit", "literal")).strip()
    groups = "".join(token.text if token.kind == "digit" else " " for token in tokens[:at]).split()
    if below.isdecimal() and below.strip("0"):
        denominator = int(below[:7])
        near = Fraction(round(Fraction(exact) * denominator), denominator)
        top, bottom = near * denominator, denominator
    else:
        near = Fraction(exact).limit_denominator(10 ** min(max(len(below), 1), 7) - 1)
        top, bottom = Fraction(near.numerator), near.denominator
    if len(groups) < 2:
        return f"{top}/{bottom}"
    whole, left = divmod(int(top), bottom)
    return f"{whole or ''} {left}/{bottom}".strip() if left else str(whole)
