"""From the file to the accepted rows: what stands beside the figures is compared, bound, asked about or told."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
from division_files import rows
from openpyxl.comments import Comment
from test_refused_files import contracts, forget, load  # noqa: F401

FEED = "seen_figures"
CONTRACT = """\
kind: DataContract
apiVersion: v3.2.0
id: seen_figures
name: 見えるとおりの実績
version: 1.0.0
status: active
domain: 試験
description:
  purpose: 試験。
  limitations: 試験。
  customProperties:
    - {property: licence, value: 試験}
    - {property: credit, value: 出典：試験}
servers:
  - server: inbox
    type: custom
    customProperties:
      - {property: fileNames, value: ['*見えるとおり*']}
      - {property: format, value: workbook}
      - {property: revisions, value: accept}
      - property: layout
        value:
          outside:
            - {pattern: ^実績, is: title}
            - {pattern: ^（単位, is: ignored, reason: 単位の表示}
          tables:
            - name: t
              year: fiscal
              columns:
                - {heading: [区分], is: axis, column: kind_code}
                - {heading: period, is: value, measure: people}
schema:
  - name: seen_figures
    physicalName: seen_figures
    physicalType: table
    logicalType: object
    properties:
      - {name: period, businessName: 初日, logicalType: date, physicalType: date, required: true, primaryKey: true, primaryKeyPosition: 1, description: 初日}
      - name: period_kind
        businessName: 期間の種類
        logicalType: string
        physicalType: text
        required: true
        primaryKey: true
        primaryKeyPosition: 2
        description: 種類
        enum: [{value: 年度, label: 年度}]
      - name: kind_code
        businessName: 区分
        logicalType: string
        physicalType: text
        required: true
        primaryKey: true
        primaryKeyPosition: 3
        description: 区分
        enum: [{value: a, label: 県内}, {value: b, label: 県外}]
      - name: measure_code
        businessName: 指標
        logicalType: string
        physicalType: text
        required: true
        primaryKey: true
        primaryKeyPosition: 4
        description: 指標
        enum: [{value: people, label: 人数}]
      - name: value
        businessName: 値
        logicalType: number
        physicalType: numeric
        description: 値
        customProperties: [{property: marks, value: {'-': 該当なし}}]
    quality: []
slaProperties:
  - {property: frequency, value: 1, unit: y, scheduler: cron, schedule: 0 9 10 5 *}
  - {property: latency, value: 30, unit: d}
team:
  name: 試験課
"""


@pytest.fixture
def feed(contracts: Path) -> None:  # noqa: F811
    (contracts / f"{FEED}.odcs.yaml").write_text(CONTRACT, "utf-8")
    forget()


def book(folder: Path, unit: str, *years: object, name: str = "見えるとおり.xlsx", **cells: object) -> Path:
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    for row in (
        ["実績"],
        [f"（単位：{unit}）"],
        ["区分", *years],
        ["県内", 1200, 1300],
        ["県外", 3400, 3500],
    ):
        sheet.append(row)
    for place, content in cells.items():
        if isinstance(content, Comment):
            sheet[place].comment = content
        else:
            sheet[place] = content
    workbook.save(folder / name)
    return folder / name


def accepted(warehouse: str) -> list[tuple[object, ...]]:
    return rows(
        warehouse,
        f"select source_cell, value::text, unit, note, value_status from raw.{FEED}"
        " where known_to = 'infinity' order by source_cell",
    )


def test_a_unit_that_only_the_file_states_may_not_change(feed: None, warehouse: str, tmp_path: Path) -> None:
    code, said = load(book(tmp_path, "人", "令和4年度", "5年度"), FEED)
    assert code == 0, said
    before = accepted(warehouse)
    assert [row[2] for row in before] == ["人"] * 4
    code, said = load(book(tmp_path, "千人", "令和5年度", "6年度", name="見えるとおり2.xlsx"), FEED)
    assert code == 3
    assert "単位が契約と違う「千人」" in said
    assert "これまでと同じ単位「人」" in said
    assert accepted(warehouse) == before


def test_a_refusal_begins_with_its_cause_and_tells_each_once(feed: None, tmp_path: Path) -> None:
    file = book(tmp_path, "人", "令和4年度", "5年度", B4="120\n100", B5="56 7", C5="(56)", A4="国外")
    code, said = load(file, FEED)
    assert code == 3
    assert "様式にない項目がある（Sheet!A4）" in said
    assert "・Sheet!B4、B5（" in said  # two numbers in a cell: one cause, its cells listed
    assert "内数・再掲（56）" in next(line for line in said.splitlines() if "Sheet!C5" in line)
    file = book(tmp_path, "人", "令和4年度", "計画", name="見えるとおり3.xlsx")
    _, said = load(file, FEED)
    assert "様式にない見出し「計画」がある（Sheet!C3）" in next(
        line for line in said.splitlines() if "：「見えるとおり3" in line
    )
