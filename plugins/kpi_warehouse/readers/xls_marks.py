"""Marks of an old xls: what calamine does not give of it, and whether it opens at all.

The file is a stream of records (kind, length, bytes); only the few kinds below are looked at. Formulas are kept as
tokens in this format, so a cell says that it has one and not which. xlrd reads styles too, but no library that can be had says
which cells hold a formula, and it builds an object for every cell; records are short, so they are read here.

Source: [MS-XLS] 2.4 Records.
"""

from __future__ import annotations

import io
import struct

import msoffcrypto  # type: ignore[import-untyped]
import olefile  # type: ignore[import-untyped]

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind
from kpi_warehouse.readers.sheet_marks import SheetMarks
from kpi_warehouse.readers.xls.book import XlsBook, read_book
from kpi_warehouse.readers.xls.records import records, short_text
from kpi_warehouse.readers.xls.remarks import remarks_of

UNKNOWN_FORMULA = "…"
# Excel itself opens files locked with this word without asking: it is what "protect the workbook" used to write.
_EVERYBODYS_PASSWORD = "VelvetSweatshop"  # noqa: S105
_FILEPASS, _BOUNDSHEET, _ROW, _COLINFO, _WINDOW2 = 0x002F, 0x0085, 0x0208, 0x007D, 0x023E
_FORMULAS = (0x0006, 0x0206, 0x0406)
_BOOLERR, _MULRK, _LABELSST, _RSTRING = 0x0205, 0x00BD, 0x00FD, 0x00D6
_SHOWS_ZEROS = 0x0010
_VALUES = (0x0203, _LABELSST, 0x027E, 0x0204, _RSTRING, _BOOLERR, *_FORMULAS)
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}


def opened(body: bytes, name: str) -> tuple[bytes, bytes | None]:
    """What is inside the container: an xls as it is, or the xlsx that was locked with the password everybody has.

    Returns:
        The bytes to read, and the stream of records if they are an xls.

    Raises:
        UnreadableFile: a password, a damaged container, a document of another program.
    """
    try:
        with olefile.OleFileIO(io.BytesIO(body)) as container:
            names = {"/".join(path): path for path in container.listdir()}
            if "EncryptedPackage" in names:
                return _unlocked(body, name), None
            book = names.get("Workbook") or names.get("Book")
            stream = container.openstream(book).read() if book else b""
    except UnreadableFile:
        raise
    except Exception as error:  # olefile raises whatever the damaged bytes lead it into
        raise _damaged(name, str(error)) from error
    if book is None:
        kind = (
            "Word の文書"
            if "WordDocument" in names
            else "PowerPoint の資料"
            if "PowerPoint Document" in names
            else ""
        )
        raise file_kind.wrong_kind(name, kind or "Excel ではない Office 文書")
    if any(kind == _FILEPASS for kind, _, _ in records(stream)):
        body = _unlocked(body, name)
        with olefile.OleFileIO(io.BytesIO(body)) as container:
            stream = container.openstream(book).read()
    return body, stream


def _unlocked(body: bytes, name: str) -> bytes:
    """The file opened with the word Excel tries by itself."""
    try:
        locked = msoffcrypto.OfficeFile(io.BytesIO(body))
        locked.load_key(password=_EVERYBODYS_PASSWORD)
        plain = io.BytesIO()
        locked.decrypt(plain)
    except Exception as error:  # a wrong password and an unknown cipher mean the same to the sender
        raise file_kind.password(name) from error
    if plain.getvalue()[:4] not in (file_kind.ZIP, file_kind.OLE[:4]):
        raise file_kind.password(name)
    return plain.getvalue()


def read_marks(stream: bytes, name: str) -> dict[str, SheetMarks]:
    """Marks by sheet.

    Args:
        stream: the records of the workbook, as `opened` gives them.
        name: file name for messages.

    Raises:
        UnreadableFile: records that end in the middle.
    """
    sheets: dict[str, SheetMarks] = {}
    try:
        book = read_book(stream)
        for kind, start, length in records(stream):
            if kind == _BOUNDSHEET and length >= 8:
                (offset,) = struct.unpack_from("<I", stream, start)
                data = stream[start : start + length]
                sheet, *_ = short_text(data, 6, biff8=book.biff8, encoding=book.encoding, count_bytes=1)
                sheets[sheet] = _sheet_marks(stream, offset, sheet, book)
    except struct.error as error:
        raise _damaged(name, str(error)) from error
    return sheets


