"""Lines that a workbook prints above and below its pages: their words, without page numbers and the like.

Source: ECMA-376 18.3.1.46 headerFooter (xls writes the same codes).
"""

from __future__ import annotations

import re

# Codes of a printed line: its place, font, size and colour, page numbers, dates, names.
_PRINT_CODE = re.compile(r'&(?:"[^"]*"|K[0-9A-Fa-f]{6}|K\d\d[+-]\d{3}|\d{1,3}|[A-Za-z])')
_PRINT_PARTS = re.compile(r"&[LCR]")
_PAGE_WORDS = (
    "page",
    "ページ",
    "頁",
    "p.",
    "page  of",
    "page of",
    "ページ /",
    "ページ/",
    "/ ページ",
    "/ページ",
)


def said_in_print(line: str) -> list[str]:
    """What a printed line says at the left, in the middle and at the right, in that order."""
    parts = (_PRINT_CODE.sub("", part).strip() for part in _PRINT_PARTS.split(line))
    return [
        text
        for text in parts
        if any(letter.isalpha() for letter in text) and text.casefold() not in _PAGE_WORDS
    ]
