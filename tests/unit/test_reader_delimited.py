"""Delimited text: every encoding a division sends, every record at the line a person finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.delimited import read_delimited
from kpi_warehouse.readers.grid import Book

WIDE = "①㈱髙﨑～－"


def read(body: bytes, encoding: str | None = None, delimiter: str | None = None) -> Book:
    return read_delimited(body, "実績.csv", encoding=encoding, delimiter=delimiter)


def texts(book: Book) -> list[list[str]]:
    return [[cell.text for cell in row] for row in book.sheets[0].rows]


def refused(body: bytes, encoding: str | None = None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as raised:
        read(body, encoding)
    assert "実績.csv" in raised.value.message_ja
    return raised.value


@pytest.mark.parametrize(
    ("written", "found"),
    [("cp932", "cp932"), ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16-le")],
)
@pytest.mark.parametrize("declared", [True, False])
def test_the_encodings_of_excel(written: str, found: str, declared: bool) -> None:
    body = f"区分\t名称\r\n県\t{WIDE}\r\n".encode(written)
    book = read(body, written if declared else None)
    assert book.encoding == found and texts(book) == [["区分", "名称"], ["県", WIDE]]


def test_utf16_of_the_other_byte_order() -> None:
    assert texts(read(b"\xfe\xff" + "区分\t1\n".encode("utf-16-be"))) == [["区分", "1"]]


@pytest.mark.parametrize("name", ["Shift_JIS", "sjis", "windows-31j", "MS932", "CP932"])
def test_shift_jis_is_cp932(name: str) -> None:
    assert texts(read(WIDE.encode("cp932"), name)) == [[WIDE]]


def test_an_encoding_nobody_reads() -> None:
    assert "euc-jp" in refused(b"a", "euc-jp").message_ja


@pytest.mark.parametrize(
    ("written", "declared", "said"),
    [
        ("cp932", "utf-8", ("CP932", "2行目", "3 バイト目", "期待：UTF-8")),
        ("utf-8", "cp932", ("見つかったもの：UTF-8", "2行目", "期待：CP932")),
        ("utf-8-sig", "cp932", ("見つかったもの：UTF-8", "BOM", "期待：CP932")),
        ("utf-16", "utf-8", ("見つかったもの：UTF-16", "期待：UTF-8")),
    ],
)
def test_another_encoding_than_declared(written: str, declared: str, said: tuple[str, ...]) -> None:
    error = refused("a,b\n1,大阪圏\n".encode(written), declared)
    assert error.code == "file.encoding" and all(part in error.message_ja for part in said)


def test_half_width_kana_are_not_taken_for_another_encoding() -> None:
    assert texts(read("ｸﾏﾓﾄ,ｵｵｻｶ\n".encode("cp932"))) == [["ｸﾏﾓﾄ", "ｵｵｻｶ"]]


@pytest.mark.parametrize(("encoding", "said"), [("euc_jp", "EUC-JP"), ("iso2022_jp", "ISO-2022-JP")])
def test_encodings_of_old_unix_are_named(encoding: str, said: str) -> None:
    assert said in refused("区分,ひらがな\n県,かたかな\n".encode(encoding)).message_ja


def test_one_broken_byte_in_utf8_is_told_where_it_is() -> None:
    body = "区分,値\n".encode() * 50 + b"x\xff,1\n"
    assert all(part in refused(body).message_ja for part in ("51行目の 2 バイト目", "UTF-8"))


@pytest.mark.parametrize("byte", [b"\x80", b"\xa0", b"\xfd", b"\xff"])
def test_bytes_of_no_character_in_cp932(byte: bytes) -> None:
    error = refused("県,値\n市,".encode("cp932") + byte + "圏\n".encode("cp932"), "cp932")
    assert "2行目の 4 バイト目" in error.message_ja and byte.hex().upper() in error.message_ja


def test_nul_bytes() -> None:
    error = refused(b"a,b\n1,\x002\n")
    assert error.code == "file.nul" and "2行目" in error.message_ja


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("declared", [True, False])
def test_delimiters(delimiter: str, declared: bool) -> None:
    body = f'区分{delimiter}値\n県{delimiter}"1,234"\n市{delimiter}"5;6"\n'.encode()
    book = read(body, delimiter=delimiter if declared else None)
    assert texts(book) == [["区分", "値"], ["県", "1,234"], ["市", "5;6"]]


def test_thousands_in_a_tab_separated_text_do_not_mislead() -> None:
    assert texts(read(b"a\tb\tc\n1,234\t5,678\t9\n2,345\t1\t3\n"))[1] == ["1,234", "5,678", "9"]


def test_the_hint_excel_writes_in_the_first_line() -> None:
    book = read(b"\xef\xbb\xbfsep=;\r\na,1;b\r\n")
    assert texts(book) == [["a,1", "b"]] and book.sheets[0].rows[0][1].place == "行2:2"


def test_places_are_physical_lines() -> None:
    rows = read('区分,備考\r\n県,"一行目\r\n二行目\n三行目"\r\n\r\n市,x\r\n'.encode("cp932")).sheets[0].rows
    assert [row[1].place for row in rows] == ["行1:2", "行2:2", "行5:2", "行6:2"]
    assert rows[1][1].text == "一行目\r\n二行目\n三行目" and rows[2][0].value is None


def test_text_stays_text() -> None:
    row = read("001,０１２,1e5, 5 ,,TRUE\n".encode()).sheets[0].rows[0]
    assert [cell.value for cell in row] == ["001", "０１２", "1e5", " 5 ", None, "TRUE"]


def test_empty_lines_and_columns_behind_the_table_are_left_out() -> None:
    assert texts(read(b"a,b,,\n1,2,,\n,,,\n\n,,,\n\x1a")) == [["a", "b"], ["1", "2"]]


def test_rows_of_another_width_are_said_and_filled() -> None:
    book = read("題名\n\na,b,c\n1,2,3\n4,5\n6,7,8,9\n1,2,3\n注\n".encode())
    assert all(len(row) == 4 for row in book.sheets[0].rows)
    assert [note[:2] for note in book.notes] == ["行5", "行6"] and "2 個" in book.notes[0]


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        (b'a,b\n1,"2\n3,4\n', "file.unclosed_quote", "2行目"),
        (b'a,b\n"1"2,3\n', "file.broken_quote", "2行目"),
        (b'a,b\n"' + b"x" * 200_000 + b'"\n', "file.unclosed_quote", "2行目"),
    ],
)
def test_broken_quotes(body: bytes, code: str, line: str) -> None:
    error = refused(body)
    assert error.code == code and line in error.message_ja


@pytest.mark.parametrize("body", [b"PK\x03\x04....", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", b"%PDF-1.4"])
def test_a_workbook_named_csv(body: bytes) -> None:
    assert refused(body).code == "file.wrong_kind"


def test_an_empty_text_has_no_rows() -> None:
    assert texts(read(b"\xef\xbb\xbf")) == [] and texts(read(b"\r\n\r\n")) == []


# U+F8F0–F8F3 are Python's names for four bytes (A0, FD, FE, FF) that are no characters of CP932.
CELL = st.text(
    st.characters(codec="cp932", exclude_characters="\x00\x1a\x1b\x80\xa0¢£¬‖−〜\uf8f0\uf8f1\uf8f2\uf8f3"),
    max_size=8,
)


@given(
    st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=1, max_size=6),
    st.sampled_from(["cp932", "utf-8-sig"]),
)
def test_what_is_written_comes_back(table: list[list[str]], encoding: str) -> None:
    quoted = "\r\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in table)
    found = texts(read(quoted.encode(encoding), encoding, ","))
    width = max((len(row) for row in found), default=0)
    assert len(found) <= len(table)
    for written, came in zip(table, found, strict=False):
        assert (written + [""] * width)[:width] == came
    assert not any(cell for row in table[len(found) :] for cell in row)


def test_a_text_written_as_a_formula_is_what_excel_shows_of_it() -> None:
    body = '区分,番号,件数\n相談,="001","=""1,200"""\n移住,="a"&"b",=1\n'.encode("cp932")
    rows = read_delimited(body, "実績.csv", encoding=None, delimiter=None).sheets[0].rows
    assert [[cell.value for cell in row] for row in rows[1:]] == [
        ["相談", "001", "1,200"],
        ["移住", '="a"&"b"', "=1"],
    ]
