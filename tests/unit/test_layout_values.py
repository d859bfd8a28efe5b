"""What a cell says: units, several quantities, marks with their notes, qualifiers, status; and what is no value."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from layout_books import Coded, Formula, read, sheet, told

from kpi_warehouse.japanese.areas import areas
from kpi_warehouse.settings import PROJECT

MEASURES = Coded(
    "measure_code",
    {"persons": "専門家活用支援の人数", "towns": "専門家活用支援の市町村数", "bank": "調査等の人数"},
    {"bank": ["空家バンク登録のための調査等"]},
    units={"persons": "人", "towns": "市町村", "bank": "人"},
)
VALUE = Coded(
    "value",
    marks={"※": "国費活用に移行", "-": "該当なし", "…": "不詳", "調整中": "未定"},
    mark_status={"※": "not_applicable", "調整中": "planned"},
)
VACANT = """
outside:
  - {pattern: "^空家", is: title}
  - {pattern: "^[※注]", is: footnote}
tables:
  - name: results
    year: fiscal
    columns:
      - {heading: [事業], is: ignored, reason: 内訳で決まる}
      - {heading: [内訳], is: measure}
      - {heading: period, is: value, unitAliases: {市: 市町村}}
      - {heading: [備考], is: note, optional: true}
"""
SEED = [
    ["空家等対策　取組実績"],
    [],
    ["事業", "内訳", "R2", "R3", "R4", "R5", "R6"],
    ["空家・移住相談会等", "専門家活用支援の人数", "9人", "19人", "30人", "42人", "78人（予定）"],
    [None, "専門家活用支援の市町村数", "1市", "6市町村", "６市町村", "7市町村", "12市町村（予定）"],
    ["空き家バンク", "調査等の人数", "59人", "74人", "196人", "173人", "※"],
    ["※社交金の対象となったため、R6年度からは市町村が国費を活用"],
]
ONE = """
outside:
  - {pattern: "^単位[:：](?P<unit>.+)$", is: unit}
  - {pattern: "^(?P<period>.+)現在$", is: as_of}
  - {pattern: "^[※注]", is: footnote}
tables:
  - name: t
    year: fiscal
    columns:
      - {heading: [区分], is: axis, column: kind_code}
      - {heading: [人数], is: value, measure: persons, period: R6年度}
