"""The numbers of the slides' data pages, each answered by SQL from the marts that `run` made; what cannot be answered is listed
with why."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from stack_home import Book, Ended, Home

from kpi_warehouse.claims import check
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.warehouse.connection import connect

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(900)]

FIGURES = Path(__file__).parents[1] / "dbt/figures"
DEMO = PROJECT / "demo"
MISPRINT = "資料の誤り（1桁落ち）。マートは訂正後の 165"
NO_FEED = "部署の様式にない数値（文章の中だけにある）"
NO_YEAR = "年度のない目標値は受け取らない"
NOT_ANSWERED = {
    NO_YEAR: {"F18-2"},
    NO_FEED: {
        "F03-2",
        *(f"F14-{n}" for n in range(1, 5)),
        *("F15-1", "F16-1", "F17-1", "F17-2", "F17-3"),
        *("F21-1", "F21-2", "F21-3", "F22-1", "F22-2", "F23-1", "F23-2", "F23-3", "F25", "F26-1", "F26-2"),
    },
}
# The schools of the talks and of the job fair: one measure of two activities.
SAME_MEASURE = {"F16-2": "F15-3"}
PARTICIPANTS = (
    "select sum(value) from marts.mart_programme_value"
    " where feed = 'semiconductor_training' and measure_code = 'students'"
)


class Number(NamedTuple):
    """A number as the slides print it, and the query whose first cell must equal it."""

    name: str
    printed: Decimal
    query: str


def figures(name: str, folder: Path = FIGURES) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def programme_figures() -> list[dict[str, str]]:
    return [row for row in figures("programme_metrics", DEMO / "inbox_files/figures") if row["value"]]


KUMAMOTO = "from marts.mart_migration_monthly where area_code = '43000'"
TO_SEPTEMBER = "and calendar_year = {} and month_number <= 9"
COLUMNS = {"東京圏": "tokyo_area", "大阪圏": "osaka_area", "福岡県": "fukuoka", "その他": "elsewhere"}


def strategy_numbers() -> Iterator[Number]:
    """Targets and baselines."""
    for row in figures("kpi_catalogue"):
        for part in ("target", "baseline"):
            if row[f"{part}_value"]:
                query = f"select {part}_value from marts.dim_kpi where kpi_id = '{row['kpi_id']}'"
                yield Number(f"{row['kpi_id']} {part}", Decimal(row[f"{part}_value"]), query)


def partner_numbers() -> Iterator[Number]:
    """The tables of in- and outflow by partner, with their totals as printed."""
    for row in figures("seed_migration_2024_monthly"):
        way = {"in": "in_from", "out": "out_to"}[row["direction"]]
        column = f"{way}_{COLUMNS[row['counterpart']]}"
        name = f"{row['direction']} {row['counterpart']}"
        for month in (key for key in row if key.startswith("2024")):
            query = f"select {column} {KUMAMOTO} and period_id = '{month}'"
            yield Number(f"{name} {month}", Decimal(row[month]), query)
        total = f"select sum({column}) {KUMAMOTO} {TO_SEPTEMBER.format(2024)}"
        yield Number(f"{name} 計", Decimal(row["total_as_printed"]), total)


def migration_numbers() -> Iterator[Number]:
    """The charts of all moves: monthly, nine months, years."""
    for row in figures("kumamoto_monthly_migration"):
        if "2024-01" <= row["year_month"] <= "2024-09":
            query = f"select out_migrants {KUMAMOTO} and period_id = '{row['year_month']}'"
            yield Number(f"転出 全国計 {row['year_month']}", Decimal(row["out_migrants"]), query)
    for name, printed, column, year in (
        ("転出 計", 26567, "out_migrants", 2024),
        ("転入 計", 24406, "in_migrants", 2024),
        ("R6.9月末", -2161, "net_migration", 2024),
        ("R5.9月末", -1951, "net_migration", 2023),
    ):
        query = f"select sum({column}) {KUMAMOTO} {TO_SEPTEMBER.format(year)}"
        yield Number(name, Decimal(printed), query)
    for row in figures("annual_social_change"):
        if int(row["calendar_year"]) <= 2023:
            query = (
                "select value from marts.fct_kpi_value"
                f" where kpi_id = 'K12' and period_id = 'CY{row['calendar_year']}'"
            )
            yield Number(f"社会増減 {row['calendar_year']}", Decimal(row["net_migration"]), query)


def programme_numbers() -> Iterator[Number]:
    """The figures of the divisions' programmes."""
    for row in programme_figures():
        name, printed = f"{row['metric_id']} {row['period_text']}", Decimal(row["value"])
        if row["metric_id"] == "F19":
            yield Number(name, printed, PARTICIPANTS)
            continue
        # The forms of F20 carry activities by kind: their rows have no number of the slides.
        measure = (
            "feed = 'semiconductor_training'"
            if row["metric_id"].startswith("F20-")
            else f"seed_id = '{SAME_MEASURE.get(row['metric_id'], row['metric_id'])}'"
        )
        query = f"select value from marts.mart_programme_value where {measure} and value = {row['value']}"
        if row["period_text"].startswith("R") and row["period_text"][1:].isdigit():
            query += f" and (fiscal_year = {2018 + int(row['period_text'][1:])} or period_kind <> '年度')"
        yield Number(name, printed, f"{query} limit 1")


def reason(name: str) -> str:
    """Why a number of the slides is not in the marts; empty when nobody knows."""
    if name == "in 大阪圏 2024-05":
        return MISPRINT
    return next((why for why, codes in NOT_ANSWERED.items() if name.split(maxsplit=1)[0] in codes), "")


def answer(connection: psycopg.Connection, number: Number) -> Any:
    row = connection.execute(number.query.encode()).fetchone()
    return row[0] if row else None


def test_the_marts_answer_the_numbers_of_the_slides(
    home: Home,
    first: tuple[Ended, Ended, Book],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KPI_HOME", str(home.path))
    settings.cache_clear()
    with home.database(), connect("kpi_transformer") as connection:
        asked = [*strategy_numbers(), *partner_numbers(), *migration_numbers(), *programme_numbers()]
        missed = {number.name for number in asked if answer(connection, number) != number.printed}
        verdicts = {one.claim.claim_id: one.verdict for one in check(DEMO / "claims" / "slides.yaml")}
    settings.cache_clear()
    assert {name for name, verdict in verdicts.items() if verdict == "✗"} == {"C09", "C12"}
    assert {name for name, verdict in verdicts.items() if verdict == "要確認"} == {
        "C15",
        "C18",
        "C19",
        "C23",
        "C38",
    }
    reasons = {name: reason(name) for name in sorted(missed)}
    with capsys.disabled():
        print(f"\n資料の数値 {len(asked)} 件中 {len(asked) - len(missed)} 件をマートから答えました。")
        for name, why in reasons.items():
            print(f"  ・{name}：{why}")
    assert [name for name, why in reasons.items() if not why] == []
    expected = {"in", *(code for codes in NOT_ANSWERED.values() for code in codes)}
    assert {name.split()[0] for name in missed} == expected
