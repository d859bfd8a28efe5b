"""Headings of a sheet and what they mean: cells of one to four rows joined top → down with ／, matched to a contract.

A merged top cell counts for every column it spreads over. Units in the heading (`来場者数（人）`, a 単位 row) and
footnote signs are taken off before headings are compared; comparing is by `search_key`. A year without its era takes that of
the year left of it (令和4年度 | 5年度).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache

from kpi_warehouse.contract_layout import FROM_HEADING, ColumnSpec, Table, Year
from kpi_warehouse.japanese.periods import Period, has_era_year, inherit_era, read_period
from kpi_warehouse.japanese.signs import raised_signs, take_marks, take_references
from kpi_warehouse.japanese.units import canonical_unit, looks_like_unit
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.grid import Cell, Sheet

JOIN = "／"
_BRACKETED = re.compile(
    r"^(?P<before>.*?)[(\[〔【{<〈]\s*(?P<said>単\s*位\s*[:;=]?)?\s*(?P<unit>[^()\[\]〔〕【】{}<>〈〉]+)[)\]〕】}>〉]$",
    re.S,
)
_AFTER_WORD = re.compile(r"^(?P<before>.*?)\s*(?P<said>単\s*位\s*[:;=])\s*(?P<unit>[^\s()]+)$", re.S)
_UNIT_ROW = search_key("単位")
# Only tells whether a heading is a period; the year it really has comes from the table's base.
_SOME_YEAR = Period(date(2000, 1, 1), date(2000, 12, 31), "暦年", None, None, "")


@dataclass(frozen=True)
class Heading:
    """The heading of one column: its parts top → down, the unit of a 単位 row, footnote signs, and its lowest cell."""

    column: int
    row: int
    parts: tuple[str, ...]
    unit: str | None = None
    references: tuple[str, ...] = ()

    def unmarked(self) -> Heading:
        """Without circled and raised numbers at the end of a part, which may be signs (R6①) or names (区分②)."""
        taken = [take_marks(part) for part in self.parts]
        signs = tuple(sign for _, found in taken for sign in found)
        if not signs:
            return self
        return replace(self, parts=tuple(part for part, _ in taken), references=(*self.references, *signs))

    @property
    def text(self) -> str:
        """As a message shows it."""
        return JOIN.join(self.parts)


@dataclass(frozen=True)
class Matched:
    """A column of the sheet that a column of the contract stands for.

    Args:
        rest: of a period heading, the parts that are no period.
        unit: the unit the heading states, as written.
        says_unit: the heading says 単位 itself, so that a unit over a column of labels speaks of the table.
    """

    spec: ColumnSpec
    heading: Heading
    rest: tuple[str, ...] = ()
    unit: str | None = None
    says_unit: bool = False


def headings_of(sheet: Sheet, top: int, bottom: int, *, spread: bool) -> list[Heading]:
    """Headings of all columns, read from rows `top`…`bottom` (both 0-based, inclusive)."""
    rows = [sheet.rows[at] for at in range(top, bottom + 1)]
    unit_rows = {
        at
        for at, row in enumerate(rows)
        if at and any(_is_unit_label(cell.text) for cell in row if cell.text)
    }
    whole = _with_eras(rows)
    return [_heading(sheet, rows, unit_rows, top, column, spread, whole) for column in range(len(rows[0]))]


def _with_eras(rows: list[list[Cell]]) -> dict[int, str]:
    """Texts of years that take their era from the left, by the id of their cell."""
    whole: dict[int, str] = {}
    for row in rows:
        before: str | None = None
        for cell in row:
            if cell.value is None:
                continue
            text = inherit_era(cell.text, before)
            if text is not cell.text:
                whole[id(cell)] = text
            if has_era_year(text):
                before = text
    return whole


def _is_unit_label(text: str) -> bool:
    return len(text) < 8 and search_key(text) == _UNIT_ROW


def _heading(
    sheet: Sheet,
    rows: list[list[Cell]],
    unit_rows: set[int],
    top: int,
    column: int,
    spread: bool,
    whole: dict[int, str],
) -> Heading:
    parts: list[str] = []
    references: list[str] = []
    unit: str | None = None
    lowest, used = top, set()
    for at, row in enumerate(rows):
        cell, here = row[column], (top + at, column)
        if cell.value is None and cell.merged_from is not None:
            here = cell.merged_from
            cell = sheet.rows[here[0]][here[1]]
        elif cell.value is None and spread and at < len(rows) - 1:
            left = next((each for each in range(column, -1, -1) if row[each].value is not None), column)
            if rows[-1][column].value is not None:
                cell, here = row[left], (top + at, left)
        if cell.value is None or here in used:
            continue
        used.add(here)
        lowest = top + at
        text, signs = take_references(fold(whole.get(id(cell), cell.text)), at_end=False)
        references.extend(signs)
        if cell.seen is not None:
            references.extend(sign for part in cell.seen.raised for sign in raised_signs(part))
        if at in unit_rows:
            if not _is_unit_label(text):
                unit = _BRACKETED.sub(lambda found: found["unit"], text)
        elif text:
            # 2024.10 that was typed into a spreadsheet is 2024.1 there: a number with decimals is no period.
            parts.append(
                f"{text}（小数）" if isinstance(cell.value, float | Decimal) and "." in text else text
            )
    return Heading(column, lowest, tuple(parts), unit, tuple(references))


@lru_cache(maxsize=8192)
def period_part(text: str, year: Year | None, base: Period | None) -> Period | None:
    """The period a part of a heading is; None where it is none (or a bare month without a base)."""
    if len(text) > 40:
        return None
    try:
        return read_period(text, year=year, base=base)
    except Unreadable:
        return None


def looks_like_period(text: str, table: Table) -> bool:
    """Whether a heading reads as a period once a year for bare months is known."""
    return period_part(text, table.year, _SOME_YEAR) is not None


def period_of(matched: Matched, table: Table, base: Period | None) -> Period | None:
    """The period of a period heading, an upper year being the base of the month below it; None where the year is missing.

    Two years above each other (2023年 over 令和5年) must be one and the same; None where they are not.
    """
    found: Period | None = None
    for part in matched.heading.parts:
        text = part
        if not looks_like_period(text, table):
            text = split_unit(part)[0]
        if looks_like_period(text, table):
            read = period_part(text, table.year, found or base)
            if read is None:
                return None
            if found is not None and not (found.start <= read.start and read.end <= found.end):
                return None
            # 令和6年（予定）over 5月: what the year says of its months stays with them.
            found = replace(read, status=read.status or (found.status if found else None))
    return found


def match(spec: ColumnSpec, heading: Heading, table: Table) -> Matched | None:
    """Whether a column of the contract stands for a heading."""
    if not heading.parts:
        return None
    unmarked = heading.unmarked()
    if spec.period_heading:
        return _match_period(spec, unmarked, table)
    return _match_named(spec, heading) or (None if unmarked is heading else _match_named(spec, unmarked))


def _match_named(spec: ColumnSpec, heading: Heading) -> Matched | None:
    wanted = keys_of(spec)
    for parts, unit, said in _without_unit(spec, heading.parts):
        if search_key(JOIN.join(parts)) in wanted:
            return Matched(spec, heading, (), heading.unit or unit, said)
    return None


@lru_cache(maxsize=1024)
def _keys(headings: tuple[str, ...]) -> frozenset[str]:
    return frozenset(search_key(each) for each in headings)


def keys_of(spec: ColumnSpec) -> frozenset[str]:
    """The contract's spellings of a heading as they are compared."""
    return _keys(spec.headings)


