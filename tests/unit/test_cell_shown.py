"""What a person sees counts: formats, raised and struck-out parts, comments and text boxes, days counted from 1904."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from layout_books import Coded, Shown, read, sheet, told

from kpi_warehouse.readers.layout import Reading

KINDS = Coded("kind_code", {"a": "相談", "b": "移住"})
VALUE = Coded("value", marks={"-": "該当なし"})
MADE = """
outside:
  - {pattern: "^図の注", is: footnote}
  - {pattern: "^[0-9（(]+[)）]", is: footnote}
tables:
  - name: t
    year: calendar
    columns:
      - {heading: [区分], is: axis, column: kind_code}
      - {heading: period, is: value, measure: count, unit: UNIT}
"""


def years(*rows: list[object], unit: str = "人", remarks: tuple[tuple[str, str, str], ...] = ()) -> Reading:
    made = MADE.replace("UNIT", f'"{unit}"') if unit else MADE.replace(", unit: UNIT", "")
    return read(sheet(rows, remarks=remarks), made, KINDS, VALUE)


@pytest.mark.parametrize(
    ("cell", "unit", "value"),
    [
        (Shown("91.3%", 0.913, Decimal("91.3")), "%", "91.3"),
        (Shown("91%", 0.91345, Decimal("91.345")), "%", "91.345"),
        (Shown("1,235", 1234567, Decimal("1234.567")), "千円", "1234.567"),
        (Shown("▲1,235", 1235, -1235), "人", "-1235"),
        (Shown("(1,235)", -1235, -1235), "人", "-1235"),
        (Shown("123人", 123, 123), "人", "123"),
    ],
)
def test_a_number_is_what_its_format_shows(cell: Shown, unit: str, value: str) -> None:
    reading = years(["区分", "R6"], ["相談", cell], unit=unit)
    assert not reading.faults
    row = reading.rows[0]
    assert (row.value, row.value_text, row.unit) == (Decimal(value), cell.text, unit)


def test_a_zero_shown_as_a_dash_is_the_mark_or_a_zero() -> None:
    rows = [["区分", "R6"], ["相談", Shown("-", 0)]]
    row = years(*rows).rows[0]
    assert (row.value, row.value_mark) == (None, "-")
    row = read(sheet(rows), MADE.replace("UNIT", "人"), KINDS, Coded("value", marks={"…": "不詳"})).rows[0]
    assert (row.value, row.value_mark, row.value_text) == (0, None, "-")


def test_a_percentage_stands_beside_a_plain_number_as_its_like() -> None:
    reading = years(["区分", "R5", "R6"], ["相談", Shown("91.3%", 0.913, Decimal("91.3")), 91.3], unit="%")
    assert [row.value for row in reading.rows] == [Decimal("91.3")] * 2


@pytest.mark.parametrize(
    ("cell", "unit"),
    [
        (Shown("123千人", 123, 123), "人"),
        (Shown("91.3%", 0.913, Decimal("91.3")), ""),
        (Shown("(56)", 56, 56), "人"),
    ],
)
def test_what_a_format_adds_is_compared_like_what_is_typed(cell: Shown, unit: str) -> None:
    assert [place for place, _ in told(years(["区分", "R6"], ["相談", cell], unit=unit))] == ["表!B2"]


def test_a_heading_is_what_its_format_shows() -> None:
    reading = years(["区分", Shown("2023年度", 2023, 2023), Shown("令和6年度", 6, 6)], ["相談", 1, 2])
    assert [(row.period, row.period_kind) for row in reading.rows] == [
        (date(2023, 4, 1), "年度"),
        (date(2024, 4, 1), "年度"),
    ]


def test_raised_parts_point_to_footnotes_and_are_no_digits() -> None:
    reading = years(
        ["区分", Shown("R6", "R61", raised=("1)",))],
        [Shown("相談", "相談2", raised=("2",)), Shown("234", "2343", raised=("3",))],
        ["1) 12月まで"],
        ["2) 電話を含む"],
    )
    assert not reading.faults
    assert (reading.rows[0].value, reading.rows[0].note) == (234, "12月まで／3／電話を含む")


def test_struck_out_parts_are_left_out_and_told() -> None:
    reading = years(["区分", "R6"], ["相談", Shown("65", "5665", struck=("56",))])
    assert not reading.faults
    assert reading.rows[0].value == 65
    assert [(each.place, each.code) for each in reading.notices] == [("表!B2", "struck_out")]
    assert "「56」" in reading.notices[0].expected_ja


def test_cells_that_are_struck_out_as_a_whole_are_refused() -> None:
    row = [Shown(text, text, struck=(text,), doubt="取り消し線のない値") for text in ("移住", "5")]
    assert told(years(["区分", "R6"], ["相談", 1], list(row))) == [
        ("表!A3", "doubtful"),
        ("表!B3", "doubtful"),
    ]


def test_comments_stay_with_the_figures_they_are_at() -> None:
    reading = years(
        ["区分", "R5", "R6"],
        ["相談", 1, 2],
        ["移住", 3, 4],
        remarks=(
            ("comment", "C1", "4月から12月まで"),
            ("comment", "B2", "山田:\n速報値。確定は6月"),
            ("comment", "A3", "窓口のみ"),
        ),
    )
    assert not reading.faults and not reading.notices
    assert [(row.source_cell, row.note, row.value_status) for row in reading.rows] == [
        ("表!B2", "速報値。確定は6月", "provisional"),
        ("表!C2", "4月から12月まで", "actual"),
        ("表!B3", "窓口のみ", "actual"),
        ("表!C3", "4月から12月まで／窓口のみ", "actual"),
    ]


@pytest.mark.parametrize("at", ["B1", "B2"])
def test_a_comment_that_states_another_unit_is_refused(at: str) -> None:
    for unit in ("人", ""):
        reading = years(["区分", "R6"], ["相談", 1], remarks=(("comment", at, "単位は千人"),), unit=unit)
        assert [place for place, _ in told(reading)] == [f"表!{at}"]
        assert "千人" in reading.faults[0].expected_ja
    assert not years(["区分", "R6"], ["相談", 1], remarks=(("comment", at, "単位は人"),)).faults


def test_a_text_box_is_compared_asked_about_or_listed() -> None:
    def box(text: str) -> Reading:
        return years(["区分", "R6"], ["相談", 1], remarks=(("shape", "D5", text),))

    assert [code for _, code in told(box("単位：千人"))] == ["changed_unit"]
    assert not box("単位：人").faults
    for text in ("令和6年度は速報値", "※ 概数です", "単位：人　令和6年度は暫定値"):
        reading = box(text)
        assert [code for _, code in told(reading)] == ["remark"]
        assert reading.faults[0].found == text.replace("\u3000", " ")
    assert not box("図の注：速報値").faults  # a line of the contract
    reading = box("問い合わせは○○課")
    assert not reading.faults
    assert [(each.place, each.found) for each in reading.notices] == [("表!D5", "問い合わせは○○課")]


def test_days_are_counted_from_the_day_zero_of_the_workbook() -> None:
    made = """
    tables:
      - name: t
        columns:
          - {heading: [年月], is: period, periodKind: 月}
          - {heading: [件数], is: value, measure: count, period: row}
    """
    rows = [["年月", "件数"], [43921, 10]]
    assert read(sheet(rows), made, VALUE).rows[0].period == date(2020, 3, 1)
    assert read(sheet(rows, day_zero=date(1904, 1, 1)), made, VALUE).rows[0].period == date(2024, 4, 1)
