"""What the marts show of the published figures; expected: the slides, e-Stat 0003420473, `figures/`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from deliveries import figures
from typer.testing import CliRunner

from kpi_warehouse import marts
from kpi_warehouse.cli import app
from kpi_warehouse.marts_dbt import invoke

pytestmark = pytest.mark.usefixtures("published")

# Rows without a figure of their own: vocabulary and calendar, the books of the alerts, the rows behind a receipt.
NO_FIGURES = "dim_%|mart_alert_ledger|fct_kpi_source_row"
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
        union all
        select relname, null from pg_class
        where relnamespace = any(array['marts'::regnamespace, 'marts_ja'::regnamespace]) and relkind in ('r', 'v')
            and coalesce(obj_description(oid), '') !~ '[ぁ-んァ-ヶ一-龠]'
        """,
    )
    assert silent == []


def test_bi_reads_the_marts_and_nothing_else(loader: psycopg.Connection) -> None:
    assert rows(
        loader,
        "select nspname from pg_namespace where has_schema_privilege('kpi_reader', oid, 'usage')"
        r" and nspname !~ '^pg_' and nspname <> 'information_schema' order by 1",
    ) == [("marts",), ("marts_ja",)]
    assert rows(
        loader,
        "select count(*) filter (where not has_table_privilege('kpi_reader', oid, 'select')),"
        " count(*) filter (where has_table_privilege('kpi_reader', oid, 'insert, update, delete')),"
        " count(*) > 0"
        " from pg_class where relnamespace in ('marts'::regnamespace, 'marts_ja'::regnamespace) and relkind in ('r', 'v')",
    ) == [(0, 0, True)]


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


def test_a_year_is_found_by_any_of_its_names(loader: psycopg.Connection) -> None:
    loader.execute(
        "insert into ops.landed (sha256, bytes, location, media_type) values ('x', 0, '', '');"
        " insert into ops.load_page (load_id, page, part, sha256, url, params) select load_id, 1, 1, 'x', '', '{}' from ops.load"
    )
    for name in ("平成31年", "H31年", "令和元年", "令和1年", "R1年", "2019年"):
        for shown, period in ((name, "CY2019"), (f"{name}度", "FY2019")):
            found = rows(loader, f"select distinct period_id from marts.receipt('K12', '{shown}')")
            assert found == [(period,)], shown
    assert rows(loader, "select count(*) from marts.receipt('K12', 'H32年')") == [(0,)]


def test_every_row_with_a_figure_says_how_sound_it_is(loader: psycopg.Connection) -> None:
    silent = rows(
        loader,
        f"""
        select relations.relname, wanted.name
        from pg_class as relations
        cross join unnest(array['data_as_of', 'gate_status', 'value_status', 'held_rows']) as wanted (name)
        where relations.relnamespace = 'marts'::regnamespace and relations.relkind in ('r', 'v')
            and relations.relname not similar to '{NO_FIGURES}'
            and not exists (
                select from pg_attribute where attrelid = relations.oid and attname = wanted.name and not attisdropped
            )
        """,
    )
    assert silent == []


def test_no_figure_is_a_float_and_what_must_not_be_summed_says_so(loader: psycopg.Connection) -> None:
    assert (
        rows(
            loader,
            "select table_name, column_name from information_schema.columns"
            " where table_schema = 'marts' and data_type in ('real', 'double precision')",
        )
        == []
    )
    assert rows(
        loader,
        "select is_additive, string_agg(distinct kpi_type, ',' order by kpi_type) from marts.mart_kpi_history"
        " join marts.dim_kpi using (kpi_id, is_additive) group by 1 order by 1",
    ) == [
        (False, "cumulative_n_years,level_up,stock_cumulative,undetermined"),
        (True, "annual_flow,maintain_at_least"),
    ]


def test_the_board_prints_both_lines_and_how_far_they_were_off() -> None:
    shown = " ".join(CliRunner().invoke(app, ["board"]).output.split())
    assert "K12 2025年の見込み（2025年2月末）：例年の季節 -1,604人（-3,302〜-510）、直線 -246人" in shown
    assert "例年どおりなら目標値に届きます" in shown
    assert "過去 44 か月の末から" in shown and "例年の季節 707人、直線 2,426人" in shown
    assert "2024年2月末：例年の季節 -2,332、直線 -1,470、 実績 -1,542".replace("、 ", "、") in shown.replace(
        "、 ", "、"
    )
    assert "模擬データ" not in shown


def test_dbt_unit_tests_pass(loader: psycopg.Connection) -> None:
    invoke("marts", "seed", "--select", "config.schema:seeds")
    try:
        nodes = invoke("marts", "test", "--select", "test_type:unit")
    finally:
        loader.execute("set role kpi_transformer; drop schema marts_seeds cascade; set role kpi_loader")
    failed = [f"{node.name}: {node.message}" for node in nodes if node.status != "pass"]
    assert not failed, "\n".join(failed)
    assert len(nodes) == 22
