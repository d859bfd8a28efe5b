"""What is handed out to a division comes back readable: made from the contract, filled in, read with no fault."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet
from typer.testing import CliRunner

from kpi_warehouse.cli import app
from kpi_warehouse.contract import Contract, FileSource, contracts, file_source, find_contract
from kpi_warehouse.contract_layout import ColumnSpec
from kpi_warehouse.errors import ContractError, KpiError
from kpi_warehouse.feed_template import template
from kpi_warehouse.gate.slip_sheet import display_width, lines_needed
from kpi_warehouse.kpi_catalogue import kpi_catalogue
from kpi_warehouse.readers.file_rows import read_file
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.sources.inbox_names import match_properties

PERIODS = {"vacant_house_support": ["R5年度", "R6年度"], "private_school_subsidy": ["R4年度", "R5年度"]}
FEEDS = [
    contract.feed
    for contract in contracts(settings().contracts)
    if isinstance(contract.source, FileSource) and contract.source.form
]


def made(feed: str, **asked: object) -> tuple[Contract, Workbook]:
    contract = find_contract(settings().contracts, feed)
    body = template(contract, periods=PERIODS.get(feed, []), as_of=date(2024, 10, 31), **asked)  # type: ignore[arg-type]
    return contract, load_workbook(io.BytesIO(body))


def open_cells(sheet: Worksheet) -> Iterator[tuple[int, list[str]]]:
    """Row number and the letters of its open cells."""
    for row in sheet.iter_rows():
        letters = [cell.column_letter for cell in row if not cell.protection.locked]
        if letters:
            yield row[0].row, letters


def test_a_long_name_is_printed_whole() -> None:
    _, book = made("kpi_progress")
    sheet = book.worksheets[0]
    long = [
        cell
        for row in sheet.iter_rows()
        for cell in row
        if isinstance(cell.value, str)
        and cell.alignment.wrap_text
        and display_width(cell.value) > sheet.column_dimensions[cell.column_letter].width
    ]
    assert long
    for cell in long:
        lines = lines_needed(cell.value, sheet.column_dimensions[cell.column_letter].width)
        assert (sheet.row_dimensions[cell.row].height or 0) >= 14 * lines, cell.value


def saved(book: Workbook) -> bytes:
    body = io.BytesIO()
    book.save(body)
    return body.getvalue()


def answer(contract: Contract, spec: ColumnSpec) -> object:
    """Something that belongs into a cell of this column."""
    codes = {column.name: column.codes for column in contract.columns}
    if spec.kind in ("axis", "measure"):
        return next(iter(codes[spec.column or "measure_code"].values()))
    if spec.kind in ("period", "period_end"):
        events = any(
            c.period_kind == "イベント" for t in file_source(contract).layout.tables for c in t.columns
        )
        return "令和6年10月12日" if events else "R5年度"
    if spec.kind == "value":
        units = {measure: unit for unit, measure in spec.units.items()}
        return "".join(f"10{unit}" for unit in units.values()) or 10
    return next(iter(spec.statuses)) if spec.kind == "status" else None


@pytest.mark.parametrize("feed", FEEDS)
def test_filled_in_it_is_read_without_a_fault(feed: str) -> None:
    contract, book = made(feed)
    sheet = book.worksheets[0]
    tables = iter(file_source(contract).layout.tables)
    filled, before, specs, rows_there = 0, 0, [], 0
    for row, letters in open_cells(sheet):
        if row != before + 1:
            table = next(tables)
            specs = [
                spec
                for column in table.columns
                if column.kind != "row_total"
                for spec in ([column] * len(PERIODS[feed]) if column.period_heading else [column])
            ]
            first, coded = row, any(sheet[f"{chr(65 + at)}{row}"].value for at in range(len(specs)))
        before = row
        if row == first or coded:
            rows_there += 1
            for letter in letters:
                value = answer(contract, specs[ord(letter) - 65])
                sheet[f"{letter}{row}"] = value
                quantities = set(specs[ord(letter) - 65].units.values())
                filled += len(quantities) or specs[ord(letter) - 65].kind == "value"
    reading = read_file(contract, saved(book), "返ってきた様式.xlsx")
    assert [(fault.place, fault.found, fault.expected_ja) for fault in reading.faults] == []
    assert reading.drift == []
    assert len(reading.rows) == filled > 0 and rows_there > 0


@pytest.mark.parametrize("feed", FEEDS)
def test_only_what_is_to_be_filled_in_is_open_and_the_contract_is_named(feed: str) -> None:
    contract, book = made(feed)
    sheet = book.worksheets[0]
    assert sheet.protection.sheet and sheet.protection.password is None
    assert all(cell.protection.locked for row in sheet.iter_rows() for cell in row if cell.value is not None)
    assert [sheet.title for sheet in book.worksheets] == [contract.title_ja[:31]]
    properties = {each.name: each.value for each in book.custom_doc_props.props}
    assert properties == {"kpi_contract": f"{feed}@{contract.version}"}
    assert match_properties(properties, contracts(settings().contracts)) == contract  # type: ignore[arg-type, comparison-overlap]


def test_the_progress_sheet_is_printed_from_the_catalogue() -> None:
    sheet = made("kpi_progress")[1].worksheets[0]
    assert [sheet.cell(row, 1).value for row in (1, 2)] == ["KPI進捗管理シート", "令和6年10月末現在"]
    head = [cell.value for cell in sheet[5]]
    assert head == [
        *("KPI番号", "計画", "KPI", "単位", "目標"),
        *("実績値", "時点", "値の種類", "公表日", "備考"),
    ]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=6)]
    assert [row[0] for row in rows] == [kpi.kpi_id for kpi in kpi_catalogue(PROJECT)]
    assert len(rows) == 31 and rows[11][2:5] == [
        "国内間の社会増減",
        "人",
        kpi_catalogue(PROJECT)[11].target_text,
    ]
    lists = [rule.formula1 for rule in sheet.data_validations.dataValidation if rule.type == "list"]
    assert lists == ['"実績,累計,年度途中,速報,予定"']
    hints = {rule.promptTitle for rule in sheet.data_validations.dataValidation if rule.prompt}
    assert hints == {"値", "時点・期間", "公表日", "備考"}


def test_a_kpi_that_changed_hands_is_asked_of_its_owner_of_today(tmp_path: Path) -> None:
    seeds = tmp_path / "dbt_project/seeds"
    shutil.copytree(PROJECT / "dbt_project/seeds", seeds)
    before, *_ = kpi_catalogue(PROJECT)
    owned = (seeds / "kpi_owners.csv").read_text("utf-8")
    handed_over = "K01,1,kodomo,false,,2025-04-01,,\nK01,2,digital,false,2025-04-01,2999-04-01,組織改編,\nK01,3,kodomo,false,2999-04-01,,,\n"
    (seeds / "kpi_owners.csv").write_text(re.sub(r"K01,1,kodomo.*\n", handed_over, owned), encoding="utf-8")
    after, *_ = kpi_catalogue(tmp_path)
    assert (before.owner, after.owner) == ("「こどもまんなか熊本」推進本部", "熊本県デジタル化推進本部")


@pytest.mark.parametrize(
    ("owner", "kpis"),
    [
        ("デジタル化推進本部", 19),
        ("熊本県デジタル化推進本部", 19),
        ("移住定住推進本部", 1),
        ("『くまもとで働こう』推進本部", 2),
    ],
)
def test_an_owner_is_found_by_any_of_its_names_and_gets_its_own_kpis(owner: str, kpis: int) -> None:
    sheet = made("kpi_progress", owner=owner)[1].worksheets[0]
    assert sheet.max_row == 5 + kpis


@pytest.mark.parametrize(
    ("feed", "owner", "said"),
    [
        ("kpi_progress", "総務部", "所管するKPIはありません。所管："),
        ("expo", "移住定住推進本部", "KPIごとに分かれていません"),
        ("uij_turn", None, "テキスト（CSV）で届く"),
        ("line_subscribers", None, "JSONで届く"),
        ("migration_briefing", None, "様式の題名"),
    ],
)
def test_what_cannot_be_made_is_said(feed: str, owner: str | None, said: str) -> None:
    with pytest.raises(KpiError, match=said):
        made(feed, owner=owner)


def test_period_columns_must_be_named() -> None:
    contract = find_contract(settings().contracts, "vacant_house_support")
    with pytest.raises(KpiError, match="--periods"):
        template(contract)


def test_a_feed_of_estat_has_none() -> None:
    with pytest.raises(ContractError, match="e-Stat から取り込む"):
        made("estat_migration_monthly")


def test_from_the_command_line(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    asked = ["feed", "template", "kpi_progress", "--owner", "移住定住推進本部"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0 and "KPI進捗管理シート（移住定住推進本部）.xlsx" in shown.output
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 2
