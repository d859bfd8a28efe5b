"""Number formats: the text that is shown, against what LibreOffice shows, and what of it counts as typed."""

from __future__ import annotations

import csv
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpi_warehouse.readers.grid import Number, number
from kpi_warehouse.readers.shown.format_code import LONGEST
from kpi_warehouse.readers.shown.number_format import NumberFormat, Says

# One line a format, one column a number; the texts are what LibreOffice Calc 7.4 writes of an xlsx with these formats.
TABLE = Path(__file__).with_name("number_formats_shown.tsv")
LINES = list(csv.reader(TABLE.open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_the_table_of_shown_texts_is_there() -> None:
    assert len(LINES) > 70 and {len(line) for line in LINES} == {20}


@pytest.mark.parametrize("line", LINES[1:], ids=lambda line: line[0])
def test_a_format_shows_what_a_spreadsheet_shows(line: list[str]) -> None:
    code, *texts = line
    shown = [NumberFormat(code).show(number(float(value))).text for value in LINES[0][1:]]
    assert shown == texts


@pytest.mark.parametrize(
    ("code", "value", "typed", "exact"),
    [
        ("0.0%", "0.91345", "91.3%", "91.345"),
        ('0.0%;"▲"0.0%', "-0.5", "-50.0%", "-50"),
        ("#,##0,", "1234567", "1,235", "1234.567"),
        ('#,##0.0,,"百万"', "1250000", "1.3百万", "1.25"),
        ('#,##0"千人"', "123", "123千人", "123"),
        ('"▲"#,##0', "123", "▲123", "-123"),
        ('"▲"#,##0', "-123", "-▲123", "-123"),
        ('#,##0"人";"▲"#,##0"人"', "-5", "-5人", "-5"),
        ('0"年度"', "2023", "2023年度", "2023"),
        ('"令和"0"年度"', "5", "令和5年度", "5"),
        ('0000"年"00"月"', "202404", "2024年04月", None),
        ('"("0")"', "56", "(56)", "56"),
        ("00000", "1100", "01100", "1100"),
        ('"有";;"無"', "1", "有", None),
        ('#"."0', "123", "12.3", None),
        ('[<0]"減"0;"増"0', "5", "増5", "5"),
        ('0;;"…"', "0", "…", None),
    ],
)
def test_what_a_format_adds_counts_as_typed(code: str, value: str, typed: str, exact: str | None) -> None:
    display = NumberFormat(code).show(_number(value))
    assert (display.typed, display.exact, display.doubt) == (typed, exact and _number(exact), None)
    assert NumberFormat(code).says is Says.VALUE


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ('#,##0;"▲"#,##0', "-123", "▲123"),
        ("#,##0_);(#,##0)", "-123", "(123)"),
        ("#,##0;[Red]#,##0", "-123", "123"),
        ("[Blue]0;[Red]0", "-123", "123"),
        ('_ * #,##0_ ;_ * \\-#,##0_ ;_ * "-"_ ;_ @_ ', "0", "-"),
        ("0.00E+00", "123", "1.23E+02"),
        ("# ?/?", "0.5", "1/2"),
        ("#,##0.0", "2.25", "2.3"),
        ("0", "2.5", "3"),
        ("General", "-2.5", "-2.5"),
        ("@", "12", "12"),
    ],
)
def test_a_format_that_only_draws_the_number_adds_nothing(code: str, value: str, text: str) -> None:
    display = NumberFormat(code).show(_number(value))
    assert (display.text, display.typed, display.doubt) == (text, None, None)


@pytest.mark.parametrize(
    ("code", "value", "said"),
    [
        ("#,##0;#,##0", "-5", "負号"),
        ('0;0"減"', "-5", "負号"),
        (";;;", "5", "見せていません"),
        ("0;-0;", "0", "見せていません"),
        ("0;", "-1", "見せていません"),
        ("[>100]0", "5", "見せていません"),
        ("0" * (LONGEST + 1), "5", "長すぎて"),
    ],
)
def test_a_format_that_hides_something_is_doubted(code: str, value: str, said: str) -> None:
    display = NumberFormat(code).show(_number(value))
    assert display.doubt is not None and said in display.doubt and display.typed is None
    assert Says.VALUE in (NumberFormat(code).says, NumberFormat(code).says_of_zero)


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        ('@"人"', "12", "12人"),
        ("0;0;0;", "秘", ""),
        ('0;0;0;"非公開"', "12", "非公開"),
        ("0;-0;0;@", "12", None),
    ],
)
def test_a_format_of_texts(code: str, text: str, shown: str | None) -> None:
    display = NumberFormat(code).show_text(text)
    assert (None if display is None else display.text) == shown
    if shown == "":
        assert display is not None and display.doubt


@pytest.mark.parametrize(
    ("code", "day", "text"),
    [
        ('[$-411]ggge"年"m"月"d"日"', date(2024, 10, 2), "令和6年10月2日"),
        ('[$-411]ggge"年"', date(2019, 4, 30), "平成31年"),
        ('[$-411]ggge"年"', date(2019, 5, 1), "令和1年"),
        ("[$-411]ge.m.d", date(1989, 1, 8), "H1.1.8"),
        ("[$-411]gge.mm.dd", date(1988, 12, 31), "昭63.12.31"),
        ("yyyy/m/d(aaa)", date(2024, 10, 2), "2024/10/2(水)"),
        ("yyyy/m/d h:mm", datetime(2024, 4, 1, 9, 5), "2024/4/1 9:05"),
        ("h:mm AM/PM", datetime(2024, 4, 1, 13, 5), "1:05 PM"),
        ('m"月"', date(2024, 4, 1), "4月"),
        ("d-mmm-yy", date(2024, 4, 1), "1-Apr-24"),
        ("yyyy.mm", date(2024, 4, 1), "2024.04"),
    ],
)
def test_a_day_as_its_format_shows_it(code: str, day: date, text: str) -> None:
    display = NumberFormat(code).show_day(day)
    assert (display.text, display.typed) == (text, None)


def test_a_day_that_is_shown_as_a_fiscal_year_is_one() -> None:
    display = NumberFormat('[$-411]ggge"年度"').show_day(date(2024, 3, 31))
    assert display.text == display.typed == "令和6年度"


_CODES = st.text(st.sampled_from('0#?.,%;"\\_*[]<>=-▲千人年度ymdhsgeEaAMP/@ ()G標準\n'), max_size=40)
_NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**15), 10**15).map(float)
)


@settings(max_examples=400, deadline=None)
@given(_CODES, _NUMBERS)
def test_any_code_shows_any_number_without_an_error(code: str, value: float) -> None:
    form, stored = NumberFormat(code), number(value)
    display = form.show(stored)
    said = form.says_of_zero if stored == 0 else form.says
    if said is not Says.VALUE:
        assert display.typed is None and display.doubt is None
    form.show_text("12")
    form.show_day(date(2024, 4, 1))


@given(st.integers(-(10**9), 10**9), st.integers(0, 4))
def test_plain_digits_are_the_number_again(value: int, decimals: int) -> None:
    code = "#,##0" + ("." + "0" * decimals if decimals else "")
    shown = NumberFormat(code).show(value)
    assert Decimal(shown.text.replace(",", "")) == value and shown.typed is None


def _number(text: str) -> Number:
    return number(float(text))