def _sheet_marks(stream: bytes, offset: int, name: str, book: XlsBook) -> SheetMarks:
    marks = SheetMarks(day_zero=book.day_zero)
    for kind, start, length in records(stream, offset):
        if kind in _VALUES:
            _value(marks, book, kind, stream[start : start + length])
        elif kind == _MULRK:
            row, first = struct.unpack_from("<HH", stream, start)
            (last,) = struct.unpack_from("<H", stream, start + max(length, 2) - 2)
            marks.reach(row, last)
            for at, column in enumerate(range(first, min(last, first + (length - 6) // 6 - 1) + 1)):
                (style,) = struct.unpack_from("<H", stream, start + 4 + at * 6)
                _styled(marks, book, (row, column), style)
        elif kind == _ROW:
            row, flags = struct.unpack_from("<H10xH", stream, start)
            if flags & 0x20:
                marks.hidden_rows.add(row)
        elif kind == _COLINFO:
            first, last, flags = struct.unpack_from("<HH4xH", stream, start)
            if flags & 1:
                marks.hidden_columns.append(range(first, last + 1))
        elif kind == _WINDOW2:
            marks.hides_zeros = not struct.unpack_from("<H", stream, start)[0] & _SHOWS_ZEROS
    marks.remarks = remarks_of(stream, offset, name, biff8=book.biff8, encoding=book.encoding)
    return marks


def _value(marks: SheetMarks, book: XlsBook, kind: int, data: bytes) -> None:
    """A cell with a value of its own."""
    row, column, style = struct.unpack_from("<HHH", data)
    marks.reach(row, column)
    _styled(marks, book, (row, column), style)
    if kind in _FORMULAS:
        _formula(marks, data, (row, column))
    elif kind == _BOOLERR and data[7:8] == b"\x01":
        marks.errors[row, column] = _ERRORS.get(data[6], "#N/A")
    elif kind == _LABELSST and book.runs:
        (number,) = struct.unpack_from("<I", data, 6)
        if runs := book.runs.get(number):
            marks.runs[row, column] = runs
    elif kind == _RSTRING:
        _rich_text(marks, data, (row, column), book)


def _styled(marks: SheetMarks, book: XlsBook, cell: tuple[int, int], number: int) -> None:
    if number < len(book.styles) and not book.styles[number].is_plain:
        marks.styles[cell] = book.styles[number]


def _rich_text(marks: SheetMarks, data: bytes, cell: tuple[int, int], book: XlsBook) -> None:
    """A text with fonts of its own inside the sheet, as programs before Excel 97 write it."""
    text, at, *_ = short_text(data, 6, biff8=book.biff8, encoding=book.encoding)
    form = "<HH" if book.biff8 else "<BB"
    (count,) = struct.unpack_from("<H" if book.biff8 else "<B", data, at)
    at += 2 if book.biff8 else 1
    borders = [struct.unpack_from(form, data, at + each * struct.calcsize(form)) for each in range(count)]
    if runs := book.runs_of(text, borders):
        marks.runs[cell] = runs


def _formula(marks: SheetMarks, data: bytes, cell: tuple[int, int]) -> None:
    marks.formulas[cell] = UNKNOWN_FORMULA
    result = data[6:14]
    if result[6:] != b"\xff\xff":
        return
    if result[0] == 2:
        marks.errors[cell] = _ERRORS.get(result[2], "#N/A")
    elif result[0] == 3 and data[14:15] and data[14] & 1:
        # An empty text that asks to be calculated when opened: written by a program that never calculated.
        marks.uncached.add(cell)


def _damaged(name: str, problem: str) -> UnreadableFile:
    return UnreadableFile(
        f"{name}：ブックの中が壊れていて読めません（{problem[:200]}）。Excel で開いて保存し、出し直してください。",
        "file.damaged",
    )
