"""A delimited text → blocks of a plain table, on the bytes as they are.

Neither CP932 nor UTF-8 has a comma, TAB, quote or line break inside a character, so fields are cut before they are decoded;
then each distinct text is decoded strictly, once. What `delimited` and `text_encoding` would refuse, mend or remark on is
not plain.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind
from kpi_warehouse.readers.delimited import MAX_CELLS, MAX_TEXT, detected_delimiter
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_values import PLAIN
from kpi_warehouse.readers.plain_block import Labels, NotPlain, Numbers, numpy_of
from kpi_warehouse.readers.text_encoding import canonical_encoding

# Bytes of a block: enough rows to be worth a call of Arrow, few enough to stay in the processor's cache.
BLOCK = 4 << 20
# A label is short; a longer text is prose, or a quote that was never closed.
_LONGEST = 1000
# Bytes that are surely more than the characters from which a delimiter is detected.
_HEAD = 1 << 19
# Control characters, what is no character of CP932, and half-width kana (which may be EUC-JP): the engine decides.
_ODD = re.compile("[\x00-\x1f\x7f\x80\xa0\uf8f0-\uf8f3\uff61-\uff9f\ufeff]")
_NUMBER = f"^({PLAIN.pattern})$"
_DIGIT = np.zeros(256, bool)
_DIGIT[ord("0") : ord("9") + 1] = True
_QUOTE, _NEWLINE, _RETURN = b'"\n\r'


class PlainText:
    """A delimited text as a source of blocks.

    Raises:
        NotPlain: another encoding, a heading that is no single line, a file that `read_delimited` would refuse.
    """

    def __init__(self, body: bytes, name: str, *, encoding: str | None, delimiter: str | None) -> None:
        file_kind.guard_name(body, name)
        if not 0 < len(body) <= MAX_TEXT or body[:4].lower() == b"sep=":
            raise NotPlain("size or sep= line")
        self._body = body
        self.name = PurePosixPath(name).stem
        self.encoding, start = _encoding(body, name, encoding)
        head = codecs.getincrementaldecoder(self.encoding)("ignore").decode(body[start : start + _HEAD])
        self._delimiter = delimiter or detected_delimiter(head)
        end = body.find(b"\n", start)
        self._start = end + 1
        if end < 0 or self._start == len(body):
            raise NotPlain("no rows")
        try:
            line = body[start:end].removesuffix(b"\r").decode(self.encoding)
            fields = next(csv.reader([line], delimiter=self._delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error, StopIteration) as error:
            raise NotPlain("heading") from error
        if any(map(_ODD.search, fields)):
            raise NotPlain("odd characters")
        self.heading = [Cell(field or None, f"行1:{at}", field) for at, field in enumerate(fields, 1)]
        if len(fields) < 2:
            raise NotPlain("one column")

    def decoded(self, text: bytes) -> str:
        """A field as text."""
        if len(text) > _LONGEST:
            raise NotPlain("long text")
        try:
            decoded = text.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise NotPlain("encoding") from error
        if _ODD.search(decoded):
            raise NotPlain("odd characters")
        return decoded

    def place(self, column: int) -> tuple[str, str]:
        return "行", f":{column + 1}"

    def blocks(self) -> Iterator[_TextBlock]:
        body, at, line, width = self._body, self._start, 2, len(self.heading)
        while at < len(body):
            end = len(body) if at + BLOCK >= len(body) else body.rfind(b"\n", at, at + BLOCK) + 1
            if not end:
                raise NotPlain("endless line")
            columns = self._columns(memoryview(body)[at:end], width)
            block = _TextBlock(self, line, columns)
            line, at = line + block.rows, end
            if (line - 1) * width > MAX_CELLS:
                raise NotPlain("too many cells")
            yield block

    def _columns(self, part: memoryview, width: int) -> list[Any]:
        """Fields of some whole lines as Arrow arrays of bytes."""
        quoted = _check_lines(np.frombuffer(part, np.uint8), ord(self._delimiter))
        names = [str(at) for at in range(width)]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(pa.py_buffer(part)),
                read_options=arrow_csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=len(part) + 1
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter,
                    quote_char='"' if quoted else False,
                    double_quote=False,
                    ignore_empty_lines=False,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.binary()),
                    check_utf8=False,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise NotPlain("ragged rows") from error
        return [column.combine_chunks() for column in table.columns]


class _TextBlock:
    def __init__(self, text: PlainText, first: int, columns: list[Any]) -> None:
        self.first, self.rows = first, len(columns[0])
        self._text, self._columns = text, columns

    def labels(self, column: int) -> Labels:
        encoded = self._columns[column].dictionary_encode()
        values = [self._text.decoded(each) or None for each in encoded.dictionary.to_pylist()]
        return Labels(numpy_of(encoded.indices), values)

    def numbers(self, column: int) -> Numbers:
        array = self._columns[column]
        offsets, data = _offsets(array)
        lengths = np.diff(offsets)
        texts = pa.Array.from_buffers(pa.string(), len(array), array.buffers(), offset=array.offset)
        if lengths.min() > 0 and lengths.max() <= 15 and _DIGIT[data].all():
            return Numbers(texts, None, None)
        plain = numpy_of(pc.match_substring_regex(array, _NUMBER))
        blank = lengths == 0
        return Numbers(texts, None if plain.all() else plain, blank if blank.any() else None)

    def is_empty(self, column: int) -> bool:
        return len(_offsets(self._columns[column])[1]) == 0

    def cells(self, row: int) -> list[Cell]:
        cells = []
        for at, column in enumerate(self._columns, 1):
            field = self._text.decoded(column[row].as_py())
            cells.append(Cell(field or None, f"行{self.first + row}:{at}", field))
        return cells


def _offsets(array: Any) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Where the texts of an array begin, and their bytes one after another."""
    _, offsets, data = array.buffers()
    begins = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    if data is None:
        return begins, np.zeros(0, np.uint8)
    return begins, np.frombuffer(data, np.uint8)[begins[0] : begins[-1]]


