"""Labels, totals, drift and keys of rows: each is loaded, a check, ignored by name, or comes back to the division."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from layout_books import Coded, read, sheet, told

from kpi_warehouse.readers.layout_result import Check

AREAS = Coded("area_code", {"k": "熊本市", "y": "八代市", "u": "うち中央区"}, {"k": ["熊本"]})
SEXES = Coded("sex_code", {"m": "男", "f": "女"})
MEASURES = Coded("measure_code", {"people": "人数", "schools": "校数"})
VALUE = Coded("value", marks={"-": "該当なし", "X": "秘匿"})
TABLE = """
outside:
  - {pattern: "^※", is: footnote}
  - {pattern: "^担当", is: ignored, reason: 担当課の表示}
tables:
  - name: t
    year: fiscal
    columns:
      - {heading: [市町村], is: axis, column: area_code}
      - {heading: period, is: value, measure: people}
      - {heading: [計], is: row_total, optional: true}
    rows: {totals: [計, 合計], subtotals: [小計], subsets: [うち], ignore: {参考: 参考値のため}}
"""
HEADING = ["市町村", "R5", "R6", "計"]


def sums(checks: list[Check]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {check.place: (check.name, check.label, check.members) for check in checks}


def test_totals_are_checks_in_both_directions_and_the_corner() -> None:
    rows = [HEADING, ["熊本市", 1, 2, 3], ["八代市", 4, 5, 9], ["計", 5, 7, 12]]
    reading = read(sheet(rows), TABLE, AREAS, VALUE)
    assert not reading.faults
    assert len(reading.rows) == 4
    assert sums(reading.checks) == {
        "表!D2": ("t.row", "熊本市／計", ("表!B2", "表!C2")),
        "表!D3": ("t.row", "八代市／計", ("表!B3", "表!C3")),
        "表!B4": ("t.column", "計／R5", ("表!B2", "表!B3")),
        "表!C4": ("t.column", "計／R6", ("表!C2", "表!C3")),
        "表!D4": ("t.corner", "計／計", ("表!B2", "表!C2", "表!B3", "表!C3")),
    }
    assert [check.stated for check in reading.checks if check.place == "表!D4"] == [Decimal(12)]


def test_a_total_in_the_middle_sums_all_rows_but_the_parts_of_others() -> None:
    rows = [HEADING[:3], ["熊本市", 1, 2], ["うち中央区", 1, 1], ["合計", 5, 7], ["八代市", 4, "-"]]
    reading = read(sheet(rows), TABLE, AREAS, VALUE)
    assert not reading.faults
    assert sums(reading.checks)["表!B4"] == ("t.column", "合計／R5", ("表!B2", "表!B5"))
    assert sums(reading.checks)["表!C4"][2] == ("表!C2", "表!C5")
    assert [row.value_mark for row in reading.rows if row.source_cell == "表!C5"] == ["-"]


def test_subtotals_sum_what_stands_above_them() -> None:
    rows = [["市町村", "R6"], ["熊本市", 1], ["小計", 1], ["八代市", 4], ["小計", 4], ["計", 5]]
    checks = sums(read(sheet(rows), TABLE, AREAS, VALUE).checks)
    assert [checks[f"表!B{row}"][2] for row in (3, 5, 6)] == [("表!B2",), ("表!B4",), ("表!B2", "表!B4")]


def test_a_total_of_a_group_sums_its_own_rows() -> None:
    made = TABLE.replace(
        "      - {heading: period",
        "      - {heading: [性別], is: axis, column: sex_code}\n      - {heading: period",
    )
    rows = [
        ["市町村", "性別", "R6"],
        ["熊本市", "男", 1],
        [None, "女", 2],
        [None, "計", 3],
        ["八代市", "男", 4],
        [None, "計", 4],
        ["計", None, 7],
    ]
    reading = read(sheet(rows, merged=("A2:A4", "A5:A6", "A7:B7")), made, AREAS, SEXES, VALUE)
    assert not reading.faults
    assert [row.axes for row in reading.rows] == [
        {"area_code": "k", "sex_code": "m"},
        {"area_code": "k", "sex_code": "f"},
        {"area_code": "y", "sex_code": "m"},
    ]
    checks = sums(reading.checks)
    assert [checks[f"表!C{row}"][2] for row in (4, 6, 7)] == [
        ("表!C2", "表!C3"),
        ("表!C5",),
        ("表!C2", "表!C3", "表!C5"),
    ]


def test_labels_lost_with_merged_cells_are_filled_only_by_contract() -> None:
    made = TABLE.replace(
        "column: area_code}",
        "column: area_code, fillDown: true}\n      - {heading: [性別], is: axis, column: sex_code}",
    )
    rows = [["市町村", "性別", "R6"], ["熊本市", "男", 1], [None, "女", 2], [None, None, 19]]
    reading = read(sheet(rows), made, AREAS, SEXES, VALUE)
    assert [row.axes["area_code"] for row in reading.rows] == ["k", "k"]
    assert told(reading) == [("表!C4", "stray_cell")]
    strict = read(sheet(rows[:3]), made.replace(", fillDown: true", ""), AREAS, SEXES, VALUE)
    assert told(strict) == [("表!A3", "blank_label")]


def test_unknown_label_is_refused_with_the_nearest_known() -> None:
    reading = read(sheet([["市町村", "R6"], ["熊木市", 1], ["熊本", 2], ["y", 3]]), TABLE, AREAS, VALUE)
    assert told(reading) == [("表!A2", "unknown_label")]
    assert "熊本市" in reading.faults[0].expected_ja
    assert [row.axes["area_code"] for row in reading.rows] == ["k", "y"]


def test_unknown_label_without_values_is_a_stray_cell() -> None:
    reading = read(sheet([["市町村", "R6"], ["【県南】", None], ["熊本市", 1]]), TABLE, AREAS, VALUE)
    assert told(reading) == [("表!A2", "stray_cell")]
    assert len(reading.rows) == 1


def test_rows_ignored_by_name_and_lines_that_end_the_table() -> None:
    rows = [["市町村", "R6"], ["熊本市", 1], ["参考", 99], ["※注記"], ["担当：地域振興課", None], [None, 7]]
    reading = read(sheet(rows), TABLE, AREAS, VALUE)
    assert told(reading) == [("表!B6", "stray_cell")]
    assert len(reading.rows) == 1


def test_a_table_goes_on_over_blank_rows_only_by_contract() -> None:
    rows = [["市町村", "R6"], ["熊本市", 1], [], ["八代市", 2]]
    assert told(read(sheet(rows), TABLE, AREAS, VALUE)) == [("表!A4", "stray_cell"), ("表!B4", "stray_cell")]
    to_end = TABLE.replace("rows: {", "rows: {until: end, ")
    reading = read(sheet(rows), to_end, AREAS, VALUE)
    assert not reading.faults
    assert len(reading.rows) == 2


def test_the_same_key_twice_names_both_places() -> None:
    reading = read(sheet([["市町村", "R6"], ["熊本市", 1], ["熊本", 2]]), TABLE, AREAS, VALUE)
    assert told(reading) == [("表!B3", "duplicate_key")]
    assert "表!B2" in reading.faults[0].expected_ja


@pytest.mark.parametrize(("policy", "faults", "drift"), [("block", 1, 0), ("hold", 0, 1), ("flag", 0, 1)])
def test_a_new_column_follows_the_drift_policy(policy: str, faults: int, drift: int) -> None:
    rows = [["市町村", "R6", "前年差"], ["熊本市", 1, -5]]
    reading = read(sheet(rows), TABLE, AREAS, VALUE, drift={"newColumn": policy})
    assert (len(reading.faults), len(reading.drift)) == (faults, drift)
    assert [(each.place, each.code) for each in reading.faults + reading.drift] == [("表!C1", "new_column")]
    assert [row.source_cell for row in reading.rows] == ["表!B2"]


def test_a_missing_column_follows_the_drift_policy_unless_it_is_an_axis() -> None:
    made = TABLE.replace("heading: period, is: value", "heading: [人数], is: value, period: R6年度").replace(
        "      - {heading: [計]",
        "      - {heading: [校数], is: value, measure: schools, period: R6年度}\n      - {heading: [計]",
    )
    rows = [["市町村", "人数"], ["熊本市", 1]]
    assert [code for _, code in told(read(sheet(rows), made, AREAS, VALUE))] == ["missing_column"]
    reading = read(sheet(rows), made, AREAS, VALUE, drift={"missingColumn": "flag"})
    assert not reading.faults
    assert [each.code for each in reading.drift] == ["missing_column"]
    assert "「校数」" in reading.drift[0].expected_ja
    assert len(reading.rows) == 1
    renamed = [["自治体", "人数", "校数"], ["熊本市", 1, 2]]
    reading = read(sheet(renamed), made, AREAS, VALUE, drift={"missingColumn": "flag", "newColumn": "flag"})
    assert [fault.code for fault in reading.faults] == ["missing_column"]
    assert "「自治体」" in reading.faults[0].expected_ja
    assert not reading.rows


def test_years_over_measures_are_unpivoted_by_both() -> None:
    made = """
    tables:
      - name: t
        year: fiscal
        columns:
          - {heading: [市町村], is: axis, column: area_code}
          - {heading: period, is: value, measure: heading}
    """
    rows = [
        ["市町村", "R5", None, "R6", None],
        [None, "人数（人）", "校数", "人数（人）", "校数"],
        ["熊本市", 1, 2, 3, 4],
    ]
    reading = read(sheet(rows, merged=("A1:A2", "B1:C1", "D1:E1")), made, AREAS, MEASURES, VALUE)
    assert not reading.faults
    assert [(row.period.year, row.measure_code, row.value, row.unit) for row in reading.rows] == [
        (2023, "people", 1, "人"),
        (2023, "schools", 2, None),
        (2024, "people", 3, "人"),
        (2024, "schools", 4, None),
    ]
    spread = read(
        sheet([rows[0], ["", *rows[1][1:]], rows[2]]),
        made.replace("year:", "spreadHeadings: true\n        year:"),
        AREAS,
        MEASURES,
        VALUE,
    )
    assert [row.value for row in spread.rows] == [1, 2, 3, 4]


def test_months_down_and_years_across() -> None:
    made = """
    tables:
      - name: t
        year: fiscal
        columns:
          - {heading: [月], is: period}
          - {heading: period, is: value, measure: people}
    """
    reading = read(sheet([["月", "R5", "R6"], ["4月", 1, 2], ["1月", 3, 4]]), made, VALUE)
    assert not reading.faults
    assert [(row.period, row.period_kind, row.value) for row in reading.rows] == [
        (date(2023, 4, 1), "月", 1),
        (date(2024, 4, 1), "月", 2),
        (date(2024, 1, 1), "月", 3),
        (date(2025, 1, 1), "月", 4),
    ]


def test_one_event_a_row_with_dates_of_every_kind() -> None:
    made = """
    tables:
      - name: t
        columns:
          - {heading: [日付], is: period, periodKind: イベント}
          - {heading: [人数], is: value, measure: people}
          - {heading: [備考], is: note}
    """
    rows = [
        ["日付", "人数", "備考"],
        ["R6.10.2（水）～22（火）", 1, "福岡"],
        [datetime(2024, 11, 1), 2, None],
        [45568, 3, None],
        ["R6.10.2（木）", 4, None],
    ]
    reading = read(sheet(rows), made, VALUE)
    assert told(reading) == [("表!A5", "unreadable_period")]
    assert [(row.period, row.period_end, row.period_kind) for row in reading.rows] == [
        (date(2024, 10, 2), date(2024, 10, 22), "イベント"),
        (date(2024, 11, 1), date(2024, 11, 1), "イベント"),
        (date(2024, 10, 3), date(2024, 10, 3), "イベント"),
    ]
    assert reading.rows[0].note == "福岡"


def test_newest_year_first_stays_with_its_own_year() -> None:
    rows = [["市町村", "R5年度", "R4年度", "R3年度"], ["熊本市", "10校", "11校", "12校"]]
    reading = read(sheet(rows), TABLE.replace("measure: people", "measure: people, unit: 校"), AREAS, VALUE)
    assert [(row.period.year, row.value) for row in reading.rows] == [(2023, 10), (2022, 11), (2021, 12)]


def test_records_with_measure_and_unit_columns() -> None:
    made = """
    tables:
      - name: records
        year: fiscal
        columns:
          - {heading: [期間], is: period}
          - {heading: [項目], is: measure}
          - {heading: [値], is: value}
          - {heading: [単位], is: unit}
        rows: {until: end}
    """
    measures = Coded("measure_code", {"subscribers": "登録者数"}, units={"subscribers": "名"})
    rows = [["期間", "項目", "値", "単位"], ["R6.10月末", "登録者数", 2684, "名"]]
    reading = read(sheet(rows), made, measures, VALUE)
    assert not reading.faults
    row = reading.rows[0]
    assert (row.measure_code, row.unit, row.period_kind, row.period) == (
        "subscribers",
        "名",
        "時点",
        date(2024, 10, 31),
    )
    rows[1][3] = "千名"
    assert told(read(sheet(rows), made, measures, VALUE)) == [("表!C2", "unit")]
    rows[1][1:] = ["解約者数", 1, "名"]
    assert told(read(sheet(rows), made, measures, VALUE)) == [("表!B2", "unknown_label")]


def test_all_faults_of_a_file_come_back_at_once_in_reading_order() -> None:
    rows = [["市町村", "R6", "前年差"], ["熊木市", "x", 1], ["八代市", None, 1], [], ["19"]]
    reading = read(sheet(rows), TABLE, AREAS, VALUE)
    assert told(reading) == [
        ("表!C1", "new_column"),
        ("表!A2", "unknown_label"),
        ("表!B2", "unreadable_number"),
        ("表!B3", "blank"),
        ("表!A5", "stray_cell"),
    ]


def test_a_long_table_says_the_same_in_every_row() -> None:
    """Known labels and plain digits take a short way; what differs from them must not."""
    made = """
    outside: [{pattern: "^※", is: footnote}]
    tables:
      - name: t
        columns:
          - {heading: [年月], is: period}
          - {heading: [市町村], is: axis, column: area_code}
          - {heading: [性別], is: axis, column: sex_code}
          - {heading: [人数], is: value, measure: people, unit: 人}
          - {heading: [状況], is: status, statuses: {速報: provisional}, optional: true}
    """
    months = [f"2024-{month:02}" for month in range(1, 13)]
    rows: list[list[object]] = [["年月", "市町村", "性別", "人数", "状況"]]
    for month in months:
        for area in ("熊本市", "八代市"):
            for at, sex in enumerate(("男", "女")):
                rows.append([month, area, sex, len(rows) if at else str(len(rows)), None])
    rows[30][3:] = ["約30人", "速報"]
    rows[31][1] = "八代市※"
    rows[32][3] = "X"
    rows[40] = list(rows[39])
    rows[44][2] = "不明"
    reading = read(sheet([*rows, ["※合併前"]]), made, AREAS, SEXES, VALUE)
    assert told(reading) == [("表!D41", "duplicate_key"), ("表!C45", "unknown_label")]
    by_cell = {row.source_cell: row for row in reading.rows}
    assert len(by_cell) == 46
    for number, row in enumerate(rows[1:], start=2):
        if number in (41, 45):
            continue
        found = by_cell[f"表!D{number}"]
        assert (found.period.isoformat()[:7], found.axes) == (
            row[0],
            {
                "area_code": {"熊": "k", "八": "y"}[str(row[1])[0]],
                "sex_code": {"男": "m", "女": "f"}[str(row[2])],
            },
        )
        assert list(found.axes) == ["area_code", "sex_code"]
        assert found.unit == "人"
        if number not in (31, 33):
            assert (found.value, found.value_text, found.value_status) == (
                Decimal(str(row[3])),
                None,
                "actual",
            )
    assert (by_cell["表!D31"].value, by_cell["表!D31"].qualifier) == (30, "約")
    assert by_cell["表!D31"].value_status == "provisional"
    assert by_cell["表!D32"].note == "合併前"
    assert by_cell["表!D33"].value_mark == "X"


def test_a_file_wrong_in_every_cell_is_told_in_bounds() -> None:
    rows = [["市町村", "R6"], *([f"謎{number}", "?"] for number in range(6000))]
    reading = read(sheet(rows), TABLE, AREAS, VALUE)
    assert len(reading.faults) == 10_001
    assert reading.faults[-1].code == "more_faults"
    assert "2000件" in reading.faults[-1].expected_ja
