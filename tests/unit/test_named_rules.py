"""Named rules: parameters are checked with their place, the calendar knows years to come, what cannot be judged is said."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import pytest

from demo.estat import Simulator
from kpi_warehouse import load
from kpi_warehouse.contract import Rule
from kpi_warehouse.errors import ContractError
from kpi_warehouse.gate.rules import NAMED
from kpi_warehouse.gate.rules.closed_days import closed_at_end
from kpi_warehouse.gate.suite import compile_contract
from kpi_warehouse.load import contract_of

MOVES = contract_of("estat_migration_monthly")


def compiled(kind: str, scope: Any = "table", **kwargs: object) -> str:
    rule = Rule("asked", "question", scope, "理由", kind, kwargs)
    return compile_contract(dataclasses.replace(MOVES, rules=(rule,)), 1).queries["asked"]


@pytest.mark.parametrize(
    ("kind", "kwargs", "said"),
    [
        ("same_as_other_period", {"share": 0.2}, "at_least"),
        ("same_as_other_period", {"share": 2.0, "at_least": 5}, "share.*2.0"),
        ("same_as_other_period", {"share": 0.2, "at_least": 5, "sharp": 1}, "sharp"),
        (
            "same_as_other_period",
            {"share": 0.2, "at_least": 5, "where": {"prefecture": "43000"}},
            "where の prefecture",
        ),
        ("same_as_other_period", {"share": 0.2, "at_least": 5, "where": {"area_code": "43"}}, "43 はない"),
        ("like_the_year_before", {"by": "share", "bound": 5.5}, "parts"),
        ("like_the_year_before", {"by": "shape", "bound": 0.1, "parts": "area_code"}, "items"),
        ("like_the_year_before", {"by": "rank", "bound": 1.5, "parts": "area_code"}, "bound"),
        ("like_the_year_before", {"by": "size", "bound": 1.5}, "level"),
        ("sums_with", {"column": "area_code", "whole": "99000"}, "whole"),
        ("unlike_anything", {}, "same_as_other_period"),
    ],
)
def test_a_wrong_parameter_is_said_with_the_rule_and_what_is_expected(
    kind: str, kwargs: dict[str, object], said: str
) -> None:
    with pytest.raises(ContractError, match=rf"規則 asked[\s\S]*{said}"):
        compiled(kind, **kwargs)


def test_a_rule_about_a_delivery_is_not_one_about_rows() -> None:
    with pytest.raises(ContractError, match="scope"):
        compiled("same_as_other_period", "rows", share=0.2, at_least=5)


@pytest.mark.parametrize(
    ("month", "days"),
    [
        (date(2023, 12, 1), 3),  # Friday the 29th to Sunday
        (date(2024, 12, 1), 4),  # Saturday the 28th to Tuesday
        (date(2024, 3, 1), 2),
        (date(2019, 4, 1), 4),  # 昭和の日, and the days before the accession
        (date(2024, 2, 1), 0),
    ],
)
def test_closed_days_at_the_end_of_a_month(month: date, days: int) -> None:
    assert closed_at_end(month) == days


def test_the_calendar_knows_years_to_come() -> None:
    assert all(
        0 <= closed_at_end(date(year, month, 1)) <= 6 for year in range(2027, 2046) for month in range(1, 13)
    )
    assert closed_at_end(date(2039, 4, 1)) == 2  # Friday 29 (昭和の日) and Saturday 30


def test_every_rule_says_what_usually_lies_behind_it() -> None:
    for rule in NAMED.values():
        assert len(rule.likely_ja) == 2 and rule.__doc__


def test_what_cannot_be_judged_is_said(warehouse: str, estat: Simulator) -> None:
    import psycopg

    load.run("estat_migration_monthly")
    with psycopg.connect(warehouse) as connection:
        said = dict(
            connection.execute(
                "select expectation, evidence_ja from ops.gate_result where success"
            ).fetchall()
        )
    assert (
        "前年同期の数値が足りない：2 期間（2024-01-01〜2024-02-01）"
        in said["prefecture_share_like_the_year_before"]
    )
    assert said["same_as_other_month"] == ""
