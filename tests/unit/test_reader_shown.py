"""The same sheet, written as xlsx, xls and ods, says the same: what a person sees in each cell, and what stands beside the cells."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import date
from decimal import Decimal

import pytest
import xlwt
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from workbook_files import saved, xlsx_of

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.grid import DAY_ZERO_1904, Cell, Sheet
from kpi_warehouse.readers.shown.number_format import number_format
from kpi_warehouse.readers.workbook import read_workbook
from kpi_warehouse.readers.xls.remarks import remarks_of

# Format as Excel writes it; the same in OpenDocument; stored value; value and text as shown; the exact number.
NUMBER, TEXT = "<number:number {}/>", "<number:text>{}</number:text>"
PLAIN = NUMBER.format('number:decimal-places="0" number:min-integer-digits="1"')
GROUPED = NUMBER.format('number:decimal-places="0" number:min-integer-digits="1" number:grouping="true"')
ONE_DIGIT = NUMBER.format('number:decimal-places="1" number:min-integer-digits="1"')
THOUSANDS = NUMBER.format(
    'number:decimal-places="0" number:min-integer-digits="1" number:grouping="true" number:display-factor="1000"'
)
SHOWN = [
    ("0.0%", ("percentage", ONE_DIGIT + TEXT.format("%")), 0.9134, "91.3%", Decimal("91.34")),
    ("#,##0,", ("number", THOUSANDS), 1234567, "1,235", Decimal("1234.567")),
    ('0"千人"', ("number", PLAIN + TEXT.format("千人")), 123, "123千人", 123),
    ('"▲"#,##0', ("number", TEXT.format("▲") + GROUPED), 1234, "▲1,234", -1234),
    ('0"年度"', ("number", PLAIN + TEXT.format("年度")), 2023, "2023年度", 2023),
    ('0"万人"', ("number", PLAIN + TEXT.format("万人")), 12, "12万人", 12),
]
# Formats that show the value as it is, with other digits at most.
HARMLESS = [
    ("General", ("number", NUMBER.format('number:min-integer-digits="1"')), 3.5),
    ("#,##0", ("number", GROUPED), 1234),
    ("0.0", ("number", ONE_DIGIT), 2.5),
    ("0", ("number", PLAIN), -50),
]


def xlsx_with(code: str, value: object) -> bytes:
    book = Workbook()
    assert book.active is not None
    book.active["A1"] = value
    book.active["A1"].number_format = code
    return saved(book)


def xls_with(code: str, value: object) -> bytes:
    book = xlwt.Workbook(encoding="cp932")
    book.add_sheet("実績").write(0, 0, value, xlwt.easyxf(num_format_str=code))
    return saved(book)


def ods_of(cells: str, styles: str = "", shapes: str = "", settings: str = "") -> bytes:
    """An ods with one sheet of one row; `styles` stands among the automatic styles."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{path}:1.0"'
        for name, path in (
            ("office", "office"),
            ("table", "table"),
            ("text", "text"),
            ("style", "style"),
            ("number", "datastyle"),
            ("draw", "drawing"),
            ("fo", "xsl-fo-compatible"),
        )
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {spaces} xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<office:automatic-styles>{styles}</office:automatic-styles><office:body><office:spreadsheet>{settings}"
        f'<table:table table:name="実績">{shapes}<table:table-row>{cells}</table:table-row></table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        packed.writestr("content.xml", content)
        packed.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
    return stream.getvalue()


