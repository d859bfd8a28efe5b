"""Marks of an old xls: hidden rows and columns, formulas, errors, how far it reaches, and whether it opens at all.

The file is a stream of records (kind, length, bytes); only the few kinds below are looked at. Formulas are kept as
tokens in this format, so a cell says that it has one and not which.

Source: [MS-XLS] 2.4 Records.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import msoffcrypto  # type: ignore[import-untyped]
import olefile  # type: ignore[import-untyped]

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind
from kpi_warehouse.readers.sheet_marks import SheetMarks

UNKNOWN_FORMULA = "…"
# Excel itself opens files locked with this word without asking: it is what "protect the workbook" used to write.
_EVERYBODYS_PASSWORD = "VelvetSweatshop"  # noqa: S105
_EOF, _FILEPASS, _BOUNDSHEET, _ROW, _COLINFO = 0x000A, 0x002F, 0x0085, 0x0208, 0x007D
_FORMULAS = (0x0006, 0x0206, 0x0406)
_BOOLERR, _MULRK = 0x0205, 0x00BD
_VALUES = (0x0203, 0x00FD, 0x027E, 0x0204, 0x00D6, _BOOLERR, *_FORMULAS)
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
    if any(kind == _FILEPASS for kind, _, _ in _first_records(stream)):
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
        for kind, start, length in _first_records(stream):
            if kind == _BOUNDSHEET and length >= 8:
                offset, _, count, flags = struct.unpack_from("<IHBB", stream, start)
                wide = flags & 1
                raw = stream[start + 8 : start + 8 + count * (1 + wide)]
                sheets[raw.decode("utf-16-le" if wide else "latin-1", "replace")] = _sheet_marks(
                    stream, offset
                )
    except struct.error as error:
        raise _damaged(name, str(error)) from error
    return sheets


def _first_records(stream: bytes, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """Kind, start and length of each record up to the end of this part of the stream."""
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, at + 4, length
        if kind == _EOF:
            return
        at += 4 + length


def _sheet_marks(stream: bytes, offset: int) -> SheetMarks:
    marks = SheetMarks()
    for kind, start, _ in _first_records(stream, offset):
        if kind in _VALUES:
            row, column = struct.unpack_from("<HH", stream, start)
            marks.reach(row, column)
            if kind in _FORMULAS:
                _formula(marks, stream, start, (row, column))
            elif kind == _BOOLERR and stream[start + 7 : start + 8] == b"\x01":
                marks.errors[row, column] = _ERRORS.get(stream[start + 6], "#N/A")
        elif kind == _MULRK:
            row, _ = struct.unpack_from("<HH", stream, start)
            length = struct.unpack_from("<H", stream, start - 2)[0]
            (last,) = struct.unpack_from("<H", stream, start + max(length, 2) - 2)
            marks.reach(row, last)
        elif kind == _ROW:
            row, flags = struct.unpack_from("<H10xH", stream, start)
            if flags & 0x20:
                marks.hidden_rows.add(row)
        elif kind == _COLINFO:
            first, last, flags = struct.unpack_from("<HH4xH", stream, start)
            if flags & 1:
                marks.hidden_columns.append(range(first, last + 1))
    return marks


def _formula(marks: SheetMarks, stream: bytes, start: int, cell: tuple[int, int]) -> None:
    marks.formulas[cell] = UNKNOWN_FORMULA
    result = stream[start + 6 : start + 14]
    if result[6:] != b"\xff\xff":
        return
    if result[0] == 2:
        marks.errors[cell] = _ERRORS.get(result[2], "#N/A")
    elif result[0] == 3 and stream[start + 14 : start + 15] and stream[start + 14] & 1:
        # An empty text that asks to be calculated when opened: written by a program that never calculated.
        marks.uncached.add(cell)


def _damaged(name: str, problem: str) -> UnreadableFile:
    return UnreadableFile(
        f"{name}：ブックの中が壊れていて読めません（{problem[:200]}）。Excel で開いて保存し、出し直してください。",
        "file.damaged",
    )
