"""A table that was split by sex and nationality and gives the total alone, or less of a part, is asked about."""

from __future__ import annotations

from dataclasses import replace

import pytest
from moves_warehouse import FIRST, MOVES, ROWS, SECOND, Warehouse, later

from demo.estat import Simulator, Table, edits
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import load
from kpi_warehouse.errors import KpiError

THIRD = "2024-03"
GROWN = synthetic_migration([FIRST, SECOND, THIRD])
RULE = "sexes_and_nationalities_keep_coming"


def total_alone(table: Table) -> Table:
    """The third month without men, women, Japanese and foreigners."""
    for sex in ("0", "1", "2"):
        for kind in ("60000", "61000", "62000"):
            if (sex, kind) != ("0", "60000"):
                table = edits.set_text(table, THIRD, {"cat01": sex, "cat02": kind}, None)
    return table


def test_a_month_as_split_as_the_last_one_is_taken(accepted: Warehouse, estat: Simulator) -> None:
    estat.publish(later(GROWN))
    load.fetch(MOVES)
    assert load.run(MOVES, force=True).state in ("published", "unchanged")
    assert RULE not in accepted.broken()


@pytest.mark.parametrize(
    ("part", "parts", "cells"),
    [
        (total_alone, 8, "0 セル"),
        (
            lambda t: edits.set_text(t, THIRD, {"cat01": "1", "cat02": "62000", "area": "43000"}, None),
            1,
            "141 セル",
        ),
    ],
)
def test_a_month_that_is_split_by_less_than_the_last_one_is_not_published(
    part: object, parts: int, cells: str, accepted: Warehouse, estat: Simulator
) -> None:
    estat.publish(later(part(GROWN)))  # type: ignore[operator]
    with pytest.raises(KpiError):
        load.run(MOVES)
    assert accepted.rows("select count(*) from raw.estat_migration_monthly") == [(2 * ROWS,)]
    count, _ = accepted.broken()[RULE]
    assert count == parts
    ((evidence,),) = accepted.rows(
        "select evidence_ja from ops.gate_result where expectation = %s and not success order by load_id desc limit 1",
        RULE,
    )
    assert cells in evidence and "2024-03" in evidence


def test_within_a_first_delivery_each_month_is_held_against_the_one_before(
    warehouse: str, estat: Simulator
) -> None:
    estat.publish(replace(later(total_alone(GROWN))))
    with pytest.raises(KpiError):
        load.run(MOVES)
    assert RULE in Warehouse(warehouse).broken()
