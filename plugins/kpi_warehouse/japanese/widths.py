"""Widths and spellings: one form for comparing and parsing, while what was written is kept by the caller."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_BLANKS = re.compile(r"\s+")
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
    """Compatibility form (NFKC), one kind of hyphen and of wave dash, single blanks, no blanks at the ends."""
    return _BLANKS.sub(" ", unicodedata.normalize("NFKC", text).translate(_DASHES)).strip()


def search_key(text: str) -> str:
    """A form for comparing headings and names: folded, without blanks, lower case, one spelling of each word."""
    return _known_key(text) if len(text) <= _KEPT else _key(text)


def _key(text: str) -> str:
    key = fold(fold(text).replace(" ", "").casefold()).replace(" ", "")
    for written, meant in _SPELLINGS:
        key = key.replace(written, meant)
    return key


# The names of a contract are compared with every heading again and again; prose is not worth its memory.
_KEPT = 64
_known_key = lru_cache(maxsize=16384)(_key)
