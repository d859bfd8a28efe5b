"""A time code of e-Stat belongs to one cycle, and names one period of it."""

from datetime import date, timedelta

import pytest

from kpi_warehouse.readers.estat_time import CYCLES, cycles_of

EACH = pytest.mark.parametrize("kind", CYCLES)


@EACH
def test_a_period_is_the_one_its_code_names_and_no_other_cycle_knows_the_code(kind: str) -> None:
    cycle = CYCLES[kind]
    periods = cycle.between(cycle.containing(date(1955, 5, 5)), cycle.containing(date(2060, 1, 1)))
    codes = [cycle.code(period) for period in periods]
    assert [cycle.first_day(code) for code in codes] == periods and len(set(codes)) == len(codes)
    assert cycles_of(codes) == {kind: periods}


@EACH
def test_periods_follow_each_other_without_gap_and_every_day_lies_in_one(kind: str) -> None:
    cycle = CYCLES[kind]
    period = cycle.containing(date(2023, 12, 31))
    for _ in range(30):
        following = cycle.back(period, -1)
        assert cycle.last_day(period) + timedelta(days=1) == following
        assert cycle.containing(period) == cycle.containing(cycle.last_day(period)) == period
        assert cycle.back(following, 1) == period
        period = following


@EACH
def test_what_is_written_is_read_back(kind: str) -> None:
    cycle = CYCLES[kind]
    for period in cycle.between(cycle.containing(date(2019, 1, 1)), cycle.containing(date(2027, 4, 1))):
        assert cycle.read(cycle.written(period)) == period


@pytest.mark.parametrize(
    ("kind", "text", "period"),
    [
        ("月", "2024-09", date(2024, 9, 1)),
        ("四半期", "2024-09", date(2024, 7, 1)),
        ("四半期", "2024-Q4", date(2024, 10, 1)),
        ("暦年", "2024-09", date(2024, 1, 1)),
        ("年度", "2024-03", date(2023, 4, 1)),
        ("年度", "2024", date(2024, 4, 1)),
        ("月", "2024", None),
        ("月", "2024-13", None),
        ("暦年", "2024-Q1", None),
        ("年度", "R6", None),
    ],
)
def test_a_month_names_the_period_it_lies_in(kind: str, text: str, period: date | None) -> None:
    assert CYCLES[kind].read(text) == period


@pytest.mark.parametrize(
    "code", ["2024001012x", "2024001313", "2024000205", "2024200000", "20240909", "2024000106"]
)
def test_other_codes_belong_to_no_cycle(code: str) -> None:
    assert cycles_of([code]) == {}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("2024000909", "2024年9月"),
        ("2024000709", "2024年7〜9月"),
        ("2024000000", "2024年"),
        ("2024100000", "2024年度"),
    ],
)
def test_a_sentence_names_the_period_as_people_do(code: str, name: str) -> None:
    ((kind, [period]),) = cycles_of([code]).items()
    assert CYCLES[kind].words(period) == name
