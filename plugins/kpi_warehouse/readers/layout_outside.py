"""What stands outside the tables: titles, units, dates, footnotes. Every such cell must match a line of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from kpi_warehouse.contract_layout import Layout, Outside, Year
from kpi_warehouse.japanese.periods import Period, fiscal_year
from kpi_warehouse.japanese.signs import footnote_sign
from kpi_warehouse.japanese.units import canonical_unit, stated_units
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.readers.layout_periods import period_of_text
from kpi_warehouse.readers.layout_tables import BLANK, WORDS, Found, Page, Search

_YEAR = re.compile(
    r"(令和|平成|昭和|(?<![A-Za-z])[RHS])\s*([0-9]{1,2}|元)\s*(年度?)?|(19|20)[0-9]{2}\s*(年度?|(?![0-9]))"
)
_YEAR_KINDS = ("年度", "暦年", "年")


@dataclass(frozen=True)
class Line:
    """A cell outside the tables that a line of the contract recognised."""

    page: Page
    row: int
    column: int
    spec: Outside
    text: str
    groups: dict[str, str]

    @property
    def units(self) -> tuple[str, ...]:
        """Units it states, canonical: of a unit line by the contract's pattern, of any other as people write them."""
        said = stated_units(self.text)
        return said or ((canonical_unit(self.groups["unit"]),) if "unit" in self.groups else ())


@dataclass(frozen=True)
class UnitSaid:
    """A place that states the unit of a table: what stands there, and the units in it."""

    place: str
    text: str
    row: int
    column: int
    units: tuple[str, ...]


class OutsideLines:
    """Recognises lines outside the tables, and answers what they say to a table.

    Args:
        layout: the contract's lines.
        search: the tables found; lines are looked for around them.
    """

    def __init__(self, layout: Layout, search: Search) -> None:
        self._specs = layout.outside
        self.lines = [line for page in search.pages for line in self._lines(page, search.on(page))]
        self._search = search

    def recognise(self, text: str) -> tuple[Outside, dict[str, str]] | None:
        """The contract's line a text matches, as written or folded, and its named groups."""
        for form in dict.fromkeys((text.strip(), fold(text))):
            for spec in self._specs:
                found = spec.pattern.search(form)
                if found:
                    return spec, {name: said for name, said in found.groupdict().items() if said}
        return None

    def _lines(self, page: Page, tables: list[Found]) -> Iterator[Line]:
        for row, first_only in _candidate_rows(page, tables):
            for column, cell in enumerate(page.sheet.rows[row]):
                if cell.value is None:
                    continue
                known = self.recognise(cell.text)
                if known:
                    yield Line(page, row, column, known[0], " ".join(cell.text.split()), known[1])
                if first_only:
                    break

    def units(self, found: Found) -> list[UnitSaid]:
        """Every unit that is stated for a table, whatever the contract takes the line for: the nearest line above its
        header (else the nearest below the table), its caption, the name of its sheet.
        """
        page, said = found.page, []
        tables = [each for each in self._search.on(page) if each is not found]
        before = max((each.bottom for each in tables if each.top < found.top), default=-1)
        behind = min((each.top for each in tables if each.top > found.bottom), default=len(page.kinds))
        lines = [line for line in self.lines if line.page is page and line.units]
        above = [line for line in lines if line.row <= found.bottom]
        near = [line for line in above if line.row > before] or above[-1:]
        near = near or [line for line in lines if line.row < behind][:1] or lines[:1]
        for line in near:
            cell = page.cell(line.row, line.column)
            said.append(UnitSaid(cell.place, cell.text, line.row, line.column, line.units))
        if found.caption is not None:
            cell = page.cell(*found.caption)
            said.append(UnitSaid(cell.place, cell.text, *found.caption, stated_units(cell.text)))
        for each in page.remarks.floating:
            remark = each.remark
            said.append(UnitSaid(remark.place, each.text, remark.row or 0, remark.column or 0, each.units))
        name = page.sheet.name
        said.append(UnitSaid(name, name, 0, 0, stated_units(name)))
        return [each for at, each in enumerate(said) if each.units and each not in said[:at]]

    def document_period(self, found: Found) -> Period | None:
        """The moment (時点) the document speaks of: its as_of line, the nearest above the table first."""
        line = self._period_line(found, "as_of") or self._period_line(found)
        if line is None:
            return None
        period = _read(line.groups["period"], found.table.year)
        if period is None or line.spec.kind != "as_of" or period.kind in (*_YEAR_KINDS, "年度不明"):
            return period
        return Period(period.end, period.end, "時点", None, period.qualifier, line.text)

    def base(self, found: Found) -> Period | None:
        """The year that bare months of a table belong to; None where it is not said."""
        table = found.table
        match table.base_period:
            case None:
                return None
            case "caption":
                if found.caption is None:
                    return None
                return year_in(found.page.cell(*found.caption).text, table.year)
            case "sheet":
                return year_in(found.page.sheet.name, table.year)
            case "document":
                line = self._period_line(found)
                period = _read(line.groups["period"], table.year) if line else None
                return year_around(period, table.year) if period else None
            case written:
                return _read(written, table.year)

    def _period_line(self, found: Found, kind: str | None = None) -> Line | None:
        lines = [line for line in self.lines if "period" in line.groups and kind in (None, line.spec.kind)]
        here = [line for line in lines if line.page is found.page]
        above = [line for line in here if line.row <= found.bottom]
        return above[-1] if above else next(iter([*here, *lines]), None)

    def footnotes(self, found: Found) -> dict[str, str]:
        """Sign → text of the footnotes a table's signs point to: those before the next table, then any of the sheet."""
        notes: dict[str, str] = {}
        following = [each.top for each in self._search.on(found.page) if each.top > found.bottom]
        nearest = min(following, default=len(found.page.kinds))
        lines = [line for line in self.lines if line.page is found.page and line.spec.kind == "footnote"]
        near = [line for line in lines if found.bottom < line.row < nearest]
        for group in (near, [line for line in lines if line not in near]):
            said: dict[str, list[str]] = {}
            for line in group:
                sign = footnote_sign(line.text)
                if sign:
                    said.setdefault(sign[0], []).append(sign[1])
            for key, texts in said.items():
                notes.setdefault(key, " ".join(text for text in texts if text))
        for each in found.page.remarks.floating:
            for pointed in filter(None, map(footnote_sign, each.lines)):
                notes.setdefault(*pointed)
        return notes


