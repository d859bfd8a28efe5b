"""Identities: totals a file states, the cells they must be the sum of, and what is known of each cell beside them.

A difference is an identity as well: 転入 − 転出 = 純移動 is stated as 転入 = 転出 + 純移動.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol, TypeVar

# `移住!C5`, `行12:4`, `/records/0/name`.
_POSITION = re.compile(r"(?:^|!)\$?(?P<column>[A-Z]{1,3})\$?(?P<row>\d+)$|(?P<line>\d+)[:/](?P<key>[^:/]+)$")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the table.

    Args:
        place: `移住!C12`, `行12:4`, `/records/0/name`; the same cell has the same place in every identity.
        label: for people: `転入／大阪圏／5月`.
        value: None for a cell whose number is missing.
        text: what a person sees there; empty: the plain number.
    """

    place: str
    label: str
    value: Decimal | None
    text: str = ""

    @property
    def shown(self) -> str:
        """As it is quoted to a person."""
        return self.text or ("空欄" if self.value is None else amount(self.value))


@dataclass(frozen=True, slots=True)
class Identity:
    """A stated total that must equal the sum of its members.

    Args:
        label: for people: `転入／大阪圏の計`.
        members: in the order of the table, so that neighbours are neighbours.
        expected: how many members there must be (nine months); None when that is not known.
    """

    name: str
    label: str
    stated: Figure
    members: tuple[Figure, ...]
    expected: int | None = None

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The total, then the members."""
        return (self.stated, *self.members)

    @property
    def missing(self) -> int:
        """How many of its numbers are not there."""
        absent = sum(figure.value is None for figure in self.figures)
        return absent + max(0, (self.expected or 0) - len(self.members))

    @property
    def difference(self) -> Decimal:
        """Total less sum of the members that are there; 0 when it holds."""
        return (self.stated.value or Decimal(0)) - sum(
            (member.value for member in self.members if member.value is not None), Decimal(0)
        )

    @property
    def broken(self) -> bool:
        """Whether it does not hold."""
        return self.difference != 0

    def coefficient(self, place: str) -> int:
        """What the difference grows by when the cell grows by one."""
        return (self.stated.place == place) - sum(member.place == place for member in self.members)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a cell beside the identities; what is left out is taken from them where they tell it.

    Args:
        beside: values of the cells before and after it in its row.
        above: value of the cell above it.
        others: the other values of its row.
        last_year: the same month a year earlier.
        second: the same number in a second source, called `second_name`.
    """

    beside: tuple[Decimal, ...] = ()
    above: Decimal | None = None
    others: tuple[Decimal, ...] = ()
    last_year: Decimal | None = None
    second: Decimal | None = None
    second_name: str = "照合先"