def _encoding(body: bytes, name: str, declared: str | None) -> tuple[str, int]:
    """The encoding as `text_encoding.decode` finds it, and where the text begins."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise NotPlain("UTF-16")
    try:
        wanted = canonical_encoding(declared, name) if declared else None
    except UnreadableFile as error:
        raise NotPlain("encoding") from error
    start = len(codecs.BOM_UTF8) if body.startswith(codecs.BOM_UTF8) else 0
    valid = _is_utf8(body)
    if start or wanted == "utf-8" or (wanted is None and valid):
        if not valid or wanted not in (None, "utf-8"):
            raise NotPlain("encoding")
        return "utf-8", start
    if wanted not in (None, "cp932") or (valid and not body.isascii()):
        raise NotPlain("encoding")
    return "cp932", 0


def _is_utf8(body: bytes) -> bool:
    """Whether the bytes are UTF-8, without making a text of them."""
    offsets = pa.py_buffer(np.array([0, len(body)], np.int32))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(body)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _check_lines(data: NDArray[np.uint8], delimiter: int) -> bool:
    """Whether fields are quoted; refuses quotes that stand for anything but "this is one field", and a lone CR.

    Raises:
        NotPlain: such a quote, or a line break inside a field.
    """
    returns = np.flatnonzero(data == _RETURN)
    if len(returns) and (returns[-1] + 1 == len(data) or (data[returns + 1] != _NEWLINE).any()):
        raise NotPlain("lone CR")
    quotes = np.flatnonzero(data == _QUOTE)
    if not len(quotes):
        return False
    opened, closed = quotes[0::2], quotes[1::2]
    if len(opened) != len(closed):
        raise NotPlain("quotes")
    before = data[opened - 1]
    before[opened == 0] = _NEWLINE
    behind = data[np.minimum(closed + 1, len(data) - 1)]
    behind[closed + 1 == len(data)] = _NEWLINE
    ends = np.flatnonzero(data == _NEWLINE)
    within = np.searchsorted(ends, opened) != np.searchsorted(ends, closed)
    if (
        not np.isin(before, (delimiter, _NEWLINE)).all()
        or not np.isin(behind, (delimiter, _NEWLINE, _RETURN)).all()
        or within.any()
    ):
        raise NotPlain("quotes")
    return True
