"""Workbooks as a division would send them, written with the libraries that write each format."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.style import Style, TableProperties
from odf.table import CoveredTableCell, Table, TableCell, TableColumn, TableRow
from odf.text import P
from openpyxl import Workbook


def xlsx(fill: Callable[[Any], None], title: str = "移住") -> bytes:
    """An xlsx whose first sheet is filled by `fill(sheet)`; `sheet.parent` is the book."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    fill(sheet)
    return saved(book)


def saved(book: Any) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def repacked(body: bytes, parts: Mapping[str, bytes | Callable[[bytes], bytes]]) -> bytes:
    """The same zip with parts replaced, edited or added."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            change = parts.get(name, old.read(name))
            new.writestr(name, change(old.read(name)) if callable(change) else change)
        for name, content in parts.items():
            if name not in old.namelist():
                assert isinstance(content, bytes)
                new.writestr(name, content)
    return stream.getvalue()


def xlsx_of(rows: bytes) -> bytes:
    """An xlsx whose only sheet is 移住 with these rows of XML."""
    xml = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%b</sheetData></worksheet>'
    return repacked(xlsx(lambda sheet: None), {"xl/worksheets/sheet1.xml": xml % rows})


def xls() -> bytes:
    """旧: B2 = 3 (row 2 and column B hidden), A4:C5 merged, A7 formula, A8 a date, A9 #DIV/0!."""
    book = xlwt.Workbook(encoding="cp932")
    sheet = book.add_sheet("旧")
    sheet.write(1, 1, 3.0)
    sheet.write_merge(3, 4, 0, 2, "見出し")
    sheet.row(1).hidden = True
    sheet.col(1).hidden = True
    sheet.write(6, 0, xlwt.Formula("1+2"))
    sheet.write(7, 0, date(2024, 10, 2), xlwt.easyxf(num_format_str="yyyy/mm/dd"))
    sheet.row(8).set_cell_error(0, "#DIV/0!")
    book.add_sheet("隠し").write(0, 0, "x")
    book.get_sheet(1).visibility = 1
    return saved(book)


def ods() -> bytes:
    """表: A1:B1 merged, row 2 and column B hidden, A3 formula, B3 #DIV/0!, C3 a date, E3 never calculated; 隠し: hidden."""
    book = OpenDocumentSpreadsheet()
    hidden = Style(name="hidden", family="table")
    hidden.addElement(TableProperties(display="false"))
    book.automaticstyles.addElement(hidden)
    table = Table(name="表")
    table.addElement(TableColumn())
    table.addElement(TableColumn(visibility="collapse"))
    _row(
        table,
        _cell("見出し", valuetype="string", numbercolumnsspanned=2, numberrowsspanned=1),
        CoveredTableCell(),
    )
    _row(
        table,
        _cell("0.3", valuetype="float", value="0.30000000000000004"),
        TableCell(),
        visibility="collapse",
    )
    _row(
        table,
        _cell("3", valuetype="float", value="3", formula="of:=[.A2]+1"),
        _cell("#DIV/0!", valuetype="float", value="0", formula="of:=1/0"),
        _cell("R6.10.2", valuetype="date", datevalue="2024-10-02"),
        _cell("01100", valuetype="string"),
        TableCell(formula="of:=[.Z1]"),
    )
    book.spreadsheet.addElement(table)
    other = Table(name="隠し", stylename=hidden)
    _row(other, _cell("x", valuetype="string"))
    book.spreadsheet.addElement(other)
    return saved(book)


def _cell(text: str, **attributes: Any) -> Any:
    cell = TableCell(**attributes)
    cell.addElement(P(text=text))
    return cell


def _row(table: Any, *cells: Any, **attributes: Any) -> None:
    row = TableRow(**attributes)
    for cell in cells:
        row.addElement(cell)
    table.addElement(row)
