"""Which periods a pull asks for, and which tables it refuses because they cannot be right."""

from dataclasses import replace
from datetime import date

import pytest

from kpi_warehouse.contract import Contract, estat_source
from kpi_warehouse.errors import KpiError, SourceChanged
from kpi_warehouse.load import contract_of
from kpi_warehouse.readers.estat_time import CYCLES
from kpi_warehouse.sources.estat_answers import Axis, Code, TableMeta
from kpi_warehouse.sources.estat_plan import make_plan

MOVES = contract_of("estat_migration_monthly")
TODAY = date(2026, 12, 1)


def months(first: str, last: str) -> list[date]:
    return CYCLES["月"].between(date.fromisoformat(f"{first}-01"), date.fromisoformat(f"{last}-01"))


def table(contract: Contract, periods: list[date], kind: str = "月") -> TableMeta:
    """The contract's own table with these periods, of this cycle, in its time axis."""
    axes = {
        str(axis.source_name): Axis(
            axis.axis_name or axis.label_ja, {c: Code(name) for c, name in axis.codes.items()}
        )
        for axis in contract.axes
    }
    time = Axis("時間軸", {CYCLES[kind].code(each): Code(CYCLES[kind].words(each)) for each in periods})
    source = estat_source(contract)
    title = "・".join(source.title_holds)
    return TableMeta(source.table_id, title, source.stats_code, "", TODAY, {**axes, "time": time})


def of_cycle(kind: str, *, reread_months: int = 12, published_after_days: int = 0) -> Contract:
    cycle = CYCLES[kind]
    source = replace(
        estat_source(MOVES),
        cycle=cycle,
        first_period=cycle.containing(date(2015, 1, 1)),
        reread_months=reread_months,
        published_after_days=published_after_days,
    )
    return replace(MOVES, source=source)


@pytest.mark.parametrize("newest", ["2026-11", "2026-12", "2027-01", "2030-03"])
def test_a_table_with_a_month_that_cannot_have_a_figure_is_refused_whole(newest: str) -> None:
    with pytest.raises(SourceChanged) as refused:
        make_plan(MOVES, table(MOVES, months("2018-01", newest)), None, set(), today=TODAY)
    assert refused.value.code == "estat.not_happened" and "2026-11" in refused.value.message_ja
    # Asking for a month that is long over does not make the table any better.
    with pytest.raises(SourceChanged):
        make_plan(MOVES, table(MOVES, months("2018-01", newest)), "2024-09", set(), today=TODAY)


@pytest.mark.parametrize("today", [date(2026, 12, 21), date(2026, 12, 31), date(2027, 3, 1)])
def test_a_month_is_taken_from_the_day_of_its_publication_on(today: date) -> None:
    assert make_plan(
        MOVES, table(MOVES, months("2018-01", "2026-11")), None, set(), today=today
    ).period == date(2026, 11, 1)


@pytest.mark.parametrize(
    ("kind", "last", "today", "fine"),
    [
        ("年度", date(2025, 4, 1), date(2026, 3, 31), False),
        ("年度", date(2025, 4, 1), date(2026, 4, 1), True),
        ("暦年", date(2026, 1, 1), date(2026, 12, 1), False),
        ("四半期", date(2026, 10, 1), date(2026, 12, 31), False),
        ("四半期", date(2026, 7, 1), date(2026, 10, 1), True),
    ],
)
def test_a_period_of_any_cycle_must_be_over(kind: str, last: date, today: date, fine: bool) -> None:
    contract, cycle = of_cycle(kind), CYCLES[kind]
    offered = table(contract, cycle.between(cycle.back(last, 3), last), kind)
    if fine:
        assert make_plan(contract, offered, None, set(), today=today).period == last
    else:
        with pytest.raises(SourceChanged, match="まだ終わっていない期間"):
            make_plan(contract, offered, None, set(), today=today)


def test_after_a_gap_the_window_counts_back_from_the_last_month_that_was_known() -> None:
    known = set(months("2018-01", "2024-06"))
    plan = make_plan(MOVES, table(MOVES, months("2018-01", "2026-07")), None, known, today=TODAY)
    assert plan.periods == months("2024-03", "2026-07")


def test_a_month_in_between_that_was_never_accepted_is_pulled_again() -> None:
    known = set(months("2018-01", "2026-07")) - {date(2025, 2, 1)}
    plan = make_plan(MOVES, table(MOVES, months("2018-01", "2026-07")), None, known, today=TODAY)
    assert plan.periods == months("2025-02", "2026-07")


def test_an_earlier_month_asked_for_has_its_own_window() -> None:
    known = set(months("2018-01", "2026-07"))
    plan = make_plan(MOVES, table(MOVES, months("2018-01", "2026-07")), "2024-09", known, today=TODAY)
    assert plan.periods == months("2024-06", "2024-09")


def test_since_reads_everything_again() -> None:
    known = set(months("2018-01", "2026-07"))
    plan = make_plan(
        MOVES, table(MOVES, months("2018-01", "2026-07")), None, known, since="2018-01", today=TODAY
    )
    assert plan.periods == months("2018-01", "2026-07")


def test_a_month_that_is_listed_nowhere_between_others_is_asked_for_all_the_same() -> None:
    offered = [month for month in months("2018-01", "2026-07") if month != date(2026, 6, 1)]
    plan = make_plan(MOVES, table(MOVES, offered), None, set(months("2018-01", "2026-05")), today=TODAY)
    assert date(2026, 6, 1) in plan.periods and "2026000606" not in plan.query.axes["time"]


@pytest.mark.parametrize(
    ("kind", "other"), [("月", "年度"), ("年度", "暦年"), ("暦年", "月"), ("四半期", "年度")]
)
def test_a_table_of_another_cycle_is_no_table_that_is_not_published_yet(kind: str, other: str) -> None:
    contract, cycle = of_cycle(kind), CYCLES[other]
    offered = table(
        contract, cycle.between(cycle.containing(date(2020, 1, 1)), cycle.containing(date(2022, 1, 1))), other
    )
    with pytest.raises(SourceChanged) as refused:
        make_plan(contract, offered, None, set(), today=TODAY)
    assert refused.value.code == "estat.cycle"
    assert kind in refused.value.message_ja and other in refused.value.message_ja
    assert "まだ公表されていません" not in refused.value.message_ja


def test_a_year_that_comes_later_is_waited_for() -> None:
    contract, cycle = of_cycle("年度"), CYCLES["年度"]
    offered = table(contract, cycle.between(date(2015, 4, 1), date(2024, 4, 1)), "年度")
    plan = make_plan(contract, offered, "2025", set(), today=TODAY)
    assert plan.waiting and "2025年度 はまだ公表されていません（提供元の最新は 2024年度）" in plan.message_ja


def test_a_yearly_table_re_reads_its_last_year_and_skips_years_without_a_survey() -> None:
    contract = of_cycle("暦年")
    years = [date(year, 1, 1) for year in (2015, 2018, 2020, 2023, 2025)]
    plan = make_plan(contract, table(contract, years, "暦年"), None, set(years[:-1]), today=TODAY)
    assert plan.periods == [date(2023, 1, 1), date(2025, 1, 1)]
    assert plan.query.axes["time"] == ["2023000000", "2025000000"]


@pytest.mark.parametrize("text", ["2024", "去年", "2024-Q1"])
def test_a_text_that_names_no_period_of_the_cycle_is_refused_with_the_form_expected(text: str) -> None:
    with pytest.raises(KpiError, match=r"YYYY-MM の形"):
        make_plan(MOVES, table(MOVES, months("2018-01", "2026-07")), text, set(), today=TODAY)
