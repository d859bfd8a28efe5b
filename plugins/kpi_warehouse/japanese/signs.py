"""Signs that point from a number, a heading or a label to a footnote: ※1, 注2), *3, ①, ⑴, ¹⁾, †.

A sign is never part of the number it stands at. One that is bracketed or written with ※, 注 or * may stand anywhere in a
text; a circled or raised number only at its end, where it cannot be the number of an item (①相談).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kpi_warehouse.japanese.widths import fold

_OPEN, _CLOSE = r"[（(\[［〔]?", r"[)）\]］〕]?"
_CIRCLED = "①-⑳㉑-㉟㊱-㊿❶-❿➀-➓⓪⓫-⓿⑴-⒇⒈-⒛㈠-㈩"
_RAISED = "⁰¹²³⁴-⁹"
# At most two digits belong to a sign: ※ 1234 is a sign and a number, which nobody writes as one cell.
NAMED = re.compile(
    rf"{_OPEN}\s*(※[0-9０-９]{{0,2}}|注\s*[0-9０-９]{{1,2}}|[*＊]\s*[0-9０-９]{{1,2}})(?![0-9０-９])\s*{_CLOSE}"
)
_AT_END = re.compile(
    rf"\s*((?:[{_CIRCLED}†‡§]|[⁽(（]?[{_RAISED}]+[⁾)）]?)(?:\s*[,、・，]?\s*(?:[{_CIRCLED}†‡§]|[⁽(（]?[{_RAISED}]+[⁾)）]?))*)\s*$"
)
_ONE_AT_END = re.compile(rf"[{_CIRCLED}†‡§]|[{_RAISED}]+")
_AT_START = re.compile(
    rf"\s*(?:{NAMED.pattern}|([{_CIRCLED}†‡§]|[⁽(（]?[{_RAISED}]+[⁾)）]?|注(?=[\s:：)）.．])|[(（]?[0-9０-９]{{1,2}}(?=[)）])|[(（]?[a-zａ-ｚ](?=[)）]))[)）.．:：]?)"
)
# a) 202 and 202 b): a letter with a bracket at a number.
_LETTERED = re.compile(r"^\(?(?P<before>[a-z])\) ?(?=[-+▲△]?[0-9])|(?<=[0-9]) ?\(?(?P<behind>[a-z])\)$")
_HINT = re.compile(rf"[※注*＊†‡§{_CIRCLED}{_RAISED}]|[a-z]\)")


def take_references(text: str, *, at_end: bool = True) -> tuple[str, tuple[str, ...]]:
    """A text without its footnote signs, and the signs: `R6年度(※1)` → `R6年度`, `※1`; `234①` → `234`, `①`.

    What is left of and right of a sign stays apart: `12※1 34` is never 1234. With `at_end` off, circled and raised numbers
    are left where they are: in a name they may be part of it.
    """
    if _HINT.search(text) is None:
        return text, ()
    rest, ends = take_marks(text) if at_end else (text, ())
    lettered = _LETTERED.search(rest)
    if lettered is not None:
        rest = rest[: lettered.start()] + rest[lettered.end() :]
        ends = (*ends, lettered["before"] or lettered["behind"])
    found = tuple("".join(fold(each).split()) for each in NAMED.findall(rest))
    return (NAMED.sub(" ", rest).strip() if found else rest, (*found, *ends))


def take_marks(text: str) -> tuple[str, tuple[str, ...]]:
    """A text without the circled and raised numbers at its end, and these: `相談②` → `相談`, `②`."""
    found = _AT_END.search(text)
    if found is None or not found.start():
        return text, ()
    return text[: found.start()].rstrip(), tuple(_ONE_AT_END.findall(found[1]))


def raised_signs(part: str) -> tuple[str, ...]:
    """The signs in a raised part of a text: `1)` → `1`, `1,2` → `1`, `2`, `※1` → `※1`."""
    signs = re.split(r"[,、・，\s]+", "".join(fold(part).strip().strip("()（）〔〕[]")))
    return tuple(sign.strip("()") for sign in signs if sign.strip("()"))


def note_of(sign: str, notes: Mapping[str, str]) -> str | None:
    """The footnote a sign points to; a raised 1 may be written ¹, ※1, 注1, *1 or ① where its text stands."""
    if sign in notes:
        return notes[sign]
    digits = sign.translate(_RAISED_DIGITS)
    if not digits.isdecimal() or len(digits) > 2:
        return None
    raised, circled = (
        digits.translate(_TO_RAISED),
        chr(0x245F + int(digits)) if 1 <= int(digits) <= 20 else "",
    )
    spellings = (
        digits,
        raised,
        f"※{digits}",
        f"注{digits}",
        f"*{digits}",
        *((circled,) if sign.isdecimal() else ()),
    )
    return next((notes[each] for each in spellings if each in notes), None)


_RAISED_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_TO_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def footnote_sign(line: str) -> tuple[str, str] | None:
    """The sign a footnote begins with, and its text: `※1 集計方法を変更` → `※1`, `集計方法を変更`."""
    found = _AT_START.match(line)
    if found is None:
        return None
    sign = "".join(fold(found[1] or found[2]).split()).strip("()⁽⁾")
    return sign, line[found.end() :].lstrip(" \u3000:：.．)）").strip()