class StatedTotal(Protocol):
    """A total found by a reader, as far as needed here."""

    @property
    def name(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def stated(self) -> Decimal: ...
    @property
    def members(self) -> tuple[str, ...]: ...
    @property
    def label(self) -> str: ...
    @property
    def measure_code(self) -> str | None: ...


class ReadNumber(Protocol):
    """A number found by a reader, as far as needed here."""

    @property
    def measure_code(self) -> str: ...
    @property
    def value(self) -> Decimal | None: ...
    @property
    def value_mark(self) -> str | None: ...
    @property
    def value_text(self) -> str | None: ...
    @property
    def source_cell(self) -> str: ...


Number = TypeVar("Number", bound=ReadNumber)


def identities_of(
    checks: Iterable[StatedTotal], rows: Iterable[Number], label: Callable[[Number], str]
) -> list[tuple[Identity, ...]]:
    """The identities of a reading; those of each measure by themselves, since a cell may hold several quantities.

    A member that is a total itself (the corner of a table) takes its value from there; one with a mark in place of a
    number adds nothing; one that was not read at all is missing. Totals of one column (of one row) must all have as many
    members as the fullest of them: a row with a blank among full rows lacks a number, and its gap is not to be explained
    by a slip elsewhere.
    """
    checks = list(checks)
    fullest: dict[tuple[str, ...], int] = {}
    for check in checks:
        line = _line_of(check)
        fullest[line] = max(fullest.get(line, 0), len(check.members))
    wanted = {place for check in checks for place in check.members}
    read: dict[tuple[str, str | None], Number] = {}
    for row in rows:
        if row.source_cell in wanted:
            read[row.source_cell, row.measure_code] = read[row.source_cell, None] = row
    totals = {
        (check.place, check.measure_code): Figure(check.place, check.label, check.stated) for check in checks
    }
    groups: dict[str | None, list[Identity]] = {}
    for check in checks:
        members = []
        for place in check.members:
            key = (place, check.measure_code)
            row_read = read.get(key)
            if row_read is None:
                members.append(totals.get(key, Figure(place, place, None)))
            elif row_read.value is not None:
                members.append(Figure(place, label(row_read), row_read.value, row_read.value_text or ""))
        marked = len(check.members) - len(members)
        identity = Identity(
            f"{check.name} {check.place}",
            check.label,
            totals[check.place, check.measure_code],
            tuple(members),
            fullest[_line_of(check)] - marked,
        )
        groups.setdefault(check.measure_code, []).append(identity)
    return [tuple(group) for group in groups.values()]


def _line_of(check: StatedTotal) -> tuple[str, ...]:
    """Totals that sum up the same cells of other rows (or columns): those below (or beside) each other."""
    match = _POSITION.search(check.place)
    if match is None:
        return (check.name, check.place)
    sheet = check.place.rpartition("!")[0]
    upright = check.name.endswith(".row")
    spot = (match["column"] or match["key"]) if upright else (match["row"] or match["line"])
    return (check.name, check.measure_code or "", sheet, spot)


def amount(value: Decimal) -> str:
    """1831 → 1,831; 91.30 → 91.3."""
    plain = format(value, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{Decimal(plain):,f}"


def tables_of(identities: Sequence[Identity]) -> list[list[Identity]]:
    """Identities joined by the cells they share."""
    of_place: dict[str, int] = {}
    tables: dict[int, list[Identity]] = {}
    for number, identity in enumerate(identities):
        joined = {of_place[figure.place] for figure in identity.figures if figure.place in of_place}
        table = min(joined, default=number)
        for other in sorted(joined - {table}):
            for moved in tables[other]:
                of_place.update((figure.place, table) for figure in moved.figures)
            tables[table] += tables.pop(other)
        tables.setdefault(table, []).append(identity)
        of_place.update((figure.place, table) for figure in identity.figures)
    return [tables[number] for number in sorted(tables)]


def with_neighbours(identities: Sequence[Identity], given: Mapping[str, Evidence]) -> dict[str, Evidence]:
    """The evidence given, with what the identities themselves tell of a cell's neighbours."""
    values: dict[str, Decimal | None] = {}
    rows: dict[str, tuple[tuple[Decimal, ...], tuple[Decimal, ...]]] = {}
    above: dict[str, Decimal | None] = {}
    for identity in identities:
        for figure in identity.figures:
            if values.setdefault(figure.place, figure.value) != figure.value:
                raise ValueError(f"{figure.place}: two values, {values[figure.place]} and {figure.value}")
        members = identity.members
        upright = _upright(members)
        for at, member in enumerate(members):
            before = members[at - 1].value if at else None
            if upright:
                above[member.place] = before
                continue
            after = members[at + 1].value if at + 1 < len(members) else None
            others = tuple(m.value for m in members if m is not member and m.value is not None)
            rows[member.place] = (tuple(v for v in (before, after) if v is not None), others)
    known = dict(given)
    for place in values:
        own = known.get(place, Evidence())
        beside, others = rows.get(place, ((), ()))
        known[place] = replace(
            own,
            beside=own.beside or beside,
            others=own.others or others,
            above=above.get(place) if own.above is None else own.above,
        )
    return known


def _upright(members: Sequence[Figure]) -> bool:
    """Whether the cells stand below each other; a place that tells no row and column counts as lying in a row."""
    found = [_POSITION.search(member.place) for member in members]
    spots = [(match["column"] or match["key"], match["row"] or match["line"]) for match in found if match]
    return (
        len(members) == len(spots) > 1
        and len({column for column, _ in spots}) == 1
        and len({row for _, row in spots}) > 1
    )
