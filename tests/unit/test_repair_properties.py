"""Properties of repair proposals, over tables of any numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from repair_rows import only, row

from kpi_warehouse.gate.identities import Figure, Identity
from kpi_warehouse.gate.repair import proposals

# Properties. The slips are made here once more, forwards (number → what would be typed), so that the two must agree.


def typed(meant: int) -> set[int]:
    """Every number that one slip of the fingers makes of an integer."""
    sign, text = -1 if meant < 0 else 1, str(abs(meant))
    digits = {text[:at] + text[at + 1 :] for at in range(len(text)) if len(text) > 1}
    digits |= {
        text[:at] + d + text[at:] for at in range(len(text) + 1) for d in "0123456789" if (at, d) != (0, "0")
    }
    digits |= {text[:at] + text[at + 1] + text[at] + text[at + 2 :] for at in range(len(text) - 1)}
    found = {sign * int(each) for each in digits} | {-meant}
    found |= {meant * 10**n for n in (1, 2, 3)}
    found |= {meant // 10**n for n in (1, 2, 3) if meant % 10**n == 0}
    return found - {meant}


Table = list[list[int]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width, height = draw(st.integers(2, 9)), draw(st.integers(2, 4))
    line = st.lists(st.integers(10, 99999), min_size=width, max_size=width)
    return draw(st.lists(line, min_size=height, max_size=height))


def identities(
    table: Table, changed: dict[str, int], *, columns: bool, corner: bool = True
) -> list[Identity]:
    """Totals of the rows (of the columns and the corner too) with some cells changed after they were summed."""

    def place(r: int, c: int) -> str:
        return f"表!{chr(65 + c)}{r + 1}"

    def figure(spot: str, value: int) -> Figure:
        return Figure(spot, spot, Decimal(changed.get(spot, value)))

    height, width = len(table), len(table[0])
    grid = [[figure(place(r, c), table[r][c]) for c in range(width)] for r in range(height)]
    row_totals = [figure(place(r, width), sum(table[r])) for r in range(height)]
    found = [Identity(f"r{r}", f"r{r}", row_totals[r], tuple(grid[r])) for r in range(height)]
    if columns:
        sums = [sum(line) for line in zip(*table, strict=True)]
        totals = [figure(place(height, c), sums[c]) for c in range(width)]
        found += [
            Identity(f"c{c}", f"c{c}", totals[c], tuple(grid[r][c] for r in range(height)))
            for c in range(width)
        ]
        if corner:
            last = figure(place(height, width), sum(sums))
            found += [
                Identity("right", "right", last, tuple(row_totals)),
                Identity("low", "low", last, tuple(totals)),
            ]
    return found


def places(table: Table, *, totals: bool) -> list[tuple[str, int]]:
    """Places and true values of the cells, and of the totals of the rows."""
    found = [(f"表!{chr(65 + c)}{r + 1}", v) for r, line in enumerate(table) for c, v in enumerate(line)]
    last = chr(65 + len(table[0]))
    return found + ([(f"表!{last}{r + 1}", sum(line)) for r, line in enumerate(table)] if totals else [])


def neighbours(table: Table, spot: str) -> set[int]:
    r, c = int(spot[3:]) - 1, ord(spot[2]) - 65
    if c >= len(table[0]):
        return set()
    line = table[r]
    near = {line[x] for x in (c - 1, c + 1) if 0 <= x < len(line)}
    return near | ({table[r - 1][c]} if r else set())


@settings(deadline=None)
@given(st.data(), tables(), st.booleans())
def test_with_totals_of_rows_and_columns_the_one_slip_is_found_and_nothing_else(
    data: st.DataObject, table: Table, corner: bool
) -> None:
    spot, meant = data.draw(st.sampled_from(places(table, totals=True)))
    slips = sorted(typed(meant) | {v for v in neighbours(table, spot) if v != meant})
    found = data.draw(st.sampled_from(slips))
    proposal = only(proposals(identities(table, {spot: found}, columns=True, corner=corner)))
    assert proposal.kind == "one"
    assert [(edit.place, edit.proposed) for edit in proposal.edits] == [(spot, meant)]


@settings(deadline=None)
@given(st.data(), tables())
def test_with_totals_of_rows_only_the_true_repair_is_among_the_candidates(
    data: st.DataObject, table: Table
) -> None:
    spot, meant = data.draw(st.sampled_from(places(table, totals=True)))
    found = data.draw(st.sampled_from(sorted(typed(meant))))
    proposal = only(proposals(identities(table, {spot: found}, columns=False)))
    assert (spot, meant) in [(edit.place, edit.proposed) for edit in proposal.edits]
    assert proposal.kind == ("one" if len(proposal.edits) == 1 else "ambiguous")


@settings(deadline=None)
@given(st.data(), tables(), st.integers(-99999, 99999))
def test_noise_that_is_no_slip_is_never_repaired_where_rows_and_columns_have_totals(
    data: st.DataObject, table: Table, noise: int
) -> None:
    spot, meant = data.draw(st.sampled_from(places(table, totals=True)))
    assume(noise != meant and noise not in typed(meant) | neighbours(table, spot))
    proposal = only(proposals(identities(table, {spot: noise}, columns=True)))
    assert (proposal.kind, proposal.edits) == ("none", ())


@settings(deadline=None)
@given(st.data(), tables(), st.booleans())
def test_two_wrong_cells_are_never_repaired_where_rows_and_columns_have_totals(
    data: st.DataObject, table: Table, corner: bool
) -> None:
    spots = st.lists(st.sampled_from(places(table, totals=False)), min_size=2, max_size=2, unique=True)
    changed = {
        spot: data.draw(
            st.one_of(st.sampled_from(sorted(typed(v))), st.integers(0, 99999).filter(lambda n, v=v: n != v))
        )
        for spot, v in data.draw(spots)
    }
    found = proposals(identities(table, changed, columns=True, corner=corner))
    assert [(p.kind, p.edits) for p in found] == [("none", ())]


def explanations(line: Sequence[int], total: int) -> Iterator[tuple[int, int]]:
    """Every single change (position, number meant; the total last) that a slip explains, by trying them all."""
    gap = total - sum(line)
    for at, value in enumerate([*line, total]):
        meant = value + (gap if at < len(line) else -gap)
        beside = {line[x] for x in (at - 1, at + 1) if at < len(line) and 0 <= x < len(line)}
        if value in typed(meant) or (value in beside and value >= 10):
            yield at, meant


@settings(deadline=None)
@given(st.lists(st.integers(10, 300), min_size=2, max_size=6), st.integers(20, 2000))
def test_of_a_row_alone_a_proposal_is_made_exactly_when_one_slip_explains_it(
    line: list[int], total: int
) -> None:
    assume(total != sum(line))
    wanted = set(explanations(line, total))
    proposal = only(proposals([row(line, total)]))
    assert proposal.kind == ("none" if not wanted else "one" if len(wanted) == 1 else "ambiguous")
    order = [f"移住!{chr(66 + at)}12" for at in range(len(line))] + ["移住!K12"]
    assert {(order.index(edit.place), int(edit.proposed)) for edit in proposal.edits} == wanted
    assert proposal.message_ja
