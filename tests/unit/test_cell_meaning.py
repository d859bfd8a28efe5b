"""A cell is read as a person reads it: what marks is no digit, two values are two, units and brackets are never guessed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from layout_books import Coded, read, sheet, told

from kpi_warehouse.japanese.periods import inherit_era, read_period
from kpi_warehouse.japanese.signs import footnote_sign, take_references
from kpi_warehouse.japanese.units import looks_like_unit, stated_units
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.readers.layout import Reading

KINDS = Coded("kind_code", {"a": "相談", "b": "移住", "c": "成約"})
VALUE = Coded("value", marks={"-": "該当なし", "※": "移行"}, mark_status={"-": "not_applicable"})
ONE = """
outside:
  - {pattern: "^実績", is: title}
  - {pattern: "^[※①②注¹²⑴]", is: footnote}
  - {pattern: "^[^ 0-9]{0,3} *単 ?位", is: ignored, reason: 単位の表示}
tables:
  - name: t
    year: fiscal
    columns:
      - {heading: [区分], is: axis, column: kind_code}
      - {heading: [件数], is: value, measure: count, period: R6年度}
"""
COUNTED = ONE.replace("measure: count", "measure: count, unit: 件")
YEARS = """
outside:
  - {pattern: "^[※①注²]", is: footnote}
tables:
  - name: t
    year: fiscal
    columns:
      - {heading: [区分], is: axis, column: kind_code}
      - {heading: period, is: value, measure: count}
