"""Tables are found by their headings, wherever they stand; stacked ones are told apart by captions."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

from layout_books import Coded, read, sheet, told

FIGURES = Path(__file__).parents[2] / "demo" / "estat" / "figures" / "seed_migration_2024_monthly.csv"
PARTNERS = Coded(
    "counterpart_code",
    {"tokyo": "東京圏", "osaka": "大阪圏", "fukuoka": "福岡県"},
    {"fukuoka": ["福岡"]},
)
VALUE = Coded("value", marks={"-": "該当なし"})
MONTHLY = """
outside:
  - {pattern: "^移住定住の状況", is: title}
  - {pattern: "^単位[:：](?P<unit>.+)$", is: unit}
  - {pattern: "^[※注]", is: footnote}
tables:
  - &table
    name: outflow
    caption: 転出
    year: calendar
    base_period: caption
    set: {direction_code: "out"}
    columns:
      - {heading: [区分, 地域], is: axis, column: counterpart_code}
      - {heading: period, is: value, measure: movers, unit: 人, gapless: true}
      - {heading: [計, 合計], is: row_total}
    rows: {totals: [計, 合計]}
  - <<: *table
    name: inflow
    caption: 転入
    set: {direction_code: "in"}
"""
MONTHS = [f"{month}月" for month in range(1, 10)]


def seed_rows(direction: str) -> list[list[str | int]]:
    with FIGURES.open(encoding="utf-8") as lines:
        return [
            [row["counterpart"], *(int(number) for number in list(row.values())[2:])]
            for row in csv.DictReader(lines)
            if row["direction"] == direction
        ]


def briefing(**changes: object) -> list[list[object]]:
    """The slide's two stacked tables, from row 1: title, unit, 転出 (headings in 4–5), 転入 (11–12), a note."""
    rows: list[list[object]] = [["移住定住の状況"], [None] * 10 + ["単位：人"]]
    for direction, caption in (("out", "１　転出（令和６年）"), ("in", "２　転入（令和６年）")):
        rows += [[caption], ["区分", "令和６年", *[None] * 8, "計"], [None, *MONTHS, None]]
        rows += [*seed_rows(direction), []]
    return [*rows, ["※総務省「住民基本台帳人口移動報告」"]]


MERGED = ("A4:A5", "B4:J4", "K4:K5", "A11:A12", "B11:J11", "K11:K12")


def test_seed_migration_is_54_located_months_and_6_row_checks() -> None:
    reading = read(sheet(briefing(), name="移住", merged=MERGED), MONTHLY, PARTNERS, VALUE)
    assert not reading.faults
    assert len(reading.rows) == 54
    slip = next(row for row in reading.rows if row.source_cell == "移住!F14")
    assert slip.axes == {"counterpart_code": "osaka", "direction_code": "in"}
    assert (slip.period, slip.period_end, slip.period_kind) == (date(2024, 5, 1), date(2024, 5, 31), "月")
    assert (slip.value, slip.unit, slip.measure_code, slip.value_status) == (16, "人", "movers", "actual")
    values = {row.source_cell: row.value for row in reading.rows}
    wrong = [
        check
        for check in reading.checks
        if sum((values[m] or 0 for m in check.members), Decimal()) != check.stated
    ]
    assert len(reading.checks) == 6
    assert [(check.place, check.label, check.stated) for check in wrong] == [("移住!K14", "大阪圏／計", 1831)]
    assert wrong[0].members == tuple(f"移住!{column}14" for column in "BCDEFGHIJ")


def test_columns_and_rows_may_move() -> None:
    rows = [
        [],
        [],
        [None, None, "転出 2024年"],
        [None, "2月", "計", "地域", "1月"],
        [None, 5, 8, "東京圏", 3],
    ]
    made = MONTHLY.split("  - <<:", 1)[0]
    reading = read(sheet(rows), made, PARTNERS, VALUE)
    assert not reading.faults
    assert [(row.source_cell, row.period.month, row.value) for row in reading.rows] == [
        ("表!B5", 2, 5),
        ("表!E5", 1, 3),
    ]
    assert reading.checks[0].members == ("表!B5", "表!E5")


def test_the_order_of_stacked_tables_does_not_matter() -> None:
    rows = briefing()
    swapped = [*rows[:2], *rows[9:15], [], *rows[2:8], []]
    reading = read(
        sheet(swapped, merged=("A4:A5", "B4:J4", "K4:K5", "A11:A12", "B11:J11", "K11:K12")),
        MONTHLY,
        PARTNERS,
        VALUE,
    )
    assert not reading.faults
    assert {row.axes["direction_code"] for row in reading.rows if row.source_cell.endswith("14")} == {"out"}


def test_a_caption_behind_its_table_is_refused() -> None:
    """I32: what stands after its content tells nobody which table it belongs to."""
    rows = briefing()
    moved = [*rows[:2], *rows[3:8], rows[2], *rows[8:]]
    reading = read(sheet(moved), MONTHLY, PARTNERS, VALUE)
    assert reading.faults
    assert not any(row.axes["direction_code"] == "out" for row in reading.rows)


def test_page_number_under_the_table_is_a_stray_cell() -> None:
    for page_number in ([[None, None, None, 19]], [[19]], [[], [], [19]], [["- 19 -"]]):
        reading = read(sheet([*briefing()[:15], *page_number], merged=MERGED), MONTHLY, PARTNERS, VALUE)
        assert [code for _, code in told(reading)] == ["stray_cell"], page_number
        assert len(reading.rows) == 54


def test_ticks_beside_the_table_are_stray_cells() -> None:
    rows = briefing()
    rows[6] = [*rows[6], None, 7000]
    reading = read(sheet(rows, merged=MERGED), MONTHLY, PARTNERS, VALUE)
    assert told(reading) == [("表!M7", "stray_cell")]


