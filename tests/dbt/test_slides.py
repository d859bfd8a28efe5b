"""The numbers of the slides' data pages, each answered from the marts by SQL; what cannot be answered is listed with why."""

from __future__ import annotations

import csv
import shutil
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
import pytest
from deliveries import MEMBER_OF, Deliveries, figures, published_flows, published_moves

from kpi_warehouse import load, marts
from kpi_warehouse.contract import FileSource, contracts
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.sources.inbox_receive import receive_all
from kpi_warehouse.warehouse.connection import connect

DEMO = PROJECT / "demo"
MISPRINT = "資料の誤り（1桁落ち）。マートは訂正後の 165"
NO_FEED = "部署の様式にない数値（文章の中だけにある）"
BY_HTTP = "HTTP で届くフィード（この試験では届けない）"
NO_YEAR = "年度のない目標値は受け取らない"
NOT_ANSWERED = {
    BY_HTTP: {"F04-1", "F04-2", "F04-3"},
    NO_YEAR: {"F18-2"},
    NO_FEED: {
        "F03-2",
        *(f"F14-{n}" for n in range(1, 5)),
        *(f"F15-{n}" for n in range(1, 5)),
        *("F16-1", "F16-2", "F17-1", "F17-2", "F17-3"),
        *("F21-1", "F21-2", "F21-3", "F22-1", "F22-2", "F23-1", "F23-2", "F23-3", "F25", "F26-1", "F26-2"),
    },
}
PARTICIPANTS = (
    "select sum(value) from marts.mart_programme_value"
    " where feed = 'semiconductor_training' and measure_code = 'students'"
)


class Number(NamedTuple):
    """A number as the slides print it, and the query whose first cell must equal it."""

    name: str
    printed: Decimal
    query: str


def programme_figures() -> list[dict[str, str]]:
    path = DEMO / "inbox_files" / "figures" / "programme_metrics.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["value"]]


def catalogue() -> list[dict[str, str]]:
    path = DEMO / "inbox_files" / "figures" / "kpi_catalogue.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers() -> list[Number]:
    """Every number of the data pages."""
    found: list[Number] = []

    def add(name: str, printed: str | int, query: str) -> None:
        found.append(Number(name, Decimal(printed), query))

    for row in catalogue():
        for part in ("target", "baseline"):
            if row[f"{part}_value"]:
                query = f"select {part}_value from marts.dim_kpi where kpi_id = '{row['kpi_id']}'"
                add(f"{row['kpi_id']} {part}", row[f"{part}_value"], query)
    columns = dict(zip(MEMBER_OF, ("tokyo_area", "osaka_area", "fukuoka", "elsewhere"), strict=True))
    kumamoto = "from marts.mart_migration_monthly where area_code = '43000'"
    to_september = "and calendar_year = {} and month_number <= 9"
    for row in figures("seed_migration_2024_monthly"):
        way = {"in": "in_from", "out": "out_to"}[row["direction"]]
        column = f"{way}_{columns[row['counterpart']]}"
        for month in (name for name in row if name.startswith("2024")):
            query = f"select {column} {kumamoto} and period_id = '{month}'"
            add(f"{row['direction']} {row['counterpart']} {month}", row[month], query)
        add(
            f"{row['direction']} {row['counterpart']} 計",
            row["total_as_printed"],
            f"select sum({column}) {kumamoto} {to_september.format(2024)}",
        )
    for row in figures("kumamoto_monthly_migration"):
        if "2024-01" <= row["year_month"] <= "2024-09":
            query = f"select out_migrants {kumamoto} and period_id = '{row['year_month']}'"
            add(f"転出 全国計 {row['year_month']}", row["out_migrants"], query)
    for name, printed, column, year in (
        ("転出 計", 26567, "out_migrants", 2024),
        ("転入 計", 24406, "in_migrants", 2024),
        ("R6.9月末", -2161, "net_migration", 2024),
        ("R5.9月末", -1951, "net_migration", 2023),
    ):
        add(name, printed, f"select sum({column}) {kumamoto} {to_september.format(year)}")
    for row in figures("annual_social_change"):
        if int(row["calendar_year"]) <= 2023:
            query = f"select value from marts.fct_kpi_value where kpi_id = 'K12' and period_id = 'CY{row['calendar_year']}'"
            add(f"社会増減 {row['calendar_year']}", row["net_migration"], query)
    for row in programme_figures():
        if row["metric_id"] == "F19":
            add("F19", row["value"], PARTICIPANTS)
            continue
        # The forms of F20 carry activities by kind: their rows have no number of the slides.
        measure = (
            "feed = 'semiconductor_training'"
            if row["metric_id"].startswith("F20-")
            else f"seed_id = '{row['metric_id']}'"
        )
        query = f"select value from marts.mart_programme_value where {measure} and value = {row['value']}"
        if row["period_text"].startswith("R") and row["period_text"][1:].isdigit():
            query += f" and (fiscal_year = {2018 + int(row['period_text'][1:])} or period_kind <> '年度')"
        add(f"{row['metric_id']} {row['period_text']}", row["value"], query + " limit 1")
    return found


def deliver_the_demo_files() -> None:
    inbox = settings().home / "inbox"
    inbox.mkdir(parents=True)
    for file in [*(DEMO / "inbox").iterdir(), *(DEMO / "inbox/corrected").iterdir()]:
        if file.is_file() and file.name != "移住定住の状況（R6.9月末）.xlsx":
            shutil.copyfile(file, inbox / file.name)
    receive_all(wait=True)
    for contract in contracts(settings().contracts):
        if isinstance(contract.source, FileSource) and contract.source.url is None:
            load.run(contract.feed)


def reason(name: str) -> str:
    """Why a number of the slides is not in the marts; empty when nobody knows."""
    if name == "in 大阪圏 2024-05":
        return MISPRINT
    return next((why for why, codes in NOT_ANSWERED.items() if name.split(maxsplit=1)[0] in codes), "")


def answer(connection: psycopg.Connection, number: Number) -> Any:
    row = connection.execute(number.query.encode()).fetchone()
    return row[0] if row else None


def test_the_marts_answer_the_numbers_of_the_slides(
    warehouse: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    settings.cache_clear()
    with connect("kpi_loader", autocommit=True) as loader:
        made = Deliveries(loader)
        made.publish_moves(published_moves())
        made.publish_flows(published_flows())
    deliver_the_demo_files()
    marts.build()

    with connect("kpi_transformer") as connection:
        asked = numbers()
        missed = {number.name for number in asked if answer(connection, number) != number.printed}
    reasons = {name: reason(name) for name in sorted(missed)}
    with capsys.disabled():
        print(f"\n資料の数値 {len(asked)} 件中 {len(asked) - len(missed)} 件をマートから答えました。")
        for name, why in reasons.items():
            print(f"  ・{name}：{why}")
    assert [name for name, why in reasons.items() if not why] == []
    expected = {"in", *(code for codes in NOT_ANSWERED.values() for code in codes)}
    assert {name.split()[0] for name in missed} == expected