def known_units(spec: ColumnSpec) -> frozenset[str]:
    """Units that a column may be written with, canonical."""
    said = [*spec.units, *spec.unit_aliases, *spec.unit_aliases.values(), *spec.unit_factors]
    return frozenset(canonical_unit(each) for each in (*said, *([spec.unit] if spec.unit else [])))


def _without_unit(spec: ColumnSpec, parts: tuple[str, ...]) -> list[tuple[tuple[str, ...], str | None, bool]]:
    """Ways to read the parts: all as names; the last without its bracketed unit; the last being a unit itself.

    Each with the unit, and whether the heading says 単位. A bracket that holds no unit (男, 再掲) is part of the name.
    """
    ways: list[tuple[tuple[str, ...], str | None, bool]] = [(parts, None, False)]
    last = parts[-1]
    stated = _BRACKETED.match(last) or _AFTER_WORD.match(last)
    if stated:
        before, unit, said = stated["before"].strip(), stated["unit"].strip(), bool(stated["said"])
        if said or canonical_unit(unit) in known_units(spec) or looks_like_unit(unit):
            ways.append(((*parts[:-1], before) if before else parts[:-1], unit, said))
    elif len(parts) > 1 and canonical_unit(last) in known_units(spec):
        ways.append((parts[:-1], last, False))
    return [way for way in ways if way[0]]


def split_unit(text: str) -> tuple[str, str | None]:
    """A heading and its bracketed unit: `人数（人）` → `人数`, `人`."""
    stated = _BRACKETED.match(text) or _AFTER_WORD.match(text)
    return (stated["before"].strip(), stated["unit"].strip()) if stated else (text, None)


def _match_period(spec: ColumnSpec, heading: Heading, table: Table) -> Matched | None:
    for parts, unit, said in _without_unit(spec, heading.parts):
        rest = tuple(part for part in parts if not looks_like_period(part, table))
        if len(rest) == len(parts):
            continue
        if spec.with_parts:
            fits = search_key(JOIN.join(rest)) in _keys(spec.with_parts)
        else:
            fits = bool(rest) == (spec.measure == FROM_HEADING)
        if fits:
            return Matched(spec, heading, rest, heading.unit or unit, said)
    return None
