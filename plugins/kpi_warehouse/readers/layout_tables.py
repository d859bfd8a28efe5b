"""Where the tables of a book are: found by headings and captions, wherever they stand.

Every row is looked at once for headings; what kind of row it is (blank, words only, numbers) is kept, so that long tables
need not be walked again to know where they end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from kpi_warehouse.contract_layout import ColumnSpec, Layout, Table
from kpi_warehouse.japanese.widths import fold, search_key
from kpi_warehouse.readers.grid import Book, Cell, Sheet
from kpi_warehouse.readers.layout_headers import (
    JOIN,
    Heading,
    Matched,
    headings_of,
    looks_like_period,
    match,
)
from kpi_warehouse.readers.layout_remarks import Remarks

MAX_DEPTH = 4
# Title of the page with which a refused workbook goes back, and the text of its first cell.
RETURN_SLIP = "差し戻し票"
BLANK, WORDS, NUMBERS = 0, 1, 2
# Kinds of columns whose labels may stand a second time (at the right edge, as a code beside a name).
REPEATABLE = ("axis", "measure", "period")
Recognised = Callable[[ColumnSpec, str], bool]
# Rows by which columns with one heading are told apart.
_LOOKED_AT = 40
_DIGITS = frozenset("0123456789０１２３４５６７８９▲△-－−")
# 1) 前年度の値: a footnote, whatever it begins with.
_NUMBERED_NOTE = re.compile(r"[0-9０-９]{1,2}[)）]\s*\S")
_NAME_END = re.compile(r"[(\[※]")


@dataclass
class Page:
    """A sheet with what was seen of its rows: `kinds` holds BLANK, WORDS or NUMBERS for each.

    `changed` are cells of which a person sees something else than is stored: (row, column).
    """

    number: int
    sheet: Sheet
    kinds: bytearray
    remarks: Remarks
    landmarks: list[int] = field(default_factory=list)
    changed: list[tuple[int, int]] = field(default_factory=list)

    def cell(self, row: int, column: int) -> Cell:
        return self.sheet.rows[row][column]


@dataclass
class Found:
    """A table of the contract on a sheet: header rows `top`…`bottom`, its columns, and what does not fit.

    `limit` is the first row that cannot belong to it (the next header or its caption); `end` is set when it was read.
    `repeated` are columns of labels whose heading stands at another one already: they must say the same again.
    """

    table: Table
    page: Page
    top: int
    bottom: int
    columns: list[Matched]
    unknown: list[Heading]
    doubled: list[tuple[Matched, Heading]]
    missing: list[ColumnSpec]
    caption: tuple[int, int] | None = None
    limit: int = 0
    end: int = 0
    repeated: list[tuple[Matched, Heading]] = field(default_factory=list)

    @property
    def depth(self) -> int:
        return self.bottom - self.top + 1


@dataclass(frozen=True)
class Ambiguous:
    """One header that several tables fit, or one table that stands in several places."""

    tables: tuple[Table, ...]
    found: tuple[Found, ...]


@dataclass
class Search:
    """What was found in a book. `lost` are tables that are not there at all."""

    pages: list[Page]
    found: list[Found] = field(default_factory=list)
    ambiguous: list[Ambiguous] = field(default_factory=list)
    lost: list[Table] = field(default_factory=list)

    def on(self, page: Page) -> list[Found]:
        """Tables of one sheet, from top to bottom."""
        return sorted((each for each in self.found if each.page is page), key=lambda each: each.top)


def is_return_slip(sheet: Sheet) -> bool:
    """Whether a sheet is the page that we put into a workbook when we sent it back; it is no part of what is said."""
    first = sheet.rows[0][0].text if sheet.rows and sheet.rows[0] else ""
    return sheet.name.startswith(RETURN_SLIP) and first.strip() == RETURN_SLIP


def find_tables(book: Book, layout: Layout, recognised: Recognised) -> Search:
    """Find every table of the layout on the sheets that may be read.

    Args:
        recognised: whether a text is a label of the column that a spec stands for, or reads as its period.
    """
    ignored = {search_key(name) for name in layout.ignored_sheets}
    search = Search([])
    attempts: list[Found] = []
    for number, sheet in enumerate(book.sheets):
        if (
            is_return_slip(sheet)
            or search_key(sheet.name) in ignored
            or (sheet.hidden and layout.hidden == "refuse")
        ):
            continue
        tables = [
            table
            for table in layout.tables
            if table.sheet is None or search_key(table.sheet) in search_key(sheet.name)
        ]
        page = _page(number, sheet, tables)
        search.pages.append(page)
        attempts.extend(_attempts(page, tables, recognised))
    _settle(search, attempts, layout)
    return search


def _landmarks(tables: Iterable[Table]) -> frozenset[str]:
    """Parts of headings by which a header row is noticed."""
    return frozenset(
        search_key(part)
        for table in tables
        for spec in table.columns
        if not spec.period_heading
        for heading in spec.headings
        for part in (heading, *heading.split(JOIN))
        if part
    )


def _page(number: int, sheet: Sheet, tables: list[Table]) -> Page:
    """Look at every cell once: kinds of rows, and rows that may be part of a header."""
    keys = _landmarks(tables)
    # A cross table whose corner is blank has no word to be noticed by: its periods must do.
    by_period = [
        table
        for table in tables
        if all(spec.period_heading or "" in spec.headings for spec in _required(table))
    ]
    seen: dict[str, bool] = {}
    page = Page(number, sheet, bytearray(len(sheet.rows)), Remarks(sheet))
    for at, row in enumerate(sheet.rows):
        kind, landmark = BLANK, False
        for column, cell in enumerate(row):
            value = cell.value
            if cell.seen is not None:
                page.changed.append((at, column))
            if value is None:
                continue
            if type(value) is str:
                kind = kind or WORDS
                known = seen.get(value)
                if known is None:
                    known = seen[value] = _is_landmark(value, keys, by_period)
                landmark = landmark or known
                if value[:1] in _DIGITS and not _NUMBERED_NOTE.match(value):
                    kind = NUMBERS
            else:
                kind = NUMBERS
                if (
                    by_period
                    and isinstance(value, date | int)
                    and any(looks_like_period(cell.text, table) for table in by_period)
                ):
                    landmark = True
        page.kinds[at] = kind
        if landmark:
            page.landmarks.append(at)
    return page


def _is_landmark(text: str, keys: frozenset[str], by_period: list[Table]) -> bool:
    if len(text) > 200:
        return False
    key = search_key(text)
    # 来場者数（人）and 区分※1 are noticed by the name they begin with.
    if key in keys or _NAME_END.split(key, 1)[0] in keys:
        return True
    return any(looks_like_period(fold(text), table) for table in by_period)


def _required(table: Table) -> list[ColumnSpec]:
    return [spec for spec in table.columns if not spec.optional]


def _attempts(page: Page, tables: list[Table], recognised: Recognised) -> list[Found]:
    """Every header block that fits a table at least by half."""
    tried: set[tuple[int, int]] = set()
    attempts: list[Found] = []
    last = len(page.kinds) - 1
    for landmark in page.landmarks:
        for top in range(max(0, landmark - MAX_DEPTH + 1), landmark + 1):
            for bottom in range(landmark, min(last, top + MAX_DEPTH - 1) + 1):
                block = page.kinds[top : bottom + 1]
                # Header rows hang together, and a block that begins or ends with nothing is the smaller block again.
                if (top, bottom) in tried or BLANK in block:
                    continue
                tried.add((top, bottom))
                for table in tables:
                    attempt = _attempt(page, table, top, bottom, recognised)
                    if attempt is not None:
                        attempts.append(attempt)
    return attempts


def _attempt(page: Page, table: Table, top: int, bottom: int, recognised: Recognised) -> Found | None:
    headings = headings_of(page.sheet, top, bottom, spread=table.spread_headings)
    open_headings = {heading.column: heading for heading in headings}
    columns: list[Matched] = []
    doubled: list[tuple[Matched, Heading]] = []
    # Named headings first: 計 and 累計 may also read as a period.
    repeated: list[tuple[Matched, Heading]] = []
    places = {heading.column: at for at, heading in enumerate(headings)}
    for spec in sorted(table.columns, key=lambda spec: (spec.period_heading, spec.occurrence or 0)):
        if spec.stacked:
            continue
        hits = [hit for heading in open_headings.values() if (hit := match(spec, heading, table)) is not None]
        if spec.occurrence is not None:
            # Columns before it with the same heading were taken by other specs, or are not the contract's.
            same = [heading for heading in headings if match(spec, heading, table) is not None]
            wanted = same[spec.occurrence - 1].column if len(same) >= spec.occurrence else None
            hits = [hit for hit in hits if hit.heading.column == wanted]
        if not spec.period_heading and len(hits) > 1:
            if spec.kind in REPEATABLE:
                hits.sort(
                    key=lambda hit: (-_known_below(page, hit, bottom, recognised), places[hit.heading.column])
                )
                repeated.extend((hits[0], hit.heading) for hit in hits[1:])
            else:
                doubled.extend((hits[0], hit.heading) for hit in hits[1:])
        if not hits and "" in spec.headings:
            hits = _corner(page, spec, open_headings, bottom)
        columns.extend(hits if spec.period_heading else hits[:1])
        for hit in hits:
            del open_headings[hit.heading.column]
    for spec in table.columns:
        if spec.stacked:
            partner = next(
                (
                    each
                    for each in columns
                    if set(each.spec.headings) & set(spec.headings) and each.spec is not spec
                ),
                None,
            )
            columns.extend([Matched(spec, partner.heading)] if partner else [])
    matched = {id(each.spec) for each in columns}
    required = _required(table)
    missing = [spec for spec in required if id(spec) not in matched]
    if len(missing) * 2 > len(required) or not any(not each.spec.period_heading for each in columns):
        return None
    rows = {each.heading.row for each in columns}
    if bottom not in rows or not _begins(page, top, columns):
        return None
    unknown = [heading for heading in open_headings.values() if heading.parts]
    columns.sort(key=lambda each: each.heading.column)
    bottom = _merged_bottom(page, bottom, columns)
    return Found(table, page, top, bottom, columns, unknown, doubled, missing, repeated=repeated)


def _known_below(page: Page, hit: Matched, bottom: int, recognised: Recognised) -> int:
    """How many of the texts right below a heading are labels of its column."""
    below = page.sheet.rows[bottom + 1 : bottom + 1 + _LOOKED_AT]
    texts = {row[hit.heading.column].text for row in below if row[hit.heading.column].value is not None}
    return sum(recognised(hit.spec, text) for text in texts)


def _merged_bottom(page: Page, bottom: int, columns: list[Matched]) -> int:
    """The last header row where headings are merged downwards over rows that say nothing themselves."""
    while bottom + 1 < len(page.kinds) and page.kinds[bottom + 1] == BLANK:
        origins = [page.cell(bottom + 1, each.heading.column).merged_from for each in columns]
        if not any(origin is not None and origin[0] <= bottom for origin in origins):
            break
        bottom += 1
    return bottom


def _begins(page: Page, top: int, columns: list[Matched]) -> bool:
    """Whether the first row of a block says something of a column that was matched."""
    for each in columns:
        cell = page.cell(top, each.heading.column)
        if cell.value is not None:
            return True
        if cell.merged_from is not None and cell.merged_from[0] == top:
            return True
    return False


def _corner(page: Page, spec: ColumnSpec, headings: dict[int, Heading], bottom: int) -> list[Matched]:
    """The blank heading of a cross table: the first column without heading that has something below."""
    if bottom + 1 >= len(page.kinds):
        return []
    for column, heading in sorted(headings.items()):
        if not heading.parts and page.cell(bottom + 1, column).value is not None:
            return [Matched(spec, heading)]
    return []


def _settle(search: Search, attempts: list[Found], layout: Layout) -> None:
    """Choose among the attempts: whole fits from top to bottom, the deepest block first; then what fits in part."""
    whole = [each for each in attempts if not each.missing]
    for page in search.pages:
        here = sorted(
            (each for each in whole if each.page is page), key=lambda each: (each.top, -each.bottom)
        )
        while here:
            # Blocks that overlap speak of one header: the deepest that fits is the header.
            first = here[0]
            rivals = [each for each in here if each.top <= first.bottom and each.bottom >= first.top]
            best = _best(search, rivals)
            here = [each for each in here if all(_apart(each, kept) for kept in (best or [first]))]
            if len(best) == 1:
                search.found.extend(best)
            elif best:
                search.ambiguous.append(Ambiguous(tuple(each.table for each in best), tuple(best)))
    _one_place_each(search, layout)
    spoken_for = [table for each in search.ambiguous for table in each.tables]
    taken = [*search.found, *(each for ambiguous in search.ambiguous for each in ambiguous.found)]
    for table in layout.tables:
        if any(each.table is table for each in search.found) or table in spoken_for:
            continue
        partly = [
            each
            for each in attempts
            if each.table is table and each.missing and all(_apart(each, other) for other in taken)
        ]
        partly = [each for each in partly if _caption(search, each, [table]) is not None or not table.caption]
        if partly and not table.optional:
            best_partly = min(
                partly, key=lambda each: (len(each.missing), len(each.unknown), each.top, each.depth)
            )
            best_partly.caption = _caption(search, best_partly, [table])
            search.found.append(best_partly)
            taken.append(best_partly)
        elif not table.optional:
            search.lost.append(table)
    _limits(search)


def _apart(one: Found, other: Found) -> bool:
    return one.page is not other.page or one.bottom < other.top or one.top > other.bottom


def _best(search: Search, rivals: list[Found]) -> list[Found]:
    """The rivals for one header that fit equally well; more than one is for the contract to tell apart."""
    fitting = []
    for each in rivals:
        if each.table.caption:
            each.caption = _caption(search, each, [rival.table for rival in rivals])
            if each.caption is None:
                continue
        fitting.append(each)
    if not fitting:
        return []

    def rank(each: Found) -> tuple[bool, int, int, int, int]:
        return (each.caption is None, len(each.unknown), -len(each.columns), -each.depth, each.top)

    first = min(map(rank, fitting))
    return [each for each in fitting if rank(each) == first]


def _caption(search: Search, found: Found, rivals: list[Table]) -> tuple[int, int] | None:
    """Cell of the nearest caption above a header, if it is this table's; a longer caption that fits wins (転出超過)."""
    page = found.page
    above = [other.bottom for other in search.on(page) if other.bottom < found.top]
    keys = {search_key(caption) for table in rivals for caption in table.caption}
    own = {search_key(caption) for caption in found.table.caption}
    for row in range(found.top - 1, max(above, default=-1), -1):
        if page.kinds[row] == BLANK:
            continue
        cells = page.sheet.rows[row]
        if sum(_is_number(cell) for cell in cells) > 1:
            return None
        for column, cell in enumerate(cells):
            if not isinstance(cell.value, str):
                continue
            text = search_key(cell.value)
            hits = [key for key in keys if key in text]
            if hits:
                return (row, column) if max(hits, key=len) in own else None
    return None


def _is_number(cell: Cell) -> bool:
    return isinstance(cell.value, int | float | Decimal) or cell.text[:1] in _DIGITS


def _one_place_each(search: Search, layout: Layout) -> None:
    for table in layout.tables:
        places = [each for each in search.found if each.table is table]
        if len(places) > 1 and not table.repeats:
            search.ambiguous.append(Ambiguous((table,), tuple(places)))
            search.found = [each for each in search.found if each.table is not table]


def _limits(search: Search) -> None:
    for page in search.pages:
        tables = search.on(page)
        for at, found in enumerate(tables):
            if at + 1 == len(tables):
                found.limit = len(page.kinds)
            else:
                following = tables[at + 1]
                found.limit = following.caption[0] if following.caption else following.top
