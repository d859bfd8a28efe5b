"""Widths and spellings: one form for comparing and parsing, while what was written is kept by the caller.

A compatibility character is folded only where it is another way of writing the same thing: full-width digits, half-width
kana, ㎡, ㈱, ㋿. Characters that mark are left as they are, since folding would make digits of them: circled and bracketed
numbers (①⑴⒈), superscripts and subscripts (²₂), fractions (½), Roman numerals (Ⅳ).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_BLANKS = re.compile(r"\s+")
# Compatibility decompositions that say "the same, marked": a circle, a raised or lowered place, a fraction.
_MARKING = ("<circle>", "<super>", "<sub>", "<fraction>")
# Marks whose decomposition is a plain <compat>: numbers and letters in brackets or with a full stop, Roman numerals, ㈠ to ㈩.
_MARKS = frozenset(
    chr(code)
    for first, last in ((0x2474, 0x24B5), (0x2160, 0x217F), (0x3220, 0x3229), (0x1F100, 0x1F12F))
    for code in range(first, last + 1)
)
# m² and km³ are units, and CO₂ is a name, however small the digit is written.
_SMALL = str.maketrans("²³₀₁₂₃₄₅₆₇₈₉", "230123456789")
_SMALL_DIGIT = re.compile(r"(?<=m)[²³](?![⁰¹²³⁴-⁹])|(?<=[A-Za-z])[₀-₉]+")
_DASHES = str.maketrans(dict.fromkeys("−‐‑‒–—", "-") | dict.fromkeys("〜∼", "~"))
# Spellings of one word, as the slides mix them.
_SPELLINGS = (
    ("取り組み", "取組"),
    ("取組み", "取組"),
    ("空き家", "空家"),
    ("インターシップ", "インターンシップ"),
    ("うちに", "うち"),
)


class Unreadable(ValueError):
    """Text that says no number, period or area.

    Args:
        text: the text as it was given.
        position: index into `text` where reading stopped.
        expected_ja: what was expected there.
    """

    def __init__(self, text: str, position: int, expected_ja: str) -> None:
        super().__init__(f"「{text}」の {position + 1} 文字目：期待：{expected_ja}")
        self.text = text
        self.position = min(max(position, 0), max(len(text) - 1, 0))
        self.expected_ja = expected_ja


def fold(text: str) -> str:
    """Compatibility form but for characters that mark, one kind of hyphen and wave dash, single blanks, none at the ends."""
    return _known_fold(text) if len(text) <= _KEPT else _folded(text)


def _folded(text: str) -> str:
    if text.isascii():
        return _BLANKS.sub(" ", text).strip()
    marks = {ord(each): chr(_STAND_IN + at) for at, each in enumerate(_marks_in(text))}
    if marks:
        kept = {ord(stand_in): chr(each) for each, stand_in in marks.items()}
        folded = unicodedata.normalize("NFKC", text.translate(marks)).translate(kept)
        folded = _SMALL_DIGIT.sub(lambda found: found[0].translate(_SMALL), folded)
    else:
        folded = unicodedata.normalize("NFKC", text)
    return _BLANKS.sub(" ", folded.translate(_DASHES)).strip()


# Private characters that stand for marks while the rest of a text is normalised.
_STAND_IN = 0x10F000


def _marks_in(text: str) -> list[str]:
    return [each for each in dict.fromkeys(text) if is_mark(each)]


@lru_cache(maxsize=4096)
def is_mark(character: str) -> bool:
    """Whether a character marks what it stands at, so that it must never be read as the digit or letter in it."""
    return character in _MARKS or unicodedata.decomposition(character).startswith(_MARKING)


def search_key(text: str) -> str:
    """A form for comparing headings and names: folded, without blanks, lower case, one spelling of each word."""
    return _known_key(text) if len(text) <= _KEPT else _key(text)


def _key(text: str) -> str:
    key = fold(fold(text).replace(" ", "").casefold()).replace(" ", "")
    for written, meant in _SPELLINGS:
        key = key.replace(written, meant)
    return key


# The names of a contract are compared with every heading and label again and again; prose is not worth its memory.
_KEPT = 64
_known_fold = lru_cache(maxsize=16384)(_folded)
_known_key = lru_cache(maxsize=16384)(_key)
