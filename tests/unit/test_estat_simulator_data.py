"""The figures of the e-Stat simulator hold together: published, allocated, generated and revised ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from demo.estat import Table, allocate, published, synthetic
from demo.estat.edits import revise, revise_month
from demo.estat.tables import FLOW, KUMAMOTO, MOVES, NATION, PREFECTURES, periods, time_code

MONTHS = periods("2024-01", "2024-04")


def number(text: str | None) -> int:
    """The number of a cell that must hold one."""
    assert text is not None
    return int(text)


def check_identities(table: Table) -> None:
    """What §2.5 of the source notes demands, on a table that is full of numbers."""
    for period in MONTHS:
        cells = {
            codes: int(text)
            for codes, text in zip(table.cells, table.months[time_code(period)], strict=True)
            if text is not None and text != "-"
        }
        sexes = 2 if table.id == FLOW else 1
        for codes, persons in cells.items():
            if codes[sexes] == "0":
                parts = [cells[(*codes[:sexes], sex, *codes[sexes + 1 :])] for sex in "12"]
                assert persons == sum(parts), codes
            if table.id == MOVES and codes[2] == "60000":
                assert persons == sum(cells[*codes[:2], kind, codes[3]] for kind in ("61000", "62000")), codes
            if table.id == MOVES and codes[0] == "04":
                assert persons == cells["02", *codes[1:]] - cells["03", *codes[1:]], codes
                if codes[3] == NATION:
                    assert persons == 0 == sum(cells[*codes[:3], area] for area in PREFECTURES)
        assert min(n for codes, n in cells.items() if codes[0] != "04") >= 0


def margins(flow: Table, period: str, sex: str = "0") -> dict[str, tuple[int, int]]:
    """Area code → (in, out) of a month, summed from the flows."""
    sums = {code: [0, 0] for code in PREFECTURES}
    for (_, origin, each, area), text in zip(flow.cells, flow.months[time_code(period)], strict=True):
        assert (text == "-") == (origin == area)
        if each == sex and text is not None and text != "-":
            sums[area][0] += int(text)
            sums[origin][1] += int(text)
    return {code: (inflow, outflow) for code, (inflow, outflow) in sums.items()}


def test_published_nets_of_the_47_sum_to_zero_and_both_files_agree_on_kumamoto() -> None:
    full = {period: known for period, known in published.prefecture_moves().items() if len(known) == 47}
    assert sorted(full) == periods("2023-01", "2024-12")
    assert all(sum(i - o for i, o in known.values()) == 0 for known in full.values())
    assert sum(i for i, _ in full["2024-03"].values()) == 499_786


@pytest.mark.parametrize(
    ("year", "net"), [("2018", -3575), ("2019", -3900), ("2023", -1624), ("2024", -1542)]
)
def test_published_months_of_kumamoto_sum_to_the_published_year(year: str, net: int) -> None:
    moves = published.moves()
    months = periods(f"{year}-01", f"{year}-12")
    assert sum(number(moves.value(m, "04", "0", "60000", KUMAMOTO)) for m in months) == net


def test_figures_we_do_not_hold_are_marked_and_the_mark_is_declared() -> None:
    moves = published.moves()
    assert (
        moves.value("2018-01", "02", "0", "60000", "13000")
        == "…"
        == moves.value("2025-02", "04", "0", "60000", NATION)
    )
    assert list(moves.notes) == ["…"]


def test_allocated_flows_meet_every_published_figure() -> None:
    flow, held = published.flow(), published.prefecture_moves()
    assert "公表値ではない" in flow.description
    for period in periods("2023-01", "2024-12"):
        assert margins(flow, period) == held[period], period
    for (direction, partner, period), persons in published.partner_sums().items():
        pairs = [
            (KUMAMOTO, area) if direction == "out" else (area, KUMAMOTO) for area in published.BLOCS[partner]
        ]
        assert sum(number(flow.value(period, "02", a, "0", b)) for a, b in pairs) == persons
    assert published.partner_sums()["in", "大阪圏", "2024-05"] == 165


def test_allocating_again_gives_the_committed_file() -> None:
    held, sums = published.prefecture_moves(), published.partner_sums()
    lines = published.ALLOCATED.read_text(encoding="utf-8").splitlines()[1:]
    again = [
        line
        for period in periods("2023-01", "2024-12")
        for line in allocate.table_lines(period, allocate.allocate(period, held[period], sums))
    ]
    assert again == lines


def test_synthetic_tables_keep_every_identity_and_agree_with_each_other() -> None:
    moves, flow = synthetic.synthetic_migration(MONTHS), synthetic.synthetic_flow_months(MONTHS)
    check_identities(moves)
    check_identities(flow)
    for sex in "012":
        for code, (inflow, outflow) in margins(flow, "2024-03", sex).items():
            assert str(inflow) == moves.value("2024-03", "02", sex, "60000", code)
            assert str(outflow) == moves.value("2024-03", "03", sex, "60000", code)


@pytest.mark.parametrize("values", [1, 6_627, 20_000])
def test_a_synthetic_flow_has_exactly_the_values_asked_for(values: int) -> None:
    flow = synthetic.synthetic_flow(values)
    assert flow.total == values
    if values > 2_209:
        totals = [place for place, codes in enumerate(flow.cells) if codes[2] == "0"]
        assert all(texts[place] is not None for texts in flow.months.values() for place in totals)
    assert all(len(a) == len(b) for a, b in pairwise(flow.months.values()))


@pytest.mark.parametrize("make", [synthetic.synthetic_migration, synthetic.synthetic_flow_months])
def test_a_revision_changes_the_stated_share_and_keeps_every_identity(make: Any) -> None:
    table = make(MONTHS)
    later = revise(table, fraction=0.005, seed=7)
    changed = sum(
        old != new
        for time in table.months
        for old, new in zip(table.months[time], later.months[time], strict=True)
    )
    assert 0.005 * table.total <= changed <= 0.005 * table.total + 16
    assert later.updated_on > table.updated_on and later.total == table.total
    check_identities(later)
    month = revise_month(table, "2024-02")
    differing = [time for time in table.months if table.months[time] != month.months[time]]
    assert differing == [time_code("2024-02")]


def test_years_among_the_months_are_their_sums() -> None:
    table = synthetic.synthetic_migration(periods("2024-01", "2024-12"), years=True)
    place = table.places["02", "0", "60000", KUMAMOTO]
    year = table.months["2024000000"][place]
    assert number(year) == sum(number(t[place]) for c, t in table.months.items() if c != "2024000000")
    assert table.time.members[-1].name == "2024年"
