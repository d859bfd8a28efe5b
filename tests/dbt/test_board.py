"""What the marts show of the published figures; expected: the slides, e-Stat 0003420473, `figures/`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from deliveries import figures

from kpi_warehouse import marts
from kpi_warehouse.marts_dbt import invoke

pytestmark = pytest.mark.usefixtures("published")

FISCAL_YEARS = {2018: -3465, 2019: -4128, 2020: -1806, 2021: -1194, 2022: -297, 2023: -2186}


def rows(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("set role kpi_transformer")
        try:
            return cursor.execute(query).fetchall()
        finally:
            cursor.execute("set role kpi_loader")


def kpi(kpi_id: str) -> dict[str, Any]:
    return next(row for row in marts.board() if row["kpi_id"] == kpi_id)


def test_the_board_shows_every_kpi_of_the_plans() -> None:
    strategy = [f"K{n:02}" for n in range(1, 7)] + ["T04"] + [f"K{n:02}" for n in range(7, 13)]
    assert [row["kpi_id"] for row in marts.board()] == strategy + [f"D{n:02}" for n in range(1, 20)]


def test_every_state_that_a_load_can_have_is_explained(loader: psycopg.Connection) -> None:
    """A load that waits while marts are built must not fail the build for want of a word."""
    (rule,) = loader.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'load_state_check'"
    ).fetchone() or ("",)
    states = set(re.findall(r"'(\w+)'::text", rule))
    assert len(states) > 5
    explained = rows(loader, "select code from marts.dim_status where domain = 'load_state'")
    assert states == {code for (code,) in explained}


def test_the_headline_kpi_is_maintained_in_2024() -> None:
    board = kpi("K12")
    assert board["target_value"] == -1624
    assert (board["actual_period_label"], board["actual_value"]) == ("2024年", -1542)
    assert (board["judgement_ja"], board["shortfall"]) == ("維持", None)


def test_the_year_in_progress_stands_beside_and_is_not_judged() -> None:
    board = kpi("K12")
    assert (board["in_progress_period_label"], board["in_progress_value"]) == ("2025年", -41)
    assert board["in_progress_coverage"] == "2/12"
    assert board["in_progress_same_months_year_before"] == -245
    assert board["conditions_ja"] == "暦年途中2/12"


@pytest.mark.parametrize(
    ("kpi_id", "conditions", "judgement"),
    [
        ("K01", "基準値なし・実績未公表", "判定保留"),
        ("K11", "基準値なし・実績未公表・判定保留", "判定保留"),
        ("T04", "KPI未設定", "判定対象外"),
        ("D01", "目標値未登録・基準値なし・実績未公表・判定保留", "判定保留"),
        ("D02", "目標値未登録・基準値なし・実績未公表", "判定対象外"),
    ],
)
def test_what_is_missing_is_named(kpi_id: str, conditions: str, judgement: str) -> None:
    board = kpi(kpi_id)
    assert (board["conditions_ja"], board["judgement_ja"]) == (conditions, judgement)
    assert board["actual_value"] is None


def test_no_cell_that_a_reader_reads_is_empty() -> None:
    readable = ("target_ja", "baseline_ja", "actual_ja", "in_progress_ja", "data_as_of", "gate_status_ja")
    assert all(row[name] not in (None, "") for row in marts.board() for name in readable)


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


def test_every_relation_and_column_explains_itself_in_japanese(loader: psycopg.Connection) -> None:
    silent = rows(
        loader,
        """
        select relations.relname, columns.attname
        from pg_class as relations
        join pg_attribute as columns on columns.attrelid = relations.oid
        where relations.relnamespace = 'marts'::regnamespace and relations.relkind in ('r', 'v')
            and columns.attnum >= 0 and not columns.attisdropped
            and coalesce(col_description(relations.oid, columns.attnum), '') !~ '[ぁ-んァ-ヶ一-龠]'
        """,
    )
    assert silent == []


def test_every_mart_has_a_view_with_japanese_names_for_excel(loader: psycopg.Connection) -> None:
    marts_there = rows(
        loader,
        r"select relname from pg_class where relnamespace = 'marts'::regnamespace and relname like 'mart\_%' and relkind in ('r', 'v')",
    )
    views = rows(loader, "select relname from pg_class where relnamespace = 'marts_ja'::regnamespace")
    assert len(views) == len(marts_there) > 5
    names = rows(
        loader,
        "select attname from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relnamespace = 'marts_ja'::regnamespace and attnum > 0",
    )
    assert [
        name for (name,) in [*names, *views] if not re.search("[ぁ-んァ-ヶ一-龠]", name) or len(name) > 20
    ] == []
    loader.execute("set role kpi_reader")
    try:
        shown = rows(
            loader,
            'select "実績の期間", "実績", "判定" from marts_ja."KPIボード" where "KPIの番号" = \'K12\'',
        )
    finally:
        loader.execute("set role kpi_loader")
    assert shown == [("2024年", Decimal(-1542), "維持")]


def test_nothing_outside_the_marts_is_left_behind(loader: psycopg.Connection) -> None:
    assert rows(
        loader,
        "select schemaname from pg_views where schemaname in ('staging', 'raw', 'ops', 'public')"
        " union select nspname from pg_namespace where nspname like 'marts\\_%'",
    ) == [("marts_ja",)]


def test_two_lines_from_september_2024_and_what_became_of_them(loader: psycopg.Connection) -> None:
    """Straight line −2,881, seasonal about −1,821 with −2,053 … −1,389, actual −1,542 (`figures/`)."""
    [found] = rows(
        loader,
        "select round(straight_line_estimate), round(seasonal_estimate), seasonal_low, seasonal_high, year_actual,"
        " round(straight_line_error), round(seasonal_error), is_actual_in_range, seasonal_years, required_pace_ja"
        " from marts.mart_migration_outlook where period_id = '2024-09'",
    )
    assert found == (-2881, -1821, -2053, -1389, -1542, -1339, -279, True, 5, "例年より あと66人/月")


def test_the_back_test_covers_every_month_with_three_years_before(loader: psycopg.Connection) -> None:
    [(first, last, months)] = rows(
        loader, "select min(period_id), max(period_id), count(*) from marts.mart_migration_outlook"
    )
    assert (first, last, months) == ("2021-01", "2025-02", 50)


def test_every_rule_pack_judges_the_same_actuals(loader: psycopg.Connection) -> None:
    found = rows(
        loader,
        "select pack_id, judgement_ja, judgement_reason from marts.fct_kpi_judgement"
        " where kpi_id = 'K12' and period_id = 'CY2024' order by pack_order",
    )
    assert found[0] == ("standard", "維持", "rule")
    assert {row[1:] for row in found[1:]} == {("判定対象外", "no_rule")}
    assert len(found) == 7


def test_the_policy_tree_holds_plans_pillars_and_measures(loader: psycopg.Connection) -> None:
    assert rows(
        loader,
        "select count(distinct pillar_id) filter (where pillar_id like 'S%'), count(measure_id),"
        " count(distinct plan) from marts.dim_policy",
    ) == [(4, 17, 2)]


def test_2020_has_its_calendar_and_its_fiscal_year_apart(loader: psycopg.Connection) -> None:
    found = rows(
        loader,
        "select period_kind, value, target_status from marts.mart_kpi_history"
        " where kpi_id = 'K12' and period_id in ('CY2020', 'FY2020') order by period_kind",
    )
    assert sorted(found) == sorted([("年度", -1806, "other_period_kind"), ("暦年", -3393, "before_target")])


def test_dbt_unit_tests_pass(loader: psycopg.Connection) -> None:
    invoke("marts", "seed", "--select", "config.schema:seeds")
    try:
        nodes = invoke("marts", "test", "--select", "test_type:unit")
    finally:
        loader.execute("set role kpi_transformer; drop schema marts_seeds cascade; set role kpi_loader")
    failed = [f"{node.name}: {node.message}" for node in nodes if node.status != "pass"]
    assert not failed, "\n".join(failed)
    assert len(nodes) == 16