"""


def one(
    content: object, *, made: str = COUNTED, heading: str = "件数", **around: list[list[object]]
) -> Reading:
    rows = [*around.get("above", []), ["区分", heading], ["相談", content], *around.get("below", [])]
    return read(sheet(rows), made, KINDS, VALUE)


def years(*rows: list[object], made: str = YEARS, merged: tuple[str, ...] = ()) -> Reading:
    return read(sheet(rows, merged=merged), made, KINDS, VALUE)


# -- characters that mark


@pytest.mark.parametrize(
    ("written", "folded"),
    [("１２ｶﾞ", "12ガ"), ("㈱㎡㎥", "(株)m2m3"), ("㋿６年", "令和6年"), ("m²", "m2"), ("CO₂", "CO2")],
)
def test_another_way_of_writing_is_folded(written: str, folded: str) -> None:
    assert fold(written) == folded


@pytest.mark.parametrize("mark", list("①⑴⒈²¹₂½⅓Ⅳⅻ㈠❶㉑🄁"))
def test_a_character_that_marks_is_not_folded(mark: str) -> None:
    assert fold(f"{mark}月") == f"{mark}月"


@pytest.mark.parametrize(
    ("content", "sign"),
    [
        ("234①", "①"),
        ("234²", "²"),
        ("234⑴", "⑴"),
        ("234 ¹⁾", "¹"),
        ("２３４㉑", "㉑"),
        ("a) 234", "a"),
        ("234ｂ）", "b"),
        ("234†", "†"),
    ],
)
def test_a_sign_behind_a_number_is_a_footnote(content: str, sign: str) -> None:
    reading = one(content, made=ONE)
    assert not reading.faults
    row = reading.rows[0]
    assert (row.value, row.note, row.value_text) == (234, sign, content)


def test_a_sign_is_bound_to_its_footnote() -> None:
    reading = one("75①", below=[[], ["① 見込みを含む"]])
    assert not reading.faults
    assert (reading.rows[0].value, reading.rows[0].note) == (75, "見込みを含む")


@pytest.mark.parametrize(
    "content", ["①", "½", "3½", "12₂", "Ⅳ", "12Ⅳ", "①234", "2①4", "⒈5", "1⁄2", "٣٤", "※56"]
)
def test_a_mark_that_points_to_nothing_is_refused(content: str) -> None:
    reading = one(content, made=ONE)
    assert [place for place, _ in told(reading)] == ["表!B2"]
    assert not reading.rows


def test_a_sign_at_a_heading_or_a_label_is_no_part_of_it() -> None:
    reading = years(["区分", "R5", "R6①"], ["相談²", 1, 2], ["① 12月まで"], ["² 電話を含む"])
    assert not reading.faults
    assert [(row.period.year, row.axes["kind_code"], row.note) for row in reading.rows] == [
        (2023, "a", "電話を含む"),
        (2024, "a", "12月まで／電話を含む"),
    ]


def test_a_circled_number_may_be_part_of_a_name() -> None:
    kinds = Coded("kind_code", {"a": "窓口①", "b": "窓口②"})
    reading = read(sheet([["区分", "件数"], ["窓口②", 1], ["窓口①", 2]]), ONE, kinds, VALUE)
    assert [(row.axes["kind_code"], row.value) for row in reading.rows] == [("b", 1), ("a", 2)]


def test_what_a_sign_parts_stays_apart() -> None:
    assert take_references("12(※1)34") == ("12 34", ("※1",))
    assert footnote_sign("注2）前年度の値") == ("注2", "前年度の値")
    assert told(one("12(※1)34")) == [("表!B2", "unreadable_number")]


# -- two values in a cell


@pytest.mark.parametrize(
    "blank", ["\n", "\t", " ", "\u00a0", "\u2002", "\u2009", "\u202f", "\u3000", "\u200b", "\u2060"]
)
@pytest.mark.parametrize("unit", ["", "件"])
def test_a_blank_inside_a_number_makes_two_of_it(blank: str, unit: str) -> None:
    reading = one(f"120{blank}100{unit}")
    assert [place for place, _ in told(reading)] == ["表!B2"]
    assert not reading.rows


@pytest.mark.parametrize(
    "content", ["12,34", "1,2345", "1，23，456", "0,123", "1、234", "1'234", "1.234.567", "1.234,5"]
)
def test_only_a_comma_at_every_third_digit_separates_thousands(content: str) -> None:
    assert [place for place, _ in told(one(content))] == ["表!B2"]
    assert one("1，234，567").rows[0].value == 1234567


# -- units


@pytest.mark.parametrize("content", ["10/12", "4/1", "5O", "12 a", "31 b", "91%", "12件", "12人", "1.5億"])
def test_a_column_without_a_unit_takes_plain_numbers_only(content: str) -> None:
    reading = one(content, made=ONE)
    assert [place for place, _ in told(reading)] == ["表!B2"]
    assert not reading.rows


@pytest.mark.parametrize("content", ["10/12", "10/12件", "5O", "50 a", "12千件", "12 p"])
def test_another_unit_than_the_declared_one_is_refused(content: str) -> None:
    assert [place for place, _ in told(one(content))] == ["表!B2"]


LINES = [
    "（単位：千件）",
    "[単位 千件]",
    "〔単位:千件〕",
    "単位；千件",
    "実績（単位：千件）",
    "※ 単位は千件",
    "単 位 ： 千 件",
    "単位（千件）",
]


@pytest.mark.parametrize("line", LINES)
def test_a_unit_line_is_compared_whatever_the_contract_takes_it_for(line: str) -> None:
    assert stated_units(line) == ("千件",)
    for around in ({"above": [[line]]}, {"below": [[], [line]]}):
        reading = one(5, **around)
        assert [code for _, code in told(reading)] == ["changed_unit"]
        assert "千件" in reading.faults[0].expected_ja
        assert not reading.rows
        assert not one(
            5, **{where: [[line.replace("千 件", "件").replace("千件", "件")]] for where in around}
        ).faults


def test_a_unit_that_nothing_declares_stays_with_the_row() -> None:
    reading = one(5, made=ONE, above=[["（単位：千件）"]])
    assert not reading.faults
    assert reading.rows[0].unit == "千件"
    assert [code for _, code in told(one(5, made=ONE, above=[["（単位：件，人）"]]))] == ["unit_unclear"]


def test_the_unit_of_the_measure_is_compared_too() -> None:
    measures = Coded("measure_code", {"count": "件数"}, units={"count": "件"})
    for above, heading in (([["（単位：千件）"]], "件数"), ([], "件数（千件）")):
        rows = [*above, ["区分", heading], ["相談", 5]]
        assert [code for _, code in told(read(sheet(rows), ONE, KINDS, VALUE, measures))] == ["changed_unit"]


def test_a_unit_over_the_labels_speaks_of_the_table() -> None:
    rows = [["区分　（単位：千件）", "件数"], ["相談", 5]]
    assert told(read(sheet(rows), COUNTED, KINDS, VALUE)) == [("表!A1", "changed_unit")]


def test_the_contract_converts_a_unit() -> None:
    made = ONE.replace("measure: count", "measure: count, unit: 件, unitFactors: {千件: 1000}")
    for content, around, heading in (
        ("1.5千件", {}, "件数"),
        (1.5, {"above": [["（単位：千件）"]]}, "件数"),
        (1.5, {}, "件数（千件）"),
    ):
        reading = one(content, made=made, heading=heading, **around)
        assert not reading.faults
        assert (reading.rows[0].value, reading.rows[0].unit) == (1500, "件")
    assert one(3, made=made).rows[0].value == 3


@pytest.mark.parametrize("name", ["件数（男）", "件数（再掲）", "件数（速報）"])
def test_a_bracket_that_holds_no_unit_belongs_to_the_heading(name: str) -> None:
    assert not one(5, heading=name).rows
    assert not looks_like_unit("男")


# -- brackets


@pytest.mark.parametrize("content", ["(56)", "（56）", "〔56〕", "［56］", "【56】", "（1,234）", "(56件)"])
def test_a_bracketed_number_is_the_contracts_choice(content: str) -> None:
    reading = one(content)
    assert told(reading) == [("表!B2", "brackets")]
    assert all(word in reading.faults[0].expected_ja for word in ("負の値", "内数", "再掲", "予定"))
    number = Decimal(1234 if "234" in content else 56)
    for choice, value, qualifier, status in (
        ("minus", -number, None, "actual"),
        ("subset", number, "内数", "actual"),
        ("repeated", number, "再掲", "actual"),
        ("planned", number, "予定", "planned"),
    ):
        row = one(content, made=COUNTED.replace("unit: 件", f"unit: 件, brackets: {choice}")).rows[0]
        assert (row.value, row.qualifier, row.value_status) == (value, qualifier, status)


# -- periods


@pytest.mark.parametrize(
    "text", ["R2～R6年度", "令和2～6年度", "R2年度〜R6年度", "2020～2024年度", "令和２年度～令和６年度"]
)
@pytest.mark.parametrize("year", ["fiscal", "calendar"])
def test_a_range_of_years_is_of_one_kind(text: str, year: str) -> None:
    period = read_period(text, year=year)  # type: ignore[arg-type]
    assert (period.start, period.end) == (date(2020, 4, 1), date(2025, 3, 31))


@pytest.mark.parametrize(
    "text",
    ["R2年～R6年度", "R6.10～11", "6.4", "6.4.1", "24/4/1", "202413", "45383", "4月", "5年度", "R6年度½"],
)
def test_a_period_that_could_be_another_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read_period(text)


def test_spellings_of_a_month() -> None:
    base = read_period("R6年度")
    for text in ("202404", "2024/4", "2024-04", "R6.4月分", "令和６年４月中", "平 成 36 年 4 月"):
        if "平" in text:
            continue
        assert read_period(text).start == date(2024, 4, 1), text
    for text in ("4月分", "４月中", "4月度"):
        assert (read_period(text, base=base).start, read_period(text, base=base).kind) == (
            date(2024, 4, 1),
            "月",
        )
    assert read_period("平 成 ６ 年").start == date(1994, 1, 1)


def test_eras_are_inherited_to_the_right_and_never_backwards() -> None:
    reading = years(["区分", "令和4年度", "5年度", "6年度（見込み）"], ["相談", 1, 2, 3])
    assert not reading.faults
    assert [(row.period.year, row.value_status) for row in reading.rows] == [
        (2022, "actual"),
        (2023, "actual"),
        (2024, "planned"),
    ]
    assert inherit_era("2年", "平成31年") == "2年"
    assert told(years(["区分", "平成30年度", "31年度", "2年度"], ["相談", 1, 2, 3])) == [
        ("表!D1", "new_column")
    ]


DOWN = """
tables:
  - name: t
    columns:
      - {heading: [年次], is: period}
      - {heading: [件数], is: value, measure: count, period: row}
