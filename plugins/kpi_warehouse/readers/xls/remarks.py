"""Comments and text boxes of one sheet of an xls.

A shape comes as three records: the drawing with its place, the object with its kind and number, and its text. A comment is such
a shape too; a record behind all of them says which cell it belongs to.

Source: [MS-XLS] 2.4.179 Note, 2.4.181 Obj, 2.4.329 TxO; [MS-ODRAW] OfficeArtClientAnchorSheet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kpi_warehouse.readers.grid import Remark, column_letters
from kpi_warehouse.readers.shown.printed import said_in_print
from kpi_warehouse.readers.xls.records import CONTINUE, WIDE, records, short_text

_DRAWING, _OBJ, _TXO, _NOTE = 0x00EC, 0x005D, 0x01B6, 0x001C
_HEADER, _FOOTER = 0x0014, 0x0015
_COMMENT = 0x19
_ANCHOR = b"\x10\xf0\x12\x00\x00\x00"


@dataclass
class _Shape:
    kind: int = 0
    number: int = 0
    row: int = 0
    column: int = 0
    text: str = ""


def remarks_of(stream: bytes, offset: int, sheet: str, *, biff8: bool, encoding: str) -> list[Remark]:
    """Shapes with text, comments and printed lines, each in the order of the file.

    Raises:
        struct.error: a record ends in the middle.
    """
    shapes: list[_Shape] = []
    notes: list[tuple[int, int, int, str]] = []
    anchor, text_left, previous = (0, 0), 0, 0
    for kind, start, length in records(stream, offset):
        data = stream[start : start + length]
        if kind == _DRAWING or (kind == CONTINUE and previous == _DRAWING):
            anchor = _anchor(data) or anchor
        elif kind == _OBJ and length >= 8:
            of_kind, number = struct.unpack_from("<4xHH", data)
            shapes.append(_Shape(of_kind, number, *anchor))
        elif kind == _TXO and length >= 12:
            (text_left,) = struct.unpack_from("<10xH", data)
            if not shapes:
                shapes.append(_Shape(row=anchor[0], column=anchor[1]))
        elif kind == CONTINUE and text_left and data and shapes:
            wide = data[0] & WIDE
            text = data[1:].decode("utf-16-le" if wide else "latin-1", "replace")[:text_left]
            shapes[-1].text += text
            text_left -= len(text)
        elif kind == _NOTE and length >= 8:
            notes.append(_note(data, biff8=biff8, encoding=encoding))
        previous = previous if kind == CONTINUE else kind
    said = dict.fromkeys(
        text
        for line in _printed(stream, offset, biff8=biff8, encoding=encoding)
        for text in said_in_print(line)
    )
    return [*_told(shapes, notes, sheet), *(Remark("print", text, sheet, None, None) for text in said)]


def _anchor(data: bytes) -> tuple[int, int] | None:
    """Row and column under the top left corner of the last shape that a drawing record places."""
    at = data.rfind(_ANCHOR)
    if at < 0 or at + 6 + 10 > len(data):
        return None
    column, row = struct.unpack_from("<2xH2xH", data, at + 6)
    return int(row), int(column)


def _note(data: bytes, *, biff8: bool, encoding: str) -> tuple[int, int, int, str]:
    """Row, column, number of the shape with the text, and the text itself where there are no shapes (before Excel 97)."""
    row, column, _, number = struct.unpack_from("<HHHH", data)
    return row, column, number, "" if biff8 else data[8:].decode(encoding, "replace")


def _told(shapes: list[_Shape], notes: list[tuple[int, int, int, str]], sheet: str) -> list[Remark]:
    comments = {shape.number: shape.text for shape in shapes if shape.kind == _COMMENT}
    found = [
        Remark("shape", text, _place(sheet, shape.row, shape.column), shape.row, shape.column)
        for shape in shapes
        if shape.kind != _COMMENT and (text := _lines(shape.text))
    ]
    for row, column, number, own in notes:
        if text := _lines(comments.get(number, own)):
            found.append(Remark("comment", text, _place(sheet, row, column), row, column))
    return found


def _printed(stream: bytes, offset: int, *, biff8: bool, encoding: str) -> list[str]:
    """The lines printed above and below a sheet, with their codes."""
    return [
        short_text(
            stream[start : start + length], 0, biff8=biff8, encoding=encoding, count_bytes=2 if biff8 else 1
        )[0]
        for kind, start, length in records(stream, offset)
        if kind in (_HEADER, _FOOTER) and length
    ]


def _lines(text: str) -> str:
    return text.replace("\r", "\n").strip("\n\0 ")


def _place(sheet: str, row: int, column: int) -> str:
    return f"{sheet}!{column_letters(column)}{row + 1}"
