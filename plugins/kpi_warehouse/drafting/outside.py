"""Lines around the tables of a sample → lines of the layout: titles, units, dates, footnotes, and what somebody must look at."""

from __future__ import annotations

import re

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.drafting.texts import UNIT_LINE, UNIT_PATTERN
from kpi_warehouse.japanese.periods import Year, read_period
from kpi_warehouse.japanese.widths import Unreadable, fold

_ERA = r"(?:令和|平成|昭和|[RHS])"
_YEAR = re.compile(
    r"(?:(?:令和|平成|昭和|(?<![A-Za-z])[RHS])\s*(?:\d{1,2}|元)|(?<!\d)(?:19|20)\d\d)"
    r"(?:\s*年度|\s*年(?:\s*\d{1,2}\s*月(?:\s*\d{1,2}\s*日|\s*末)?)?|\.\d{1,2}(?:\.\d{1,2})?(?:\s*月?末)?)?"
)
_AS_OF = re.compile(r"現在|時点")
_NOTE = re.compile(r"[（(\[]?\s*(?:※|＊|\*|注|備考|[a-zａ-ｚ][)）])|(?:出典|資料|出所|参考)")
_LONGEST = 24
# Two quantities on one line are no unit of all columns.
_SEVERAL = re.compile(r"[,，、・／/]")


def several_units(unit: str) -> bool:
    """Whether a unit line speaks of more than one unit (人，‰)."""
    return bool(_SEVERAL.search(unit)) and unit not in ("人/年", "円/月", "人/日")


def units_in(text: str) -> list[str]:
    """All units that a line states, in their order: （単位：人、km2）."""
    found = UNIT_LINE.search(fold(text))
    if not found:
        return []
    return (
        [part for part in _SEVERAL.split(found["unit"]) if part]
        if several_units(found["unit"])
        else [found["unit"]]
    )


def unit_in(text: str) -> str | None:
    """The one unit that a line states."""
    found = UNIT_LINE.search(fold(text))
    return found["unit"] if found and not several_units(found["unit"]) else None


def line_for(text: str, *, above: bool) -> dict[str, str]:
    """A line of the layout for a text outside the tables. Its digits and era names may change from file to file."""
    folded = fold(text)
    found = UNIT_LINE.search(folded)
    if found and several_units(found["unit"]):
        reason = f"単位が二つ以上書かれている。列ごとに unit で書く。{TO_BE_CHECKED}"
        return {"pattern": f"^{_generalised(folded[:_LONGEST])}", "is": "ignored", "reason": reason}
    if found:
        return {"pattern": UNIT_PATTERN, "is": "unit"}
    if _AS_OF.search(folded) and (pattern := with_period(text)):
        return {"pattern": pattern, "is": "as_of"}
    if sign := _NOTE.match(folded):
        return {"pattern": f"^{_escaped(sign[0])}", "is": "footnote"}
    beginning = f"^{_generalised(folded[:_LONGEST])}"
    if above:
        return {"pattern": beginning, "is": "title"}
    return {"pattern": beginning, "is": "ignored", "reason": f"表の外の文。{TO_BE_CHECKED}"}


def with_period(text: str) -> str | None:
    """A pattern that takes such a line and hands out the period it speaks of; None where it speaks of none."""
    folded = fold(text)
    found = period_in(text)
    if found is None:
        return None
    at = folded.index(found)
    before, after = folded[:at][-_LONGEST:], folded[at + len(found) :][:6]
    anchor = "^" if len(folded[:at]) <= _LONGEST else ""
    return f"{anchor}{_generalised(before)}(?P<period>{_generalised(found)}){_generalised(after)}"


def period_in(text: str) -> str | None:
    """The first year, month or day that a text speaks of, as it stands in the folded text."""
    for found in _YEAR.finditer(fold(text)):
        said = found[0].strip()
        for year in ("fiscal", "calendar"):
            if _reads(said, year):
                return said
    return None


def _reads(text: str, year: Year | str) -> bool:
    try:
        read_period(text, year=year)  # type: ignore[arg-type]
    except Unreadable:
        return False
    return True


def _generalised(text: str) -> str:
    """A pattern for a folded text in which numbers and names of eras may be others."""
    parts = re.split(r"((?:令和|平成|昭和)\s*(?:\d+|元)|(?<![A-Za-z])[RHS]\d+|\d+|\s+)", text)
    return "".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if not part:
        return ""
    if part.isspace():
        return r"\s*"
    if re.fullmatch(r"(?:令和|平成|昭和)\s*(?:\d+|元)|[RHS]\d+", part):
        return rf"{_ERA}\s*(?:\d+|元)"
    return r"\d+" if part.isdigit() else _escaped(part)


def _escaped(text: str) -> str:
    return re.escape(text).replace("\\ ", r"\s*")
