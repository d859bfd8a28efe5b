"""A true shock is asked about once; by name and reason it is history, and neither the months after it nor the next year cry wolf."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from demo.estat import Simulator
from demo.estat.tables import KUMAMOTO, Table
from kpi_warehouse.decisions import questions
from kpi_warehouse.warehouse.connection import connect
from tests.trust.house import MOVES, House
from tests.trust.lies import numbers
from tests.trust.life_months import CODES, HOME, Months


def shocked(months: Months, month: str, out: float) -> None:
    """So many times as many people leave 熊本県 in this month, to every prefecture alike."""
    months.flows[month] = months.flows[month].copy()
    months.flows[month][HOME] = (months.flows[month][HOME] * out).round().astype(int)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("month", "out"),
    [
        ("2024-04", 1.8),
        pytest.param("2024-08", 1.8, marks=pytest.mark.nightly),
        pytest.param("2024-08", 1.4, marks=pytest.mark.nightly),
    ],
)
def test_a_released_shock_cries_wolf_neither_next_month_nor_next_year(
    warehouse: str, use_estat: Callable[[Simulator], None], month: str, out: float
) -> None:
    known = Months.until("2025-12")
    known.earlier.clear()  # 熊本県 alone: nothing to compare the other prefectures with
    shocked(known, month, out)

    def served(newest: str) -> Table:
        moves, _ = known.tables(newest)
        return moves

    year, number = int(month[:4]), int(month[5:])
    before, after = f"{year}-{number - 1:02}", f"{year}-{number + 1:02}"
    next_before, next_same, next_after = (f"{year + 1}-{number + by:02}" for by in (-1, 0, 1))
    with Simulator([served(before)]) as source, psycopg.connect(warehouse) as admin:
        use_estat(source)
        house = House(admin, warehouse, source)
        for newest in (before, month):
            answer = house.take(served(newest), numbers(served(newest)))
        assert answer.outcome == "asked", answer
        assert CODES[HOME] == KUMAMOTO and "熊本県" in answer.evidence
        with connect() as connection:
            (asked,) = connection.execute(
                "select load_id from ops.load where feed = %s and state = 'asked'", [MOVES]
            ).fetchone()
        questions.release(asked, "地震の後の転出。市町村課に確認")
        for newest in (after, next_before, next_same, next_after):
            answer = house.take(served(newest), numbers(served(newest)))
            assert (newest, answer.outcome, answer.rules) == (newest, "published", ()), answer.evidence
            assert answer.wrong == 0