"""
COUNTED = ONE.replace("measure: persons", "measure: persons, unit: 人")
KINDS = Coded("kind_code", {"a": "甲", "b": "乙"})


def one(content: object, *, made: str = ONE, heading: str = "人数", below: tuple[list[object], ...] = ()):  # type: ignore[no-untyped-def]
    return read(sheet([["区分", heading], ["甲", content], *below]), made, KINDS, VALUE)


def test_seed_vacant_houses() -> None:
    reading = read(sheet(SEED, merged=("A4:A5",)), VACANT, MEASURES, VALUE)
    assert not reading.faults
    by_cell = {row.source_cell: row for row in reading.rows}
    assert len(by_cell) == 15
    planned, town, mark = by_cell["表!G4"], by_cell["表!C5"], by_cell["表!G6"]
    assert (planned.value, planned.value_status, planned.qualifier, planned.unit) == (
        78,
        "planned",
        "予定",
        "人",
    )
    assert (planned.value_text, planned.period) == ("78人（予定）", date(2024, 4, 1))
    assert (town.measure_code, town.value, town.unit, town.value_text) == ("towns", 1, "市町村", "1市")
    assert (mark.value, mark.value_mark, mark.value_status, mark.unit) == (None, "※", "not_applicable", "人")
    assert mark.note == "社交金の対象となったため、R6年度からは市町村が国費を活用"


def test_unit_of_another_measure_is_refused() -> None:
    rows = [*SEED[:3], ["a", "専門家活用支援の人数", "9件", *["1人"] * 4]]
    reading = read(sheet(rows), VACANT, MEASURES, VALUE)
    assert told(reading) == [("表!C4", "unit")]
    assert reading.faults[0].label == "専門家活用支援の人数／R2"
    assert "「人」" in reading.faults[0].expected_ja
    assert "「件」" in reading.faults[0].expected_ja


def test_two_quantities_in_a_cell_are_two_measures() -> None:
    made = """
    tables:
      - name: events
        columns:
          - {heading: [行事名], is: axis, column: event_code}
          - {heading: [開催日], is: period, periodKind: イベント}
          - {heading: [来場者数], is: value, units: {組: groups, 名: visitors}}
    """
    rows = [["行事名", "開催日", "来場者数"], ["移住FES", "2024年10月12日（土）", "264組427名"]]
    reading = read(sheet(rows), made, Coded("event_code"), VALUE)
    assert not reading.faults
    assert [(row.measure_code, row.value, row.unit, row.period_kind) for row in reading.rows] == [
        ("groups", 264, "組", "イベント"),
        ("visitors", 427, "名", "イベント"),
    ]
    assert {row.value_text for row in reading.rows} == {"264組427名"}
    for content, code in (("264組", "missing_quantity"), ("264組3社", "unit"), ("264", "unit")):
        rows[1][2] = content
        assert [each for _, each in told(read(sheet(rows), made, Coded("event_code"), VALUE))] == [code]


def test_brackets_behind_a_number_are_no_minus() -> None:
    made = ONE.replace("measure: persons", "units: {社・団体: exhibitors, ブース: booths}")
    assert [row.value for row in one("２９８社・団体（３２１ブース）", made=made).rows] == [298, 321]


@pytest.mark.parametrize(
    ("content", "value", "status", "qualifier"),
    [
        (1234, "1234", "actual", None),
        (0.1 + 0.2, "0.3", "actual", None),
        ("１，２３４人", "1234", "actual", None),
        ("▲1,234", "-1234", "actual", None),
        ("約200人", "200", "actual", "約"),
        ("78人（予定）", "78", "planned", "予定"),
        ("123p", "123", "provisional", "速報"),
        (Formula("1+1", 2), "2", "actual", None),
    ],
)
def test_numbers(content: object, value: str, status: str, qualifier: str | None) -> None:
    reading = one(content, made=COUNTED)
    assert not reading.faults
    row = reading.rows[0]
    assert (row.value, row.value_status, row.qualifier) == (Decimal(value), status, qualifier)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (Formula("SUM(B3:B9)"), "formula_without_value"),
        ("#REF!", "error_value"),
        ("#N/A", "error_value"),
        (True, "not_a_number"),
        (date(2024, 1, 2), "not_a_number"),
        ("不明", "unreadable_number"),
        ("－", "unreadable_number"),  # NFKC would make it the mark -; the dictionary is of raw marks
        ("12人34人", "several_numbers"),
        (None, "blank"),
        ("　", "blank"),
    ],
)
def test_what_is_no_value_comes_back_with_its_place(content: object, code: str) -> None:
    reading = one(content)
    assert told(reading) == [("表!B2", code)]
    assert reading.faults[0].label == "甲／人数"
    assert not reading.rows


def test_blank_may_be_skipped_by_contract() -> None:
    assert not one(None, made=ONE.replace("year: fiscal", "blank: skip")).faults


@pytest.mark.parametrize("content", ["※1", "12人※1", "12人（※１）"])
def test_footnotes_are_bound_to_their_cells(content: str) -> None:
    below = ([], ["※1 集計方法を変更"], ["※2 別の注"])
    reading = one(content, made=COUNTED, below=below)
    assert not reading.faults
    assert reading.rows[0].note == "集計方法を変更"


def test_footnotes_of_headings_and_labels() -> None:
    rows = [["区分", "人数(※1)"], ["甲（※2）", 1], ["乙", 2], ["※1 見出しの注"], ["※2 行の注"]]
    reading = read(sheet(rows), ONE, KINDS, VALUE)
    assert not reading.faults
    assert [row.note for row in reading.rows] == ["見出しの注／行の注", "見出しの注"]


@pytest.mark.parametrize("heading", ["人数（人）", "人数\n(人)", "人数［単位：人］"])
def test_unit_in_the_heading(heading: str) -> None:
    reading = one(5, heading=heading)
    assert not reading.faults
    assert reading.rows[0].unit == "人"


def test_unit_from_a_row_of_units_and_from_the_sheet() -> None:
    reading = read(sheet([["区分", "人数"], ["単位", "人"], ["甲", 5]]), ONE, KINDS, VALUE)
    assert not reading.faults
    assert [(row.value, row.unit) for row in reading.rows] == [(5, "人")]
    reading = read(sheet([[None, "単位：人"], [], ["区分", "人数"], ["甲", 5]]), ONE, KINDS, VALUE)
    assert not reading.faults
    assert reading.rows[0].unit == "人"


def test_changed_unit_follows_the_drift_policy() -> None:
    made = ONE.replace("measure: persons", "measure: persons, unit: 人")
    for rows, place in (
        ([["区分", "人数（千人）"], ["甲", 5]], "表!B1"),
        ([["単位：千人"], ["区分", "人数"], ["甲", 5]], "表!A1"),
    ):
        reading = read(sheet(rows), made, KINDS, VALUE)
        assert told(reading) == [(place, "changed_unit")]
        assert not reading.rows
        reading = read(sheet(rows), made, KINDS, VALUE, drift={"changedUnit": "flag"})
        assert not reading.faults
        assert [(each.place, each.code) for each in reading.drift] == [(place, "changed_unit")]
        assert not reading.rows


def test_status_of_heading_column_and_declaration() -> None:
    made = """
    tables:
      - name: t
        year: fiscal
        columns:
          - {heading: [区分], is: axis, column: kind_code}
          - {heading: period, is: value, measure: persons}
          - {heading: [状況], is: status, optional: true, statuses: {支援中: partial, 実績: actual}}
    """
    rows = [["区分", "R5", "Ｒ６年度（10月末現在）"], ["甲", 158, 47]]
    reading = read(sheet(rows), made, KINDS, VALUE)
    assert [(row.value_status, row.period_end, row.qualifier) for row in reading.rows] == [
        ("actual", date(2024, 3, 31), None),
        ("partial", date(2024, 10, 31), "10月末現在"),
    ]
    rows = [["区分", "R6", "状況"], ["甲", 40, "支援中"], ["乙", 1, "終了"]]
    reading = read(sheet(rows), made, KINDS, VALUE)
    assert told(reading) == [("表!C3", "unknown_status")]
    assert reading.rows[0].value_status == "partial"
    declared = ONE.replace("measure: persons", "measure: persons, status: target")
    assert one(80, made=declared).rows[0].value_status == "target"


def test_period_of_the_document_is_a_point_in_time() -> None:
    made = ONE.replace("period: R6年度", "period: document")
    reading = read(sheet([["R6.10月末現在"], ["区分", "人数"], ["甲", 2684]]), made, KINDS, VALUE)
    assert not reading.faults
    row = reading.rows[0]
    assert (row.period, row.period_end, row.period_kind) == (date(2024, 10, 31), date(2024, 10, 31), "時点")


def test_year_that_nobody_said_is_said_to_be_unknown() -> None:
    row = one(80, made=ONE.replace("R6年度", "年度不明")).rows[0]
    assert (row.period_kind, row.period) == ("年度不明", date(1900, 1, 1))


def test_hidden_values_are_refused_unless_the_contract_reads_them() -> None:
    rows = [["区分", "人数"], ["甲", 5], ["乙", 6]]
    reading = read(sheet(rows, hidden_rows=[3]), ONE, KINDS, VALUE)
    assert told(reading) == [("表!B3", "hidden_value")]
    reading = read(sheet(rows, hidden_columns="B"), ONE, KINDS, VALUE)
    assert [code for _, code in told(reading)] == ["hidden_value"] * 2
    assert not read(sheet(rows, hidden_rows=[3]), "hidden: read\n" + ONE.lstrip("\n"), KINDS, VALUE).faults


def test_value_merged_over_two_rows_is_refused() -> None:
    rows = [["区分", "人数"], ["甲", 5], ["乙", None]]
    reading = read(sheet(rows, merged=("B2:B3",)), ONE, KINDS, VALUE)
    assert told(reading) == [("表!B2", "merged_value")]


MUNICIPAL = """
tables:
  - name: results
    columns:
      - {heading: [市町村], is: axis, column: area_code}
      - {heading: [件数], is: value, measure: count, unit: 件, period: R6年度}
"""


def test_municipalities_are_known_by_any_of_their_spellings_and_no_other() -> None:
    listed = areas(PROJECT, "municipalities")
    column = Coded("area_code", codes=dict(listed.names), areas=listed)
    page = sheet(
        [
            ["市町村", "件数"],
            ["阿蘇郡小国町", 1],
            ["南小国町", 2],
            ["432024", 3],
            ["熊本市東区", 4],
            ["人吉", 5],
        ]
    )
    reading = read(
        page,
        MUNICIPAL,
        column,
        Coded("measure_code", {"count": "件数"}),
        Coded("value", marks={"-": "該当なし"}),
    )
    assert [(row.axes["area_code"], row.value) for row in reading.rows] == [
        ("43424", 1),
        ("43423", 2),
        ("43202", 3),
    ]
    assert [(fault.place, fault.found) for fault in reading.faults] == [
        ("表!A5", "熊本市東区"),
        ("表!A6", "人吉"),
    ]
    assert "区は市町村ではない" in reading.faults[0].expected_ja
    assert "近いもの：人吉市" in reading.faults[1].expected_ja
