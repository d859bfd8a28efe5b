"""Which rules share a scan: only those that look at one row at a time may, whatever their text."""

from __future__ import annotations

import dataclasses

import pytest

from kpi_warehouse.contract import Rule
from kpi_warehouse.gate.suite import compile_contract
from kpi_warehouse.load import contract_of

FLOWS = contract_of("estat_migration_flow_monthly")


def shares_a_scan(query: str) -> bool:
    rule = Rule(
        "asked", "critical", "rows", "理由", "unexpected_rows_expectation", {"unexpected_rows_query": query}
    )
    contract = dataclasses.replace(FLOWS, rules=(rule,), gate_views={"pairs": "select * from {batch}"})
    return '"asked"' in compile_contract(contract, 1).sweep_queries[-1]


@pytest.mark.parametrize(
    "condition",
    [
        "persons < 0",
        "persons is null\n  and persons_mark not in ('-', 'X')",
        "(period - date '2024-01-01') between 0 and 13 or sex_code = '0'",
    ],
)
def test_a_condition_on_one_row_is_counted_with_the_others(condition: str) -> None:
    assert shares_a_scan(f"select * from {{batch}} where {condition}")


@pytest.mark.parametrize(
    "query",
    [
        "select period from {batch} where persons < 0",
        "select * from {history} where persons < 0",
        "select * from {batch} as r where r.persons < 0",
        "select * from {batch} where persons < 0 order by period limit 1",
        "select * from {batch} where persons < 0 group by period",
        "select * from {batch} where persons < 0 UNION ALL select * from {batch}",
        "select * from {batch} where persons < (SELECT 0)",
        "select * from {batch} where period in (table {pairs})",
        "select * from {batch} where persons < 0 -- 説明",
        "select * from {batch} where persons < 0 /* 説明 */",
        "select * from {batch} where persons < 0; select 1",
    ],
)
def test_what_reaches_beyond_the_row_is_asked_by_itself(query: str) -> None:
    assert not shares_a_scan(query)


def test_what_takes_longest_is_swept_by_itself_unless_others_need_its_table() -> None:
    longest, others = compile_contract(FLOWS, 1).sweep_queries
    assert "cells_once_and_sexes_sum" in longest
    assert "marks_known" in others and "cells_once_and_sexes_sum" not in others
    (all_rules,) = compile_contract(contract_of("estat_migration_monthly"), 1).sweep_queries
    assert "cells_once" in all_rules and "marks_known" in all_rules
