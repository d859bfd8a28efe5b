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
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from openpyxl.styles import Font


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


def shown_xlsx() -> bytes:
    """An xlsx in which much is shown otherwise than stored: formats, fonts inside texts, a comment, a text box, a printed line."""

    def fill(sheet: Any) -> None:
        for row, code in enumerate(
            ("0.0%", '#,##0,"千人"', "#,##0;▲#,##0;-", '[$-411]ggge"年"m"月"', ";;;"), 1
        ):
            for column, value in enumerate((0.913, -1234567, 0, 45567), 1):
                sheet.cell(row, column, value).number_format = code
        raised, struck = InlineFont(vertAlign="superscript"), InlineFont(strike=True)
        sheet["A7"] = CellRichText("234", TextBlock(raised, "1"))
        sheet["B7"] = CellRichText(TextBlock(struck, "56"), "65")
        sheet["C7"] = "取り消した値"
        sheet["C7"].font = Font(strike=True)
        sheet["A1"].comment = Comment("速報値", "担当")
        sheet.oddHeader.center.text = "単位：人"

    name = "xl/worksheets/_rels/sheet1.xml.rels"
    relation = (
        b'<Relationship Id="rIdBox" Target="/xl/drawings/drawing9.xml" '
        b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/drawing"/></Relationships>'
    )
    box = (
        '<xdr:wsDr xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><xdr:twoCellAnchor><xdr:from><xdr:col>2</xdr:col>'
        "<xdr:row>1</xdr:row></xdr:from><xdr:sp><xdr:txBody><a:p><a:r><a:t>単位：千件</a:t></a:r></a:p></xdr:txBody></xdr:sp>"
        "</xdr:twoCellAnchor></xdr:wsDr>"
    )
    return repacked(
        xlsx(fill),
        {
            name: lambda xml: xml.replace(b"</Relationships>", relation),
            "xl/drawings/drawing9.xml": box.encode(),
        },
    )


def shown_xls() -> bytes:
    """The same in part as an xls: formats, fonts inside texts, a struck-out cell."""
    book = xlwt.Workbook(encoding="cp932")
    sheet = book.add_sheet("旧")
    for row, code in enumerate(("0.0%", '#,##0,"千人"', "#,##0;▲#,##0;-", 'ggge"年"m"月"', ";;;")):
        style = xlwt.easyxf(num_format_str=code)
        for column, value in enumerate((0.913, -1234567, 0, 45567)):
            sheet.write(row, column, value, style)
    raised, struck = xlwt.easyfont("escapement superscript"), xlwt.easyfont("struck_out true")
    sheet.write_rich_text(6, 0, ["234", ("1", raised)])
    sheet.write_rich_text(6, 1, [("56", struck), "65"])
    sheet.write(6, 2, "取り消した値", xlwt.easyxf("font: struck_out true"))
    return saved(book)


def shown_ods() -> bytes:
    """The same in part as an ods: a percentage, three sections, words among digits, fonts inside a text, an annotation."""
    digits = '<number:number number:decimal-places="0" number:min-integer-digits="1" number:grouping="true"/>'
    number = "urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0"
    styles = (
        f'<number:percentage-style xmlns:number="{number}" style:name="N1">{digits}<number:text>%</number:text>'
        f'</number:percentage-style><number:number-style xmlns:number="{number}" style:name="N2"><number:text>▲</number:text>'
        '<number:number number:min-integer-digits="6"><number:embedded-text number:position="2">年</number:embedded-text>'
        '</number:number><style:map style:condition="value()&gt;=0" style:apply-style-name="N1"/></number:number-style>'
        '<style:style style:name="c1" style:family="table-cell" style:data-style-name="N1"/>'
        '<style:style style:name="c2" style:family="table-cell" style:data-style-name="N2"/>'
        '<style:style style:name="up" style:family="text"><style:text-properties style:text-position="super 58%" '
        'style:text-line-through-style="none"/></style:style></office:automatic-styles>'
    )
    rows = (
        '<table:table-row><table:table-cell table:style-name="c1" office:value-type="float" office:value="0.5"/>'
        '<table:table-cell table:style-name="c2" office:value-type="float" office:value="-202404"/>'
        '<table:table-cell office:value-type="string"><office:annotation><text:p>速報</text:p></office:annotation>'
        '<text:p>234<text:span text:style-name="up">1</text:span></text:p></table:table-cell></table:table-row></table:table>'
    )

    def change(xml: bytes) -> bytes:
        xml = xml.replace(b"</office:automatic-styles>", styles.encode(), 1)
        return xml.replace(b"</table:table>", rows.encode(), 1)

    return repacked(ods(), {"content.xml": change})


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
