"""A layout's YAML: what is declared is kept, and every slip of the pen is told at its key."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kpi_warehouse.contract_layout import Drift, Layout, layout_of

GOOD = """
layout:
  hidden: read
  ignoreSheets: {記入要領: 説明だけ}
  outside:
    - {pattern: "^単位[:：](?P<unit>.+)$", is: unit}
    - {pattern: "^担当", is: ignored, reason: 担当課の表示}
  tables:
    - name: outflow
      sheet: 移住定住
      caption: 転出
      year: calendar
      base_period: caption
      set: {direction_code: "out"}
      columns:
        - {heading: [区分, 地域], is: axis, column: counterpart_code, fillDown: true}
        - {heading: period, is: value, measure: movers, unit: 人, unitAliases: {名: 人}, gapless: true}
        - {heading: [計], is: row_total}
        - {heading: [状況], is: status, statuses: {予定: planned}, optional: true}
        - {heading: [担当者], is: ignored, reason: 個人名のため, optional: true}
      rows: {totals: [計], subtotals: [小計], subsets: [うち], ignore: {参考: 参考値}, until: end}
drift: {newColumn: hold, changedUnit: flag}
"""


def parsed(text: str) -> tuple[Layout, list[tuple[tuple[Any, ...], object, str]]]:
    faults: list[tuple[tuple[Any, ...], object, str]] = []
    made = layout_of(yaml.safe_load(text), lambda *fault: faults.append(fault))
    return made, faults


def test_everything_declared_is_kept() -> None:
    made, faults = parsed(GOOD)
    assert not faults
    assert made.drift == Drift(new_column="hold", missing_column="block", changed_unit="flag")
    assert (made.hidden, made.ignored_sheets) == ("read", {"記入要領": "説明だけ"})
    assert [line.kind for line in made.outside] == ["unit", "ignored"]
    table = made.tables[0]
    assert (table.caption, table.year, table.base_period) == (("転出",), "calendar", "caption")
    assert table.constants == {"direction_code": "out"}
    assert (table.rows.totals, table.rows.until, table.blank) == (("計",), "end", "fault")
    axis, months, total, status, ignored = table.columns
    assert (axis.headings, axis.fill_down) == (("区分", "地域"), True)
    assert (months.period_heading, months.headings, months.gapless) == (True, (), True)
    assert months.unit_aliases == {"名": "人"}
    assert (total.kind, status.statuses, ignored.optional) == ("row_total", {"予定": "planned"}, True)


@pytest.mark.parametrize(
    ("old", "new", "path", "expected"),
    [
        ("fillDown", "filldown", "layout.tables.0.columns.0.filldown", "fillDown のことですか"),
        ("is: axis", "is: axes", "layout.tables.0.columns.0.is", "axis / period"),
        ("column: counterpart_code, ", "", "layout.tables.0.columns.0.column", "軸の列名"),
        ("measure: movers, ", "", "layout.tables.0.columns.1.measure", "measure か units"),
        ("heading: [計]", "heading: [区分]", "layout.tables.0.columns.2.heading", "重ならない見出し"),
        ('"^単位[:：]', '"^単位[:：', "layout.outside.0.pattern", "正しい正規表現"),
        ("(?P<unit>.+)", ".+", "layout.outside.0.pattern", "(?P<unit>…)"),
        (", reason: 担当課の表示", "", "layout.outside.1.reason", "読み飛ばす理由"),
        (", reason: 個人名のため", "", "layout.tables.0.columns.4.reason", "読み飛ばす理由"),
        ("予定: planned", "予定: plan", "layout.tables.0.columns.3.statuses.予定", "actual / partial"),
        ('"out"', "0100", "layout.tables.0.set", "引用符"),
        ("newColumn: hold", "newColumn: warn", "drift.newColumn", "block / hold / flag"),
        ("year: calendar", "year: 暦年", "layout.tables.0.year", "fiscal / calendar"),
        ("base_period: caption", "base_period: document", "layout.tables.0.base_period", "(?P<period>…)"),
        ("until: end", "until: never", "layout.tables.0.rows.until", "blank / end"),
        ("- name: outflow", "- name:", "layout.tables.0.name", "表の名前"),
        ("gapless: true", "period: row", "layout.tables.0.columns.1.period", "is: period の列"),
        ("gapless: true", "gapless: yes please", "layout.tables.0.columns.1.gapless", "true / false"),
    ],
)
def test_a_slip_is_told_at_its_key(old: str, new: str, path: str, expected: str) -> None:
    assert old in GOOD
    _, faults = parsed(GOOD.replace(old, new))
    assert [".".join(map(str, key)) for key, _, _ in faults] == [path]
    assert expected in faults[0][2]


def test_a_layout_without_tables_or_landmarks_is_no_layout() -> None:
    assert [key for key, _, _ in parsed("layout: {}")[1]] == [("layout", "tables")]
    assert ("layout",) in [key for key, _, _ in parsed("layout: 表")[1]]
    only_period = "layout: {tables: [{name: t, columns: [{heading: period, is: value, measure: m}]}]}"
    assert [key for key, _, _ in parsed(only_period)[1]] == [("layout", "tables", 0, "columns")]
    twice = yaml.safe_load(GOOD)
    twice["layout"]["tables"] *= 2
    assert [key for key, _, _ in parsed(yaml.safe_dump(twice))[1]] == [("layout", "tables", 1, "name")]