"""


def test_eras_and_years_are_inherited_downwards() -> None:
    reading = years(["年次", "件数"], ["平 成 ７ 年", 1], ["８年", 2], ["10年", 3], made=DOWN)
    assert [(row.period.year, row.value) for row in reading.rows] == [(1995, 1), (1996, 2), (1998, 3)]
    stacked = [["令和5年度", None], ["4月", 1], ["１月中", 2], ["令和6年度", 9], ["4月", 3]]
    reading = years(["年次", "件数"], *stacked, made=DOWN)
    assert not reading.faults
    assert [(row.period, row.period_kind, row.value) for row in reading.rows] == [
        (date(2023, 4, 1), "月", 1),
        (date(2024, 1, 1), "月", 2),
        (date(2024, 4, 1), "年度", 9),
        (date(2024, 4, 1), "月", 3),
    ]
    reading = years(["年次", "件数"], ["R6.11月", 1], ["12月", 2], ["1月", 3], made=DOWN)
    assert [row.period for row in reading.rows] == [date(2024, 11, 1), date(2024, 12, 1), date(2025, 1, 1)]
    assert told(years(["年次", "件数"], ["R6.11月", 1], ["4月", 2], made=DOWN)) == [
        ("表!A3", "unreadable_period")
    ]


def test_years_down_and_months_across() -> None:
    made = """
    tables:
      - name: t
        year: YEAR
        columns:
          - {heading: [年次], is: period}
          - {heading: period, is: value, measure: count}
          - {heading: [年間], is: row_total, optional: true}
    """
    rows = [
        ["年次", "４月中", "12月中", "1月中", "年間"],
        ["平成７年度", 1, 2, 3, 6],
        ["８年度", 4, 5, 6, 15],
    ]
    reading = years(*rows, made=made.replace("YEAR", "fiscal"))
    assert not reading.faults
    assert [(str(row.period), row.period_kind, row.value) for row in reading.rows] == [
        ("1995-04-01", "月", 1),
        ("1995-12-01", "月", 2),
        ("1996-01-01", "月", 3),
        ("1996-04-01", "月", 4),
        ("1996-12-01", "月", 5),
        ("1997-01-01", "月", 6),
    ]
    assert len(reading.checks) == 2
    rows[2][0] = "R6.4"
    assert {code for _, code in told(years(*rows, made=made.replace("YEAR", "fiscal")))} == {
        "unreadable_period"
    }


def test_a_year_written_twice_in_one_heading_is_one_year() -> None:
    for text in ("令和5年度（2023）", "2023年度\n(令和5年度)", "令和5年度(2023年度)"):
        assert read_period(text).start == date(2023, 4, 1)
        with pytest.raises(Unreadable):
            read_period(text.replace("23", "24"))


# -- headings


def test_labels_that_stand_again_at_the_right_must_say_the_same() -> None:
    rows = [["区分", "R5", "R6", "区分"], ["相談", 1, 2, "相 談"], ["移住", 3, 4, "移住"]]
    reading = years(*rows)
    assert not reading.faults
    assert len(reading.rows) == 4
    rows[2][3] = "成約"
    assert told(years(*rows)) == [("表!D3", "label_differs")]


def test_one_heading_over_code_and_name() -> None:
    rows = [["市町村", None, "R5"], ["1", "相談", 1], ["2", "移住", 2], ["3", "成約", 3]]
    made = YEARS.replace("区分", "市町村")
    reading = years(*rows, made=made, merged=("A1:B1",))
    assert not reading.faults
    assert [(row.source_cell, row.axes["kind_code"]) for row in reading.rows] == [
        ("表!C2", "a"),
        ("表!C3", "b"),
        ("表!C4", "c"),
    ]
    rows[3][0] = "2"
    assert told(years(*rows, made=made, merged=("A1:B1",))) == [("表!A4", "label_differs")]


def test_wareki_beside_seireki() -> None:
    made = DOWN.replace("[年次]", "[年度]")
    rows = [["年度", "年度", "件数"], ["令和5年度", "2023年度", 1], ["令和6年度", "2024年度", 2]]
    assert [row.period.year for row in years(*rows, made=made).rows] == [2023, 2024]
    rows[2][1] = "2025年度"
    assert told(years(*rows, made=made)) == [("表!B3", "label_differs")]
    two = DOWN.replace("year", "year").replace(
        "- {heading: [年次], is: period}",
        "- {heading: [和暦], is: period}\n      - {heading: [西暦], is: period}",
    )
    rows = [["和暦", "西暦", "件数"], ["令和5年", "2023年", 1], ["令和6年", "2023年", 2]]
    assert told(years(*rows, made=two)) == [("表!B3", "unreadable_period")]
    above = years(
        ["区分", "2023年", "2024年"], [None, "令和5年", "令和7年"], ["相談", 1, 2], merged=("A1:A2",)
    )
    assert [code for _, code in told(above)] == ["no_period"]


def test_columns_of_one_heading_are_told_apart_by_their_place() -> None:
    made = """
    tables:
      - name: t
        columns:
          - {heading: [区分], is: axis, column: kind_code}
          - {heading: [件数], occurrence: 1, is: value, measure: men, period: R6年度}
          - {heading: [件数], occurrence: 2, is: value, measure: women, period: R6年度}
    """
    reading = years(["区分", "件数", "件数"], ["相談", 1, 2], made=made)
    assert not reading.faults
    assert [(row.measure_code, row.value) for row in reading.rows] == [("men", 1), ("women", 2)]
    assert told(years(["区分", "件数"], ["相談", 1], made=made)) == [("表!A1", "missing_column")]


def test_two_kinds_of_labels_stacked_in_one_column() -> None:
    made = """
    tables:
      - name: t
        columns:
          - {heading: [年次・区分], is: period, stacked: true}
          - {heading: [年次・区分], is: axis, column: kind_code}
          - {heading: [件数], is: value, measure: count, period: row}
    """
    rows = [
        ["年次・区分", "件数"],
        ["令和5年", None],
        ["相談", 1],
        ["移住", 2],
        ["令和6年", None],
        ["相談", 3],
    ]
    reading = years(*rows, made=made)
    assert not reading.faults
    assert [(row.period.year, row.axes["kind_code"], row.value) for row in reading.rows] == [
        (2023, "a", 1),
        (2023, "b", 2),
        (2024, "a", 3),
    ]
    assert told(years(rows[0], ["相談", 1], made=made))


@pytest.mark.parametrize(
    "heading", ["R6年度（千件）", "R6（千件）", "令和6年度\n（単位：千件）", "R6年度［千件］"]
)
def test_a_unit_behind_a_period_is_compared(heading: str) -> None:
    made = YEARS.replace("measure: count", "measure: count, unit: 件")
    reading = years(["区分", "R5年度", heading], ["相談", 1, 2], made=made)
    assert [code for _, code in told(reading)] == ["changed_unit"]
    assert not years(["区分", "R5年度（件）", "R6年度（見込）"], ["相談", 1, 2], made=made).faults


@pytest.mark.parametrize(
    "line", ["※ 数値は千件単位", "※件数は千件で表示", "＊金額等は千件単位で表示しています"]
)
def test_a_scale_said_in_words_is_a_unit(line: str) -> None:
    assert stated_units(line) == ("千件",)
    reading = one(5, made=COUNTED.replace("[※", "[※＊"), below=[[], [line]])
    assert [code for _, code in told(reading)] == ["changed_unit"]


@pytest.mark.parametrize(
    "line", ["※市町村単位で集計", "※数十人単位で移住", "※順位は前年", "※校区単位", "※表示は千の位まで"]
)
def test_words_that_count_nothing_are_no_unit(line: str) -> None:
    assert stated_units(line) == ()


@pytest.mark.parametrize("written", ["2024年4～6月", "R6年度第1四半期", "令和6年度"])
def test_more_than_a_month_is_no_month(written: str) -> None:
    made = """
tables:
  - name: t
    year: fiscal
    columns:
      - {heading: [年月], is: period, periodKind: 月}
      - {heading: [件数], is: value, measure: count, period: row, periodKind: 月}
"""
    reading = read(sheet([["年月", "件数"], [written, 5]]), made, KINDS, VALUE)
    assert [code for _, code in told(reading)] == ["unreadable_period"]
    assert "ひと月" in reading.faults[0].expected_ja
    assert not read(sheet([["年月", "件数"], ["2024年4月", 5]]), made, KINDS, VALUE).faults