def ods_with(form: tuple[str, str], value: object, maps: str = "") -> bytes:
    kind, parts = form
    style = (
        f'<number:{kind}-style style:name="N1">{parts}{maps}</number:{kind}-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    return ods_of(number_cell(value, "ce1"), style)


def number_cell(value: object, style: str = "", kind: str = "float") -> str:
    named = f' table:style-name="{style}"' if style else ""
    return (
        f'<table:table-cell{named} office:value-type="{kind}" office:value="{value}">'
        f"<text:p>{value}</text:p></table:table-cell>"
    )


def text_cell(inner: str, style: str = "") -> str:
    named = f' table:style-name="{style}"' if style else ""
    return f'<table:table-cell{named} office:value-type="string"><text:p>{inner}</text:p></table:table-cell>'


def only_sheet(body: bytes, kind: str = "xlsx") -> Sheet:
    return read_workbook(body, f"x.{kind}").sheets[0]


def first(body: bytes, kind: str = "xlsx") -> Cell:
    return only_sheet(body, kind).rows[0][0]


@pytest.mark.parametrize(("code", "form", "stored", "text", "exact"), SHOWN)
def test_a_number_is_read_as_its_format_shows_it(
    code: str, form: tuple[str, str], stored: float, text: str, exact: object
) -> None:
    for cell in (
        first(xlsx_with(code, stored)),
        first(xls_with(code, stored), "xls"),
        first(ods_with(form, stored), "ods"),
    ):
        assert (cell.value, cell.text) == (text, text)
        assert cell.seen is not None and float(str(cell.seen.stored)) == stored and cell.seen.exact == exact


@pytest.mark.parametrize(("code", "form", "stored"), HARMLESS)
def test_a_format_that_adds_nothing_leaves_the_number_alone(
    code: str, form: tuple[str, str], stored: float
) -> None:
    for cell in (
        first(xlsx_with(code, stored)),
        first(xls_with(code, stored), "xls"),
        first(ods_with(form, stored), "ods"),
    ):
        assert cell.value == stored and not isinstance(cell.value, str)
        assert cell.seen is None


@pytest.mark.parametrize(("value", "text"), [(-123, "▲123"), (456, "456")])
def test_a_format_of_its_own_for_negative_numbers_gives_the_sign(value: int, text: str) -> None:
    maps = '<style:map style:condition="value()&gt;=0" style:apply-style-name="P0"/>'
    positive = f'<number:number-style style:name="P0">{GROUPED}</number:number-style>'
    style = (
        f'{positive}<number:number-style style:name="N1">{TEXT.format("▲")}{GROUPED}{maps}</number:number-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    for cell in (
        first(xlsx_with("#,##0;▲#,##0", value)),
        first(xls_with("#,##0;▲#,##0", value), "xls"),
        first(ods_of(number_cell(value, "ce1"), style), "ods"),
    ):
        assert cell.text == text
        assert (cell.seen.exact if cell.seen else cell.value) == value


@pytest.mark.parametrize(("value", "text"), [(0, "-"), (5, "5"), (-5, "-5")])
def test_the_format_of_accounts_shows_a_dash_for_nothing(value: int, text: str) -> None:
    """LibreOffice writes four sections: three conditions, and what is left for texts."""
    maps = "".join(
        f'<style:map style:condition="value(){sign}0" style:apply-style-name="P{at}"/>'
        for at, sign in enumerate(("&gt;", "&lt;", "="))
    )
    dash = f"{TEXT.format(' ')}<number:fill-character> </number:fill-character>{TEXT.format('-')}"
    style = (
        f'<number:number-style style:name="P0">{GROUPED}</number:number-style>'
        f'<number:number-style style:name="P1">{TEXT.format("-")}{GROUPED}</number:number-style>'
        f'<number:number-style style:name="P2">{dash}</number:number-style>'
        f'<number:text-style style:name="N1"><number:text-content/>{maps}</number:text-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    code = '_ * #,##0_ ;_ * \\-#,##0_ ;_ * "-"_ ;_ @_ '
    for cell in (
        first(xlsx_with(code, value)),
        first(xls_with(code, value), "xls"),
        first(ods_of(number_cell(value, "ce1"), style), "ods"),
    ):
        assert (cell.value, cell.text, cell.seen) == (value, text, None)


def test_words_among_the_digits_of_a_format_stand_where_they_are_shown() -> None:
    digits = (
        '<number:number number:decimal-places="0" number:min-integer-digits="6">'
        '<number:embedded-text number:position="2">年</number:embedded-text></number:number>'
    )
    for cell in (
        first(xlsx_with('0000"年"00"月"', 202404)),
        first(xls_with('0000"年"00"月"', 202404), "xls"),
        first(ods_with(("number", digits + TEXT.format("月")), 202404), "ods"),
    ):
        assert cell.value == cell.text == "2024年04月"


@pytest.mark.parametrize(
    ("colour", "doubted"), [("", True), ('<style:text-properties fo:color="#ff0000"/>', False)]
)
def test_red_digits_are_a_minus_and_digits_without_any_sign_are_doubted(colour: str, doubted: bool) -> None:
    maps = '<style:map style:condition="value()&gt;=0" style:apply-style-name="P0"/>'
    style = (
        f'<number:number-style style:name="P0">{GROUPED}</number:number-style>'
        f'<number:number-style style:name="N1">{colour}{GROUPED}{maps}</number:number-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    code = "#,##0;#,##0" if doubted else "#,##0;[Red]#,##0"
    for cell in (
        first(xlsx_with(code, -5)),
        first(xls_with(code, -5), "xls"),
        first(ods_of(number_cell(-5, "ce1"), style), "ods"),
    ):
        assert (cell.value, cell.text) == (-5, "5")
        assert (cell.seen is not None and cell.seen.doubt is not None) is doubted


def test_a_percentage_without_a_style_is_one_all_the_same() -> None:
    cell = first(ods_of(number_cell(0.913, kind="percentage")), "ods")
    assert cell.text == "91.30%" and cell.seen is not None and cell.seen.exact == Decimal("91.3")


def test_a_style_of_the_column_counts_for_its_cells() -> None:
    style = (
        f'<number:percentage-style style:name="N1">{PLAIN}{TEXT.format("%")}</number:percentage-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    column = '<table:table-column table:default-cell-style-name="ce1" table:number-columns-repeated="3"/>'
    row = only_sheet(ods_of(number_cell(0.5) * 2, style, shapes=column), "ods").rows[0]
    assert [cell.text for cell in row] == ["50%", "50%"]


def test_a_cell_that_stands_for_several_is_shown_in_each_of_them() -> None:
    style = (
        f'<number:percentage-style style:name="N1">{PLAIN}{TEXT.format("%")}</number:percentage-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    cell = number_cell(0.5, "ce1").replace(
        "<table:table-cell", '<table:table-cell table:number-columns-repeated="3"'
    )
    assert [each.text for each in only_sheet(ods_of(cell, style), "ods").rows[0]] == ["50%"] * 3


# Fonts

SPANS = (
    '<style:style style:name="up" style:family="text"><style:text-properties style:text-position="super 58%"/></style:style>'
    '<style:style style:name="low" style:family="text"><style:text-properties style:text-position="-33% 58%"/></style:style>'
    '<style:style style:name="out" style:family="text">'
    '<style:text-properties style:text-line-through-style="solid"/></style:style>'
    '<style:style style:name="ce9" style:family="table-cell">'
    '<style:text-properties style:text-line-through-style="solid"/></style:style>'
    '<style:style style:name="ce8" style:family="table-cell" style:parent-style-name="ce9"/>'
)
RAISED, STRUCK = InlineFont(vertAlign="superscript"), InlineFont(strike=True)
PARTS = [
    # parts of the text (plain, raised, struck), the text that is left, what was taken out as raised and as struck
    ([("234", ""), ("1", "up")], "234", ("1",), ()),
    ([("56", "out"), ("65", "")], "65", (), ("56",)),
    ([("令和6年", ""), ("2", "up")], "令和6年", ("2",), ()),
    ([("面積m", ""), ("2", "up")], "面積m2", (), ()),
    ([("CO", ""), ("2", "low")], "CO2", (), ()),
]


def xlsx_text(parts: list[tuple[str, str]]) -> bytes:
    fonts = {"up": RAISED, "low": InlineFont(vertAlign="subscript"), "out": STRUCK}
    book = Workbook()
    assert book.active is not None
    book.active["A1"] = CellRichText(*(TextBlock(fonts[f], t) if f else t for t, f in parts))
    return saved(book)


def xls_text(parts: list[tuple[str, str]]) -> bytes:
    fonts = {
        "up": xlwt.easyfont("escapement superscript"),
        "low": xlwt.easyfont("escapement subscript"),
        "out": xlwt.easyfont("struck_out true"),
        "": xlwt.easyfont(""),
    }
    book = xlwt.Workbook(encoding="cp932")
    book.add_sheet("実績").write_rich_text(0, 0, [(text, fonts[font]) for text, font in parts])
    return saved(book)


def ods_text(parts: list[tuple[str, str]]) -> bytes:
    inner = "".join(f'<text:span text:style-name="{f}">{t}</text:span>' if f else t for t, f in parts)
    return ods_of(text_cell(inner), SPANS)


@pytest.mark.parametrize(("parts", "left", "raised", "struck"), PARTS)
def test_raised_and_struck_out_parts_are_taken_out_of_a_text_and_named(
    parts: list[tuple[str, str]], left: str, raised: tuple[str, ...], struck: tuple[str, ...]
) -> None:
    for cell in (first(xlsx_text(parts)), first(xls_text(parts), "xls"), first(ods_text(parts), "ods")):
        assert (cell.value, cell.text) == (left, left)
        assert (cell.seen.raised, cell.seen.struck) if cell.seen else (raised, struck) == ((), ())
        if raised or struck:
            assert cell.seen is not None and (cell.seen.raised, cell.seen.struck) == (raised, struck)


def test_many_texts_before_and_behind_do_not_move_the_one_with_a_font() -> None:
    """The table of texts of an xls is cut into records of 8 KB, inside a text where it comes to that."""
    book = xlwt.Workbook(encoding="cp932")
    sheet = book.add_sheet("実績")
    for row in range(600):
        sheet.write(row, 0, f"{row}番目の相談窓口で受け付けた件数の内訳と説明" * 2)
    sheet.write_rich_text(
        600, 0, [("234", xlwt.easyfont("")), ("1", xlwt.easyfont("escapement superscript"))]
    )
    sheet.write(601, 0, "2341")
    rows = only_sheet(saved(book), "xls").rows
    assert [rows[at][0].value for at in (600, 601)] == ["234", "2341"]
    assert rows[599][0].value == "599番目の相談窓口で受け付けた件数の内訳と説明" * 2


def test_a_cell_that_is_struck_out_is_doubted_and_a_row_of_them_is_named() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["相談", 77])
    for cell in sheet[1]:
        cell.font = Font(strike=True)
    old = xlwt.Workbook(encoding="cp932")
    page = old.add_sheet("実績")
    for column, value in enumerate(["相談", 77]):
        page.write(0, column, value, xlwt.easyxf("font: struck_out true"))
    made = ods_of(text_cell("相談", "ce9") + number_cell(77, "ce8"), SPANS)
    for body, kind in ((saved(book), "xlsx"), (saved(old), "xls"), (made, "ods")):
        read = only_sheet(body, kind)
        assert list(read.struck_rows) == [0]
        assert all(cell.seen and cell.seen.doubt and "取り消し線" in cell.seen.doubt for cell in read.rows[0])


# Comments, text boxes, days


def test_a_comment_and_a_text_box_are_told_with_their_place() -> None:
    book = Workbook()
    assert book.active is not None
    book.active.title = "実績"
    book.active["A1"] = 88
    book.active["A1"].comment = Comment("速報値です", "係")
    (comment,) = only_sheet(saved(book)).remarks
    assert (comment.kind, comment.text, comment.place) == ("comment", "速報値です", "実績!A1")

    annotated = number_cell(88).replace(
        "<text:p>",
        "<office:annotation><dc:creator>係</dc:creator><dc:date>2024-10-02</dc:date><text:p>速報値です</text:p>"
        "<text:p>確定は3月</text:p></office:annotation><text:p>",
    )
    frame = "<table:shapes><draw:frame><draw:text-box><text:p>単位：千件</text:p></draw:text-box></draw:frame></table:shapes>"
    read = only_sheet(ods_of(annotated, shapes=frame), "ods")
    assert [(each.kind, each.text, each.place) for each in read.remarks] == [
        ("shape", "単位：千件", "実績!A1"),
        ("comment", "速報値です\n確定は3月", "実績!A1"),
    ]
    assert read.rows[0][0].value == 88


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def test_comments_text_boxes_and_printed_lines_of_an_xls_are_found_in_its_records() -> None:
    """Bytes as Excel 97 and later write them ([MS-XLS] 2.4.181, 2.4.329, 2.4.179)."""
    anchor = b"\x00\x00\x10\xf0\x12\x00\x00\x00" + struct.pack("<H8H", 0, 3, 0, 9, 0, 5, 0, 12, 0)
    text = "単位：千件"
    stream = b"".join(
        (
            record(0x0014, struct.pack("<HB", 7, 1) + "&C速報&Px".encode("utf-16-le")),
            record(0x00EC, anchor),
            record(0x005D, struct.pack("<HHHH", 0x15, 0x12, 0x06, 1) + b"\x00" * 14),
            record(0x01B6, struct.pack("<HH6xHHI", 0, 0, len(text), 16, 0)),
            record(0x003C, b"\x01" + text.encode("utf-16-le")),
            record(0x003C, b"\x00" * 16),
            record(0x00EC, b"\x00" * 8),
            record(0x005D, struct.pack("<HHHH", 0x15, 0x12, 0x19, 2) + b"\x00" * 14),
            record(0x01B6, struct.pack("<HH6xHHI", 0, 0, 5, 16, 0)),
            record(0x003C, b"\x01" + "係:\n速".encode("utf-16-le")),
            record(0x003C, b"\x01" + "報".encode("utf-16-le")),
            record(0x001C, struct.pack("<HHHHHB", 4, 2, 0, 2, 1, 0) + b"a\x00"),
            record(0x000A, b""),
        )
    )
    found = remarks_of(stream, 0, "実績", biff8=True, encoding="cp932")
    assert [(each.kind, each.place) for each in found] == [
        ("shape", "実績!D10"),
        ("comment", "実績!C5"),
        ("print", "実績"),
    ]
    assert [each.text for each in found[:2]] == [text, "係:\n速報"]


def test_a_workbook_that_counts_from_1904_says_so() -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    assert book.active is not None
    book.active["A1"] = date(2024, 4, 1)
    old = xlwt.Workbook(encoding="cp932")
    old.dates_1904 = True
    old.add_sheet("実績").write(0, 0, date(2024, 4, 1), xlwt.easyxf(num_format_str="yyyy/mm/dd"))
    settings = '<table:calculation-settings><table:null-date table:date-value="1904-01-01"/></table:calculation-settings>'
    for body, kind in (
        (saved(book), "xlsx"),
        (saved(old), "xls"),
        (ods_of(number_cell(1), settings=settings), "ods"),
    ):
        assert only_sheet(body, kind).day_zero == DAY_ZERO_1904
    for body, kind in ((saved(book), "xlsx"), (saved(old), "xls")):
        assert first(body, kind).value == date(2024, 4, 1)


def test_an_era_and_a_month_by_format_are_the_words_that_are_shown() -> None:
    era = '<number:era number:style="long" number:calendar="gengou"/><number:year number:calendar="gengou"/>'
    made = (
        f'<number:date-style style:name="N1">{era}{TEXT.format("年")}<number:month/>{TEXT.format("月")}</number:date-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    dated = (
        '<table:table-cell table:style-name="ce1" office:value-type="date" office:date-value="2024-04-01">'
        "<text:p>令和6年4月</text:p></table:table-cell>"
    )
    code = '[$-411]ggge"年"m"月"'
    for cell in (
        first(xlsx_with(code, date(2024, 4, 1))),
        first(xls_with(code, date(2024, 4, 1)), "xls"),
        first(ods_of(dated, made), "ods"),
    ):
        assert cell.text == "令和6年4月"


@pytest.mark.parametrize("repeated", [200_000, 1_048_576])
def test_one_styled_cell_that_stands_for_a_whole_column_is_refused(repeated: int) -> None:
    style = (
        f'<number:percentage-style style:name="N1">{PLAIN}{TEXT.format("%")}</number:percentage-style>'
        '<style:style style:name="ce1" style:family="table-cell" style:data-style-name="N1"/>'
    )
    body = ods_of(
        number_cell(0.5, "ce1") + "</table:table-row>"
        f'<table:table-row table:number-rows-repeated="{repeated}">' + number_cell(0.5, "ce1"),
        style,
    )
    with pytest.raises(UnreadableFile, match="繰り返し"):
        read_workbook(body, "x.ods")


def test_a_value_that_is_no_number_is_a_text() -> None:
    for written in (b"NaN", b"INF"):
        cell = first(xlsx_of(b'<row r="1"><c r="A1"><v>%b</v></c></row>' % written))
        assert isinstance(cell.value, str) and cell.value == cell.text


@pytest.mark.parametrize(
    ("inner", "text"), [("12<text:tab/>345", "12\t345"), ("12<text:line-break/>345", "12\n345")]
)
def test_a_tab_or_a_line_break_in_an_ods_text_stays(inner: str, text: str) -> None:
    cell = first(ods_of(text_cell(inner)), "ods")
    assert (cell.value, cell.text) == (text, text)


def test_a_true_in_an_ods_is_no_1() -> None:
    formula = (
        '<table:table-cell table:formula="of:=TRUE()" office:value-type="float" office:value="1">'
        "<text:p>TRUE</text:p></table:table-cell>"
    )
    assert first(ods_of(formula), "ods").value == "TRUE"
    styled = first(ods_with(("boolean", "<number:boolean/>"), 1), "ods")
    assert styled.text == "TRUE"
    assert first(ods_with(("boolean", "<number:boolean/>"), 0), "ods").text == "FALSE"


def test_digits_that_a_format_adds_are_read_as_shown() -> None:
    display = number_format('"1"0').show(12)
    assert (display.text, display.typed, display.exact) == ("112", "112", None)
    assert number_format('"1 "0').show(12).typed == "1 12"
