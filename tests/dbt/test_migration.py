"""The migration marts against what was published; expected: the slides, e-Stat 0003420473, `figures/`."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from deliveries import figures
from reading import rows

pytestmark = pytest.mark.usefixtures("published")

FISCAL_YEARS = {2018: -3465, 2019: -4128, 2020: -1806, 2021: -1194, 2022: -297, 2023: -2186}


def test_the_table_of_the_slides_and_its_years(loader: psycopg.Connection) -> None:
    by_bloc = rows(
        loader,
        "select direction, bloc, sum(movers), sum(net_effect), max(movers_to_date) from marts.mart_migration_by_bloc_monthly"
        " where calendar_year = 2024 and month_number <= 9 group by direction, bloc, display_order order by display_order",
    )
    assert [(way, bloc, movers) for way, bloc, movers, _, _ in by_bloc] == [
        ("in", "東京圏", 4349),
        ("in", "大阪圏", 1831),
        ("in", "福岡県", 6344),
        ("in", "その他", 11882),
        ("out", "東京圏", 6031),
        ("out", "大阪圏", 2377),
        ("out", "福岡県", 6958),
        ("out", "その他", 11201),
    ]
    assert all(movers == to_date for _, _, movers, _, to_date in by_bloc)
    assert sum(effect for _, _, _, effect, _ in by_bloc) == -2161
    months = rows(
        loader,
        "select value_status_ja, count(*), count(movers), count(distinct period_id)"
        " from marts.mart_migration_by_bloc_monthly group by 1 order by 1",
    )
    assert months == [("実績", 72, 72, 9), ("実績未公表", 616, 0, 77)]


def test_sums_to_date_the_year_before_and_the_place_among_the_47(loader: psycopg.Connection) -> None:
    found = rows(
        loader,
        "select in_to_date, out_to_date, net_to_date, net_to_date_year_before, net_migration, net_year_before, net_rank,"
        " net_to_date_rank from marts.mart_migration_monthly where area_code = '43000' and period_id = '2024-09'",
    )
    nets = {
        row["pref_code"]: int(row["in_migrants"]) - int(row["out_migrants"])
        for row in figures("prefecture_monthly_migration")
        if row["year_month"] == "2024-09"
    }
    place = 1 + sum(net > nets["43000"] for net in nets.values())
    assert found == [(24406, 26567, -2161, -1951, 136, 186, place, 20)]
    assert rows(
        loader,
        "select distinct net_rank from marts.mart_migration_monthly where area_code in ('00000') or period_id < '2023-01'",
    ) == [(None,)]


def test_years_of_both_kinds_stand_apart_beside_what_was_printed(loader: psycopg.Connection) -> None:
    found = rows(
        loader,
        "select period_kind, year, era_label, in_migrants, out_migrants, net_migration, change_from_year_before,"
        " published_net_migration, difference_from_published, value_status_ja from marts.mart_social_change_annual",
    )
    calendar = {row[1]: row[2:] for row in found if row[0] == "暦年"}
    for row in figures("annual_social_change"):
        year = int(row["calendar_year"])
        if year < 2025:
            printed = (int(row["net_migration"]), 0) if year < 2024 else (None, None)
            assert calendar[year][0] == row["era_label"]
            assert calendar[year][1:4] == tuple(
                int(row[name]) for name in ("in_migrants", "out_migrants", "net_migration")
            )
            assert calendar[year][5:7] == printed
    assert (calendar[2023][4], calendar[2024][4]) == (-1247, 82)
    assert calendar[2025][7] == "暦年途中" and calendar[2025][4] is None
    fiscal = {row[1]: row for row in found if row[0] == "年度"}
    assert {year: fiscal[year][5] for year in FISCAL_YEARS} == FISCAL_YEARS
    assert fiscal[2020][6] == -1806 + 4128 and fiscal[2024][9] == "年度途中"
    assert {row[7] for row in fiscal.values()} == {None}


def test_every_published_figure_comes_out_of_the_marts(loader: psycopg.Connection) -> None:
    monthly = {
        row[:2]: row[2:]
        for row in rows(
            loader,
            "select period_id, area_code, in_migrants, out_migrants, net_migration from marts.mart_migration_monthly",
        )
    }
    kumamoto = figures("kumamoto_monthly_migration")
    prefectures = figures("prefecture_monthly_migration")
    assert (len(kumamoto), len(prefectures)) == (86, 1128)
    for row in [*kumamoto, *({**row, "area_code": row["pref_code"]} for row in prefectures)]:
        told = (int(row["in_migrants"]), int(row["out_migrants"]))
        assert monthly[row["year_month"], row["area_code"]] == (*told, told[0] - told[1])
    catalogue = {
        row[0]: row[1:]
        for row in rows(
            loader,
            "select kpi_id, plan, pillar, theme, kpi_name, unit, target_value, target_text, baseline_value, direction, kpi_type,"
            " accumulation, period_kind, lower_bound, upper_bound, owner_body from marts.dim_kpi",
        )
    }
    told_of = "plan pillar theme name_ja unit target_value target_text_exact baseline_value direction kpi_type accumulation"
    compared = [*told_of.split(), "period_kind", "lower_bound", "upper_bound"]
    for row in figures("kpi_catalogue"):
        assert len(catalogue[row["kpi_id"]]) == len(compared) + 1
        for name, value in zip(compared, catalogue[row["kpi_id"]], strict=False):
            same = (
                value == Decimal(row[name])
                if isinstance(value, Decimal)
                else (value or "") == row[name].strip(" -")  # T04 has dashes where a target would stand
            )
            assert same, (row["kpi_id"], name, row[name], value)


def test_january_to_september_2024_equals_the_slides(loader: psycopg.Connection) -> None:
    [found] = rows(
        loader,
        "select sum(in_migrants), sum(out_migrants), sum(net_migration), sum(in_from_tokyo_area),"
        " sum(out_to_tokyo_area), sum(in_from_osaka_area), sum(out_to_osaka_area), sum(in_from_fukuoka),"
        " sum(out_to_fukuoka), sum(in_from_elsewhere), sum(out_to_elsewhere), sum(net_with_elsewhere)"
        " from marts.mart_migration_monthly"
        " where area_code = '43000' and calendar_year = 2024 and month_number <= 9",
    )
    assert found == (24406, 26567, -2161, 4349, 6031, 1831, 2377, 6344, 6958, 11882, 11201, 681)


def test_months_without_flows_say_so(loader: psycopg.Connection) -> None:
    assert rows(
        loader,
        "select partner_status, in_from_tokyo_area from marts.mart_migration_monthly"
        " where area_code = '43000' and period_id = '2024-10'",
    ) == [("not_published", None)]


def test_calendar_years_equal_the_published_annual_figures(loader: psycopg.Connection) -> None:
    published = {
        f"CY{row['calendar_year']}": int(row["net_migration"]) for row in figures("annual_social_change")
    }
    del published["CY2025"]  # published later than the months we have
    assert published == dict(
        rows(
            loader,
            "select period_id, value from marts.fct_kpi_value"
            " where period_kind = '暦年' and value_status = 'actual'",
        )
    )


def test_fiscal_years_are_kept_apart_and_only_full_ones_are_actual(loader: psycopg.Connection) -> None:
    found = rows(
        loader,
        "select period_id, value, value_status, covered_months from marts.fct_kpi_value"
        " where period_kind = '年度' order by period_id",
    )
    assert {name: value for name, value, status, _ in found if status == "actual"} == {
        f"FY{year}": value for year, value in FISCAL_YEARS.items()
    }
    assert found[-1] == ("FY2024", Decimal(419), "partial", 11)
