"""Nothing on a sheet is passed over: whatever is put into an empty cell shows in the result, and nothing raises."""

from __future__ import annotations

import copy
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layout_books import read, sheet
from test_layout_tables import MERGED, MONTHLY, PARTNERS, VALUE, briefing
from test_layout_values import MEASURES, SEED, VACANT
from test_layout_values import VALUE as MARKED

from kpi_warehouse.readers.grid import Cell, Sheet, text_of
from kpi_warehouse.readers.layout import Reading

SHEETS = {
    "migration": (sheet(briefing(), merged=MERGED), MONTHLY, (PARTNERS, VALUE)),
    "vacant": (sheet(SEED, merged=("A4:A5",)), VACANT, (MEASURES, MARKED)),
}
# The contract of `vacant` ignores its first column by name.
IGNORED = {("vacant", row, 0) for row in range(3, 6)}


def again(name: str, page: Sheet | None = None) -> Reading:
    original, made, columns = SHEETS[name]
    return read(page or original, made, *columns)


def wider(page: Sheet) -> Sheet:
    """The sheet with an empty column and two empty rows around it."""
    page = copy.deepcopy(page)
    for number, row in enumerate(page.rows):
        row.append(Cell(None, f"右{number}", ""))
    blank = [[Cell(None, f"下{row}の{at}", "") for at in range(len(page.rows[0]))] for row in range(2)]
    return Sheet(page.name, [*page.rows, *blank])


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("content", [19, "あ"])
def test_no_cell_is_passed_over(name: str, content: int | str) -> None:
    page = wider(SHEETS[name][0])
    assert not again(name, page).faults
    tried = 0
    for at, row in enumerate(page.rows):
        for column, cell in enumerate(row):
            if cell.value is not None or cell.merged_from or (name, at, column) in IGNORED:
                continue
            cell.value, cell.text = content, str(content)
            reading = again(name, page)
            taken = {row.source_cell for row in reading.rows} | {check.place for check in reading.checks}
            assert reading.faults or reading.drift or cell.place in taken, cell.place
            cell.value, cell.text = None, ""
            tried += 1
    assert tried > 20


CONTENTS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.dates(date(1900, 3, 1), date(2100, 1, 1)),
    st.datetimes(datetime(1900, 3, 1), datetime(2100, 1, 1)),
    st.text(max_size=8),
    st.sampled_from(
        [
            "計",
            "区分",
            "5月",
            "R6",
            "令和六年",
            "※",
            "※1",
            "#REF!",
            "単位",
            "（人）",
            "転入",
            "2024年13月",
            "～",
            "1/0",
            "R99.9",
        ]
    ),
)
EDITS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12), CONTENTS, st.booleans(), st.booleans()), max_size=20
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SHEETS)), EDITS)
def test_whatever_stands_in_the_cells_nothing_raises(
    name: str, edits: list[tuple[int, int, Any, bool, bool]]
) -> None:
    page = copy.deepcopy(SHEETS[name][0])
    for at, column, content, hidden, merged in edits:
        row = page.rows[at % len(page.rows)]
        cell = row[column % len(row)]
        try:
            cell.text = text_of(content)
        except (ArithmeticError, ValueError):
            cell.text = str(content)
        cell.value, cell.hidden = content, hidden
        if merged and content is None:
            cell.merged_from = (column % len(page.rows), at % len(row))
    reading = again(name, page)
    keys = [(row.period, row.period_kind, row.measure_code, *row.axes.values()) for row in reading.rows]
    assert len(keys) == len(set(keys))
    assert all((row.value is None) != (row.value_mark is None) for row in reading.rows)
    assert all(fault.place and fault.expected_ja for fault in reading.faults)