def _candidate_rows(page: Page, tables: list[Found]) -> Iterator[tuple[int, bool]]:
    """Rows that may hold such lines, and whether only their first cell is asked (rows of words within a table)."""
    headers = {row for found in tables for row in range(found.top, found.bottom + 1)}
    within: set[int] = set()
    for found in tables:
        end = page.kinds.find(BLANK, found.bottom + 1)
        within.update(range(found.bottom + 1, end if end >= 0 else len(page.kinds)))
    captions = {found.caption[0] for found in tables if found.caption}
    for row, kind in enumerate(page.kinds):
        if kind == BLANK or row in headers:
            continue
        if row not in within or row in captions:
            yield row, False
        elif kind == WORDS:
            yield row, True


def year_in(text: str, year: Year | None) -> Period | None:
    """The year a caption or a sheet's name speaks of (`転出（令和6年1月～9月）`)."""
    found = _YEAR.search(fold(text))
    return _read(found[0].strip(), year) if found else None


def year_around(period: Period, year: Year | None) -> Period:
    """The year a period lies in: its 年度 where the table counts in 年度, else its calendar year."""
    if period.kind in _YEAR_KINDS:
        return period
    if year == "fiscal":
        first = fiscal_year(period.end)
        return Period(date(first, 4, 1), date(first + 1, 3, 31), "年度", None, None, period.text)
    first = period.end.year
    return Period(date(first, 1, 1), date(first, 12, 31), "暦年", None, None, period.text)


def _read(text: str, year: Year | None) -> Period | None:
    try:
        return period_of_text(text, year, None)
    except Unreadable:
        return None
