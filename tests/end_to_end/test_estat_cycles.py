"""Tables of years, fiscal years and quarters, with decimals, work like monthly ones: drafted, checked, loaded, revised, replayed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from demo.estat import Simulator, Table
from demo.estat.tables import Axis, Member
from kpi_warehouse import load
from kpi_warehouse.cli import app
from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.readers.estat_time import CYCLES
from kpi_warehouse.settings import PROJECT, settings

FEED = "indicators"
AXES = (
    Axis("tab", "観測値", (Member("00001", "観測値"),)),
    Axis("cat01", "Ａ　人口・世帯", (Member("A1101", "総人口"), Member("A4103", "合計特殊出生率"))),
    Axis("area", "地域", (Member("43000", "熊本県"),)),
)
CELLS = tuple(("00001", code, "43000") for code in ("A1101", "A4103"))


def table(kind: str, periods: list[date]) -> Table:
    cycle = CYCLES[kind]
    return Table(
        "0000010101",
        "社会・人口統計体系 基礎データ",
        AXES,
        CELLS,
        {cycle.code(each): [str(1_700_000 + each.year), f"1.{each.year % 100:02d}"] for each in periods},
        date(2026, 6, 28),
        unit=None,
    )


@pytest.fixture
def contracts(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "contracts"
    shutil.copytree(PROJECT / "expectations", folder)
    monkeypatch.setenv("KPI_CONTRACTS", str(folder))
    settings.cache_clear()
    return folder


def drafted(folder: Path) -> Path:
    """The draft that `kpi feed new` writes of the table served, with every open question answered."""
    made = CliRunner().invoke(
        app, ["feed", "new", FEED, "--table", "0000010101", "--title", "指標", "--owner", "統計調査課"]
    )
    assert made.exit_code == 0, made.output
    path = folder / f"{FEED}.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    assert TO_BE_CHECKED in text
    path.write_text(text.replace(TO_BE_CHECKED, "確認済み"), encoding="utf-8")
    checked = CliRunner().invoke(app, ["feed", "check", str(path)])
    assert checked.exit_code == 0, checked.output
    return path


def accepted(warehouse: str) -> dict[tuple[date, str], Decimal]:
    with psycopg.connect(warehouse) as connection:
        rows = connection.execute(
            f"select period, cat01_code, value from raw.{FEED} where known_to = 'infinity'".encode()
        ).fetchall()
    return {(period, code): value for period, code, value in rows}


@pytest.mark.parametrize("kind", ["四半期", "暦年", "年度"])
def test_a_table_of_another_cycle_is_drafted_loaded_and_revised_as_a_monthly_one(
    kind: str, warehouse: str, contracts: Path, use_estat: Callable[[Simulator], None]
) -> None:
    cycle = CYCLES[kind]
    first, last = cycle.containing(date(2022, 5, 1)), cycle.containing(date(2025, 5, 1))
    periods = cycle.between(first, last)
    with Simulator([table(kind, periods[:-1])]) as estat:
        use_estat(estat)
        path = drafted(contracts)
        assert f"value: {kind}" in path.read_text(encoding="utf-8")
        assert load.run(FEED).opened_rows == 2 * len(periods[:-1])
        assert load.fetch(FEED, cycle.written(last)).state == "waiting"

        served = table(kind, periods)
        newest = {**served.months, cycle.code(periods[-2]): ["1700001", "1.5"]}
        estat.publish(replace(served, months=newest, updated_on=served.updated_on + timedelta(days=30)))
        grown = load.run(FEED)
    assert (grown.state, grown.opened_rows, grown.closed_rows) == ("published", 4, 2)
    now = accepted(warehouse)
    assert len(now) == 2 * len(periods)
    assert now[first, "A4103"] == Decimal(f"1.{first.year % 100:02d}")
    assert now[periods[-2], "A4103"] == Decimal("1.5") and now[periods[-2], "A1101"] == 1_700_001
    with psycopg.connect(warehouse) as connection:
        waiting = connection.execute(
            "select requested_period from ops.load where state = 'waiting'"
        ).fetchall()
    assert waiting == [(last,)]


def test_a_period_that_was_accepted_may_not_leave_the_table(
    warehouse: str, contracts: Path, use_estat: Callable[[Simulator], None]
) -> None:
    cycle = CYCLES["年度"]
    years = cycle.between(date(2020, 4, 1), date(2024, 4, 1))
    with Simulator([table("年度", years)]) as estat:
        use_estat(estat)
        drafted(contracts)
        load.run(FEED)
        holed = table("年度", [*years[:-2], years[-1], date(2025, 4, 1)])
        estat.publish(replace(holed, updated_on=holed.updated_on + timedelta(days=30)))
        before = accepted(warehouse)
        done = CliRunner().invoke(app, ["load", FEED, "--since", "2020"])
    assert done.exit_code == 3, done.output
    assert accepted(warehouse) == before


def test_a_table_without_a_time_that_can_be_read_is_not_drafted(
    contracts: Path, use_estat: Callable[[Simulator], None]
) -> None:
    odd = replace(table("年度", [date(2020, 4, 1)]), months={"2020200000": ["1", "1.0"]})
    with Simulator([odd]) as estat:
        use_estat(estat)
        made = CliRunner().invoke(app, ["feed", "new", FEED, "--table", "0000010101", "--title", "指標"])
    assert made.exit_code == 1 and "この表は取り込めません" in made.output
    assert not (contracts / f"{FEED}.odcs.yaml").exists()
