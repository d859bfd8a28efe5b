"""Files that are no workbook, or one made to do harm: each refused with what was found, none taken half."""

from __future__ import annotations

import io
import os
import resource
import struct
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
import workbook_files as files
from msoffcrypto.format.ooxml import OOXMLFile

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import calamine_process, zip_parts
from kpi_warehouse.readers.file_kind import MAX_WORKBOOK, OLE
from kpi_warehouse.readers.workbook import read_workbook

SHEET = "xl/worksheets/sheet1.xml"
PLAIN = files.xlsx(lambda sheet: sheet.append(["区分", 1]))


def refused(body: bytes, name: str = "様式.xlsx") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as raised:
        read_workbook(body, name)
    assert name in raised.value.message_ja and not raised.value.retryable
    return raised.value


def locked(body: bytes, password: str) -> bytes:
    stream = io.BytesIO()
    OOXMLFile(io.BytesIO(body)).encrypt(password, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("body", "name", "code", "said"),
    [
        (b"", "様式.xlsx", "file.empty", "0 バイト"),
        (PLAIN, "~$様式.xlsx", "file.lock", "~$"),
        ("区分,5月\n".encode("cp932"), "様式.xlsx", "file.wrong_kind", "CSV"),
        (b"\xef\xbb\xbf\r\n<html><table>", "様式.xls", "file.wrong_kind", "HTML"),
        (b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">', "様式.xls", "file.wrong_kind", "2003"),
        (b"%PDF-1.7", "様式.xlsx", "file.wrong_kind", "PDF"),
        (b"\xff\xfea\x00", "様式.xls", "file.wrong_kind", "Unicode"),
        (b"\x00" * 600, "様式.xls", "file.wrong_kind", "壊れ"),
        (PLAIN[: len(PLAIN) // 2], "様式.xlsx", "file.truncated", "途中"),
        (files.ods()[:-30], "様式.ods", "file.truncated", "途中"),
        (OLE + b"\x00" * 600, "様式.xls", "file.damaged", "壊れ"),
        (files.xls()[:1500], "様式.xls", "file.damaged", "壊れ"),
        (files.repacked(PLAIN, {"xl/workbook.bin": b""}).replace(b"xl/workbook.xml", b"xl/workbook.zml"), "様式.xlsb", "file.wrong_kind", "xlsb"),
        (b"PK\x03\x04" + b" " * 100, "様式.xlsx", "file.truncated", "途中"),
    ],
)  # fmt: skip
def test_what_is_no_workbook_is_named(body: bytes, name: str, code: str, said: str) -> None:
    error = refused(body, name)
    assert error.code == code and said in error.message_ja


def test_a_zip_of_workbooks_is_to_be_unpacked() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("移住定住.xlsx", PLAIN)
    error = refused(stream.getvalue(), "移住定住.zip")
    assert error.code == "file.zip" and "移住定住.xlsx" in error.message_ja


def test_a_password_is_to_be_taken_off() -> None:
    error = refused(locked(PLAIN, "ひみつ"))
    assert error.code == "file.password" and "パスワードを外して再提出" in error.message_ja


def test_the_word_excel_tries_by_itself_opens_the_book() -> None:
    assert read_workbook(locked(PLAIN, "VelvetSweatshop"), "様式.xlsx").sheets[0].rows[0][1].value == 1


def test_an_old_xls_with_a_password() -> None:
    body = files.xls()
    # The record that says "encrypted" (FILEPASS, RC4) in place of WRITEACCESS, which has room for it.
    at = body.index(struct.pack("<HH", 0x005C, 0x0070))
    filepass = struct.pack("<HHHHH", 0x002F, 0x0070, 1, 1, 1)
    error = refused(body[:at] + filepass + b"\x01" * (0x74 - len(filepass)) + body[at + 0x74 :], "旧.xls")
    assert error.code == "file.password" and "パスワードを外して再提出" in error.message_ja


def test_a_file_above_the_limit() -> None:
    assert refused(PLAIN + b"\x00" * MAX_WORKBOOK).code == "file.too_large"


# Bombs


def bomb(size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        made.writestr("xl/workbook.xml", b"<workbook/>")
        with made.open(SHEET, "w", force_zip64=True) as part:
            for _ in range(size >> 20):
                part.write(b" " * (1 << 20))
    return stream.getvalue()


def test_a_zip_bomb_is_refused_by_its_directory() -> None:
    body = bomb(300 << 20)
    started = sum(os.times()[:4])  # of processor time: other work on the machine does not count
    assert refused(body).code == "file.bomb" and sum(os.times()[:4]) - started < 0.5


def test_a_directory_that_lies_is_refused_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_parts, "MAX_INFLATED", 8 << 20)
    body = bytearray(bomb(32 << 20))
    # Size in the central directory, of a part whose bytes inflate to far more.
    entry = body.rindex(b"PK\x01\x02")
    body[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    tracemalloc.start()
    error = refused(bytes(body))
    assert error.code in ("file.bomb", "file.damaged") and tracemalloc.get_traced_memory()[1] < 24 << 20
    tracemalloc.stop()


def test_parts_together_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    body = files.repacked(PLAIN, {f"xl/media/{at}.xml": b"<a/>" + b" " * (1 << 20) for at in range(9)})
    assert read_workbook(body, "様式.xlsx").sheets
    monkeypatch.setattr(zip_parts, "MAX_INFLATED", 8 << 20)
    assert refused(body).code == "file.bomb"


@pytest.mark.parametrize("part", [SHEET, "xl/workbook.xml", "docProps/custom.xml", "xl/sharedStrings.xml"])
def test_entities_are_refused_in_every_part(part: str) -> None:
    xml = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>'
    error = refused(files.repacked(PLAIN, {part: xml}))
    assert error.code == "file.unsafe" and "DOCTYPE" in error.message_ja and part in error.message_ja


@pytest.mark.parametrize("part", ["../../etc/passwd", "/etc/passwd", "xl\\..\\..\\x", "C:/x.xml"])
def test_names_that_leave_the_archive(part: str) -> None:
    assert refused(files.repacked(PLAIN, {part: b"x"})).code == "file.unsafe"


def test_two_parts_of_one_name() -> None:
    stream = io.BytesIO(PLAIN)
    with zipfile.ZipFile(stream, "a") as made, pytest.warns(UserWarning):
        made.writestr(SHEET, b"<worksheet/>")
    assert refused(stream.getvalue()).code == "file.unsafe"


# Sheets that would be too large to build


@pytest.mark.parametrize(
    "far",
    [
        b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        b"<row r='1048576'><c s='1' r='XFD1048576'><v>1</v></c></row>",
        b'<row r="1048576"><c r="xfd1048576" t="e"><v>#N/A</v></c></row>',
        b'<x:row xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main" r="1048576"><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row>',
    ],
)
@pytest.mark.parametrize("filler", [b"", b'<row r="2"><c r="A2"><v>1</v></c></row>' * 8000])
def test_one_value_far_away(far: bytes, filler: bytes) -> None:
    error = refused(files.xlsx_of(b'<row r="1"><c r="A1"><v>1</v></c></row>' + filler + far))
    assert error.code == "file.too_many_cells" and "XFD1048576" in error.message_ja


def test_cells_without_reference_are_counted() -> None:
    wide = b'<row r="1">' + b"<c><v>1</v></c>" * 16000 + b"</row>"
    assert (
        refused(files.xlsx_of(wide + b"<row/>" * 400 + b"<row><c><v>1</v></c></row>")).code
        == "file.too_many_cells"
    )


def test_repeats_of_an_open_document_are_counted() -> None:
    def repeated(xml: bytes) -> bytes:
        return xml.replace(b'office:value-type="date"', b'table:number-columns-repeated="16000" office:value-type="date"').replace(
            b"<table:table-row>", b'<table:table-row table:number-rows-repeated="100000">'
        )  # fmt: skip

    assert (
        refused(files.repacked(files.ods(), {"content.xml": repeated}), "表.ods").code
        == "file.too_many_cells"
    )


def test_a_repeat_beyond_every_spreadsheet() -> None:
    def repeated(xml: bytes) -> bytes:
        return xml.replace(
            b"<table:table-cell/>", b'<table:table-cell table:number-columns-repeated="2000000000"/>'
        )

    assert refused(files.repacked(files.ods(), {"content.xml": repeated}), "表.ods").code == "file.unsafe"


def empty_rows_xlsx() -> bytes:
    rows = b"".join(
        b'<row r="%d" s="1" customFormat="1"><c r="A%d" s="1"/><c r="B%d" s="1"/></row>' % (at, at, at)
        for at in range(2, 1_000_001)
    )
    return files.xlsx_of(b'<row r="1"><c r="A1"><v>1</v></c></row>' + rows)


def empty_rows_ods() -> bytes:
    tail = b'<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table>'
    return files.repacked(files.ods(), {"content.xml": lambda xml: xml.replace(b"</table:table>", tail)})


@pytest.mark.parametrize(
    ("build", "rows"),
    [pytest.param(empty_rows_xlsx, 1, marks=pytest.mark.nightly), (empty_rows_ods, 3)],
)
def test_a_million_empty_formatted_rows_cost_little(build: Callable[[], bytes], rows: int) -> None:
    body = build()
    started, before = sum(os.times()[:4]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    book = read_workbook(body, "様式.xlsx")
    assert len(book.sheets[0].rows) == rows and sum(os.times()[:4]) - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


# What makes calamine itself end the process it runs in


def test_a_count_of_four_billion_strings_ends_no_process_of_ours() -> None:
    relation = b'<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    strings = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="4000000000"><si><t>a</t></si></sst>'
    error = refused(
        files.repacked(
            PLAIN,
            {
                "xl/sharedStrings.xml": strings,
                "xl/_rels/workbook.xml.rels": lambda xml: xml.replace(b"</Relationships>", relation),
            },
        )
    )
    assert error.code == "file.damaged"


def test_a_reader_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calamine_process, "MAX_SECONDS", 0.001)
    assert "読み終わりません" in refused(PLAIN).message_ja