def test_eight_labels_for_nine_months_are_refused() -> None:
    rows = briefing()
    rows[11] = [None, *MONTHS[:8], None, None]
    reading = read(
        sheet(rows, merged=[area for area in MERGED if area != "B11:J11"]), MONTHLY, PARTNERS, VALUE
    )
    assert ("表!J12", "missing_heading") in told(reading)
    lost_inside = briefing()
    lost_inside[4] = [None, *MONTHS[:4], None, *MONTHS[5:], None]
    reading = read(sheet(lost_inside, merged=("A4:A5", "K4:K5", *MERGED[3:])), MONTHLY, PARTNERS, VALUE)
    codes = {code for _, code in told(reading)}
    assert codes == {"missing_heading", "period_gap"}
    gap = next(fault for fault in reading.faults if fault.code == "period_gap")
    assert "2024年5月" in gap.expected_ja


def test_same_month_twice_is_one_fault_of_the_heading() -> None:
    rows = briefing()
    rows[4] = [None, *MONTHS[:8], "8月", None]
    reading = read(sheet(rows, merged=MERGED), MONTHLY, PARTNERS, VALUE)
    assert told(reading) == [("表!J5", "duplicate_heading")]
    assert "表!I5" in reading.faults[0].expected_ja


def test_table_that_is_not_there_lists_what_is() -> None:
    rows = [["移住定住の状況"], ["都市", "人口"], ["熊本市", 738000]]
    reading = read(sheet(rows, name="人口"), MONTHLY, PARTNERS, VALUE)
    assert told(reading) == [("人口", "no_table"), ("人口", "no_table")]
    assert "「区分」／「地域」" in reading.faults[0].expected_ja
    assert "「都市」、「人口」" in reading.faults[0].expected_ja


def test_two_places_for_one_table_are_refused_naming_both() -> None:
    made = MONTHLY.split("  - <<:", 1)[0]
    one = briefing()[2:8]
    reading = read(sheet([*one, [], *one]), made.replace("    caption: 転出\n", ""), PARTNERS, VALUE)
    assert {code for _, code in told(reading)} == {"ambiguous_table"}
    assert "表!A2" in reading.faults[0].expected_ja
    assert "表!A9" in reading.faults[0].expected_ja


def test_two_tables_for_one_header_are_refused() -> None:
    made = MONTHLY.replace("    caption: 転入\n", "    caption: 転出\n")
    reading = read(sheet(briefing()[:8], merged=MERGED[:3]), made, PARTNERS, VALUE)
    assert told(reading) == [("表!A4", "ambiguous_table")]
    assert "outflow、inflow" in reading.faults[0].expected_ja


def test_year_may_come_from_the_sheet_the_document_or_the_contract() -> None:
    rows: list[list[object]] = [["R6.9月末現在"], ["区分", "9月", "1月"], ["東京圏", 1, 2]]
    table = """
    outside: [{pattern: "^(?P<period>.+)現在$", is: as_of}]
    tables:
      - name: t
        year: fiscal
        base_period: BASE
        columns:
          - {heading: [区分], is: axis, column: counterpart_code}
          - {heading: period, is: value, measure: movers}
    """
    for base, name in (("sheet", "R6年度"), ("document", "表"), ("R6", "表")):
        reading = read(sheet(rows, name=name), table.replace("BASE", base), PARTNERS, VALUE)
        assert not reading.faults, base
        assert [row.period for row in reading.rows] == [date(2024, 9, 1), date(2025, 1, 1)]
    reading = read(sheet(rows, name="表"), table.replace("BASE", "sheet"), PARTNERS, VALUE)
    assert told(reading) == [("表!B2", "no_period"), ("表!C2", "no_period")]


def test_one_table_on_a_sheet_for_each_year() -> None:
    table = """
    tables:
      - name: t
        repeats: true
        base_period: sheet
        columns:
          - {heading: [区分], is: axis, column: counterpart_code}
          - {heading: period, is: value, measure: movers}
    """
    sheets = [sheet([["区分", "4月"], ["東京圏", at]], name=f"R{at}年度") for at in (5, 6)]
    reading = read(sheets, table, PARTNERS, VALUE)
    assert not reading.faults
    assert [(row.period, row.value) for row in reading.rows] == [(date(2023, 4, 1), 5), (date(2024, 4, 1), 6)]


def test_unknown_and_hidden_sheets_with_content_are_told() -> None:
    table = """
    ignoreSheets: {記入要領: 説明だけのシート}
    tables:
      - name: t
        columns:
          - {heading: [区分], is: axis, column: counterpart_code}
          - {heading: [人数], is: value, measure: movers, period: R6年度}
    """
    good = sheet([["区分", "人数"], ["東京圏", 1]])
    others = [
        sheet([["書き方"]], name="記入要領"),
        sheet([["メモ", 5]], name="Sheet2"),
        sheet([[], [5]], name="隠し", hidden=True),
    ]
    reading = read([good, *others], table, PARTNERS, VALUE)
    assert told(reading) == [("Sheet2!A1", "unknown_sheet"), ("隠し!A2", "hidden_sheet")]
    assert len(reading.rows) == 1


def test_blank_corner_of_a_cross_table() -> None:
    table = """
    tables:
      - name: t
        year: fiscal
        columns:
          - {heading: ["", 区分], is: axis, column: counterpart_code}
          - {heading: period, is: value, measure: movers}
    """
    reading = read(sheet([[None, "R5", "R4"], ["東京圏", 1, 2]]), table, PARTNERS, VALUE)
    assert not reading.faults
    assert [(row.period.year, row.value) for row in reading.rows] == [(2023, 1), (2022, 2)]
