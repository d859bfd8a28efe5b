"""Workbooks of all four formats: values with their type, and what a person sees or does not see there."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
import workbook_files as files
from openpyxl.packaging.custom import StringProperty
from openpyxl.workbook.defined_name import DefinedName

from kpi_warehouse.readers.grid import Book, Cell
from kpi_warehouse.readers.workbook import read_workbook

SHEET = "xl/worksheets/sheet1.xml"


def read(body: bytes, name: str = "移住定住.xlsx") -> Book:
    return read_workbook(body, name)


def by_place(book: Book, sheet: int = 0) -> dict[str, Cell]:
    return {cell.place.partition("!")[2]: cell for row in book.sheets[sheet].rows for cell in row}


def first(value: Any, number_format: str | None = None) -> Cell:
    def fill(sheet: Any) -> None:
        sheet["A1"] = value
        if number_format:
            sheet["A1"].number_format = number_format

    return by_place(read(files.xlsx(fill)))["A1"]


@pytest.mark.parametrize(
    ("written", "value", "text"),
    [
        (1, 1, "1"),
        (1234567, 1234567, "1234567"),
        (0.1 + 0.2, Decimal("0.3"), "0.3"),
        (28.5, Decimal("28.5"), "28.5"),
        (1.1 * 3, Decimal("3.3"), "3.3"),
        (-0.5, Decimal("-0.5"), "-0.5"),
        (1e-7, Decimal("1E-7"), "0.0000001"),
        (123456789012345, 123456789012345, "123456789012345"),
        ("001", "001", "001"),
        ("１，２３４", "１，２３４", "１，２３４"),
        (" 注\n※ ", " 注\n※ ", " 注\n※ "),
        (True, True, "TRUE"),
        (date(2024, 10, 2), date(2024, 10, 2), "2024-10-02"),
        (datetime(2024, 10, 2, 9, 30), datetime(2024, 10, 2, 9, 30), "2024-10-02 09:30:00"),
        (time(9, 5), "09:05:00", "09:05:00"),
        (timedelta(hours=30, minutes=5), "30:05:00", "30:05:00"),
    ],
)
def test_a_value_keeps_its_type_and_shows_as_excel_shows_it(written: Any, value: Any, text: str) -> None:
    cell = first(written)
    assert (cell.value, cell.text, type(cell.value)) == (value, text, type(value))


def test_a_japanese_date_format_is_a_date() -> None:
    assert first(45567, '[$-411]ggge"年"m"月"d"日"').value == date(2024, 10, 2)


def test_places_and_shape() -> None:
    def fill(sheet: Any) -> None:
        sheet["B2"] = "値"
        sheet["AB3"] = 5

    book = read(files.xlsx(fill))
    rows = book.sheets[0].rows
    assert book.format == "xlsx" and [len(row) for row in rows] == [28, 28, 28]
    assert rows[1][1].place == "移住!B2" and rows[2][27].place == "移住!AB3" and rows[-1][-1].value == 5
    assert rows[0][0] == Cell(None, "移住!A1", "") and rows[1] is rows[1]


def test_formatted_empty_cells_behind_the_last_value_are_left_out() -> None:
    def fill(sheet: Any) -> None:
        sheet["A1"] = 1
        sheet["F9"].number_format = "0.00"

    assert [len(row) for row in read(files.xlsx(fill)).sheets[0].rows] == [1]


def test_only_the_top_left_cell_of_a_merged_area_has_the_value() -> None:
    def fill(sheet: Any) -> None:
        sheet["A1"] = "令和６年度"
        sheet.merge_cells("A1:B2")
        sheet["C2"] = "人"

    cells = by_place(read(files.xlsx(fill)))
    assert cells["A1"].value == "令和６年度" and cells["A1"].merged_from is None
    assert [cells[at].merged_from for at in ("B1", "A2", "B2")] == [(0, 0)] * 3
    assert [cells[at].value for at in ("B1", "A2", "B2")] == [None] * 3 and cells["C2"].merged_from is None


def test_a_value_under_a_merged_area_is_said_and_not_read() -> None:
    def fill(sheet: Any) -> None:
        sheet["A1"], sheet["B1"], sheet["C1"] = "計", 165, 1

    merged = b'</sheetData><mergeCells count="1"><mergeCell ref="A1:B1"/></mergeCells>'
    body = files.repacked(files.xlsx(fill), {SHEET: lambda xml: xml.replace(b"</sheetData>", merged)})
    book = read(body)
    assert by_place(book)["B1"].value is None and "移住!B1" in book.notes[0]


def test_hidden_rows_columns_and_sheets_are_read_and_flagged() -> None:
    def fill(sheet: Any) -> None:
        for row in range(1, 4):
            for column in "ABC":
                sheet[f"{column}{row}"] = row
        sheet.row_dimensions[2].hidden = True
        sheet.column_dimensions["C"].hidden = True
        sheet.parent.create_sheet("控え")["A1"] = "古い値"
        sheet.parent["控え"].sheet_state = "veryHidden"

    book = read(files.xlsx(fill))
    hidden = {place for place, cell in by_place(book).items() if cell.hidden}
    assert hidden == {"A2", "B2", "C2", "C1", "C3"} and by_place(book)["A2"].value == 2
    assert [sheet.hidden for sheet in book.sheets] == [False, True] and by_place(book, 1)[
        "A1"
    ].value == "古い値"


def cached(formula: str, value: str, kind: str = "") -> Cell:
    """A1 with a formula and the result it was saved with."""
    written = f'<c r="A1"{kind}><f>{formula}</f>{value}</c>'.encode()
    body = files.repacked(
        files.xlsx(lambda sheet: sheet.append([1, 2])),
        {SHEET: lambda xml: xml.replace(b'<c r="A1" t="n"><v>1</v></c>', written)},
    )
    return by_place(read(body))["A1"]


def test_a_formula_gives_its_saved_result_and_its_text() -> None:
    cell = cached("SUM(B1:B9)&amp;&quot;人&quot;", "<v>3</v>")
    assert (cell.value, cell.text, cell.formula) == (3, "3", 'SUM(B1:B9)&"人"')


@pytest.mark.parametrize("value", ["", "<v></v>", "<v/>"])
def test_a_formula_never_calculated_has_no_value(value: str) -> None:
    cell = cached("B1+1", value)
    assert (cell.value, cell.text, cell.formula) == (None, "", "B1+1")


def test_a_formula_that_shows_nothing_is_calculated() -> None:
    cell = cached('IF(B1=2,"",1)', "<v></v>", ' t="str"')
    assert cell.value == "" and cell.formula


def test_a_formula_beyond_the_last_value_is_seen() -> None:
    def fill(sheet: Any) -> None:
        sheet["A1"] = 1
        sheet["C5"] = "=A1*2"

    cells = by_place(read(files.xlsx(fill)))
    assert cells["C5"].formula == "A1*2" and cells["C5"].value is None


def test_shared_formulas_are_shifted_to_their_cell() -> None:
    written = (
        b'<row r="1"><c r="A1"><f t="shared" ref="A1:A2" si="0">B1*2</f><v>4</v></c><c r="B1"><v>2</v></c></row>'
        b'<row r="2"><c r="A2"><f t="shared" si="0"/><v>6</v></c><c r="B2"><v>3</v></c></row>'
    )
    cells = by_place(read(files.xlsx_of(written)))
    assert (cells["A1"].formula, cells["A2"].formula, cells["A2"].value) == ("B1*2", "B2*2", 6)


@pytest.mark.parametrize("error", ["#REF!", "#DIV/0!", "#N/A", "#VALUE!"])
def test_an_error_value_is_its_text(error: str) -> None:
    assert cached("B1/0", f"<v>{error}</v>", ' t="e"').text == error


@pytest.mark.parametrize("rows", [3, 3000])
def test_long_sheets_are_searched_to_the_same_result_as_parsed(rows: int) -> None:
    def fill(sheet: Any) -> None:
        for row in range(1, rows + 1):
            sheet.append(["区分", row, f'=B{row}&"<人>"', row / 7, "備考" * 20])
        sheet.row_dimensions[rows].hidden = True
        sheet.column_dimensions["D"].hidden = True
        sheet.cell(rows, 1).value = "#REF!"
        sheet.cell(rows, 1).data_type = "e"

    sheet = read(files.xlsx(fill)).sheets[0]
    assert len(sheet.rows) == rows and sheet.rows[0][2].formula == 'B1&"<人>"' and sheet.rows[0][3].hidden
    assert [cell.hidden for cell in sheet.rows[-1]] == [True] * 5 and sheet.rows[-1][0].text == "#REF!"
    assert not sheet.rows[0][0].hidden and sheet.rows[rows - 1][2].formula == f'B{rows}&"<人>"'


def test_the_contract_id_is_found_in_properties_and_in_hidden_names() -> None:
    def fill(sheet: Any) -> None:
        sheet["A1"] = 1
        sheet.parent.custom_doc_props.append(StringProperty(name="kpi_contract", value="kpi_progress"))
        sheet.parent.defined_names["kpi_form"] = DefinedName("kpi_form", attr_text='"版2"', hidden=True)
        sheet.parent.defined_names["range"] = DefinedName("range", attr_text="移住!$A$1")

    assert read(files.xlsx(fill)).properties == {"kpi_contract": "kpi_progress", "kpi_form": "版2"}


def test_a_macro_book_is_read_and_its_macros_left_alone() -> None:
    body = files.repacked(
        files.xlsx(lambda sheet: sheet.append([1])), {"xl/vbaProject.bin": b"never looked into"}
    )
    book = read(body, "様式.xlsm")
    assert book.format == "xlsm" and "マクロ" in book.notes[0] and by_place(book)["A1"].value == 1


def test_an_old_xls() -> None:
    book = read(files.xls(), "旧.xls")
    cells = by_place(book)
    assert book.format == "xls" and [sheet.hidden for sheet in book.sheets] == [False, True]
    assert cells["B2"].value == 3 and cells["B2"].hidden and cells["A2"].hidden and cells["B8"].hidden
    assert cells["A4"].value == "見出し" and cells["B5"].merged_from == (3, 0)
    assert cells["A7"].formula and cells["A8"].value == date(2024, 10, 2) and cells["A9"].text == "#DIV/0!"


def test_an_open_document_spreadsheet() -> None:
    book = read(files.ods(), "表.ods")
    cells = by_place(book)
    assert book.format == "ods" and [sheet.hidden for sheet in book.sheets] == [False, True]
    assert cells["B1"].merged_from == (0, 0) and cells["A2"].hidden and cells["B3"].hidden
    assert cells["A2"].text == "0.3" and cells["A3"].formula == "[.A2]+1" and cells["A3"].value == 3
    assert (
        cells["B3"].text == "#DIV/0!"
        and cells["C3"].value == date(2024, 10, 2)
        and cells["D3"].text == "01100"
    )
    assert cells["E3"].value is None and cells["E3"].formula
