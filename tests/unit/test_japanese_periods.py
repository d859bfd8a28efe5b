"""Periods: 年 and 年度 are never guessed, a part of a year says so, weekdays must be right."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_warehouse.japanese.eras import era_year, from_wareki, to_wareki
from kpi_warehouse.japanese.periods import fiscal_year, read_date, read_period
from kpi_warehouse.japanese.widths import Unreadable

R6 = read_period("R6年度")
WRITTEN = {
    "R6.10.2": ("2024-10-02", "2024-10-02", "時点", None),
    "令和６年１０月末": ("2024-10-31", "2024-10-31", "時点", None),
    "令和３年1１月": ("2021-11-01", "2021-11-30", "月", None),
    "R3.11": ("2021-11-01", "2021-11-30", "月", None),
    "2024/10/2": ("2024-10-02", "2024-10-02", "時点", None),
    "H31(R1)年度": ("2019-04-01", "2020-03-31", "年度", None),
    "令和元年度": ("2019-04-01", "2020-03-31", "年度", None),
    "R6年度(※1)": ("2024-04-01", "2025-03-31", "年度", None),
    "R6年度（10月末現在）": ("2024-04-01", "2024-10-31", "年度", "partial"),
    "R3.11〜R6.10月末": ("2021-11-01", "2024-10-31", "累計", None),
    "2024年": ("2024-01-01", "2024-12-31", "暦年", None),
    "令和６年２月２８日（水）～２９日（木）": ("2024-02-28", "2024-02-29", "イベント", None),
    "R7.1月実施予定": ("2025-01-01", "2025-01-31", "月", "planned"),
    "R6年度第1四半期": ("2024-04-01", "2024-06-30", "累計", None),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_what_the_slides_write_is_read(text: str) -> None:
    start, end, kind, status = WRITTEN[text]
    period = read_period(text)
    assert (str(period.start), str(period.end), period.kind, period.status) == (start, end, kind, status)


def test_a_bare_year_needs_to_be_told_what_it_is() -> None:
    with pytest.raises(Unreadable, match="年か年度か"):
        read_period("R6")
    assert read_period("R6", year="fiscal").start == date(2024, 4, 1)
    assert read_period("R6", year="calendar").start == date(2024, 1, 1)
    assert read_period("R6（10月末現在）", year="fiscal").status == "partial"


def test_a_bare_month_belongs_to_its_base() -> None:
    with pytest.raises(Unreadable, match="年のついた月"):
        read_period("5月")
    assert read_period("5月", base=R6).start == date(2024, 5, 1)
    assert read_period("2月", base=R6).start == date(2025, 2, 1)
    assert read_period("10月12日（土）", base=R6).start == date(2024, 10, 12)
    with pytest.raises(Unreadable, match="曜日"):
        read_period("10月12日（日）", base=R6)
    assert read_period("2月", base=read_period("R6年")).start == date(2024, 2, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "計",
        "H32",
        "R0年",
        "2024-13",
        "令和6年2月30日",
        "令和６年２月２８日（木）",
        "R6.10〜R5.4",
        "20240",
        "R6年度（13月末現在）",
    ],
)
def test_what_is_no_period_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_period(text, year="fiscal")
    assert 0 <= caught.value.position <= max(0, len(text) - 1)


@pytest.mark.parametrize(
    ("day", "weekday"),
    [
        ("R6.10.12", "土"),
        ("R6.10.2", "水"),
        ("R6.10.22", "火"),
        ("R6.11.1", "金"),
        ("R6.11.30", "土"),
        ("R6.12.21", "土"),
        ("R6.2.28", "水"),
        ("R6.2.29", "木"),
    ],
)
def test_the_weekdays_of_the_slides_are_right_and_any_other_is_refused(day: str, weekday: str) -> None:
    assert read_date(f"{day}（{weekday}）")
    for other in set("月火水木金土日") - {weekday}:
        with pytest.raises(Unreadable, match="曜日"):
            read_date(f"{day}（{other}）")


def test_a_day_has_its_fiscal_year() -> None:
    assert [fiscal_year(date(2024, month, 1)) for month in (2, 3, 4, 12)] == [2023, 2023, 2024, 2024]


@given(st.dates(date(1900, 3, 1), date(2100, 12, 31)))
def test_a_day_survives_wareki_and_excel(day: date) -> None:
    assert from_wareki(to_wareki(day)) == day
    assert read_date(to_wareki(day)) == day
    assert read_date((day - date(1899, 12, 30)).days) == day
    assert read_date(45567) == date(2024, 10, 2)


@given(st.integers(2019, 2100))
def test_an_era_year_is_a_calendar_year(year: int) -> None:
    assert era_year(f"R{year - 2018}") == year
    assert read_period(f"令和{year - 2018}年度").end == date(year + 1, 3, 31)


def test_the_first_year_of_an_era_is_also_the_last_of_the_one_before() -> None:
    assert era_year("H31") == era_year("R1") == era_year("令和元年") == 2019
    with pytest.raises(Unreadable):
        era_year("H32")


@given(st.text(max_size=24), st.sampled_from([None, "fiscal", "calendar"]))
def test_any_text_is_read_or_refused_with_its_place(text: str, year: object) -> None:
    try:
        period = read_period(text, year=year, base=R6)  # type: ignore[arg-type]
        assert period.start <= period.end + timedelta(days=0)
    except Unreadable as error:
        assert 0 <= error.position <= max(0, len(text) - 1)
