"""A delimited text (CSV, TSV) → one sheet of text cells.

A cell's place is the physical line its record begins at, so a person finds it in any editor: a line break inside quotes
does not shift what follows. Values stay text: `001` keeps its zeros, and what a number is the contract says. Of `="001"`,
which exports write so that Excel keeps the zeros, it is what Excel shows.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind
from kpi_warehouse.readers.grid import Book, Cell, Rows, Sheet
from kpi_warehouse.readers.text_encoding import decode

# A million rows of a yearly file are about 100 MB; its text is held in memory once, at up to twice its bytes.
MAX_TEXT = 200 << 20
# Cells are built when looked at; above this even looking at each once takes minutes.
MAX_CELLS = 20_000_000

_DELIMITERS = (",", "\t", ";")
# Enough lines to see the table below a preamble of titles.
_SAMPLE = 1 << 16
_SEP_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
_REPORTED = 5


def read_delimited(body: bytes, name: str, *, encoding: str | None, delimiter: str | None) -> Book:
    """Read a delimited text as one sheet.

    Args:
        body: the bytes of the file.
        name: its name, for messages.
        encoding: what the contract declares (verified), or None to detect UTF-8, CP932 or UTF-16.
        delimiter: `,`, TAB or `;` as declared, or None to detect.

    Returns:
        A book whose notes name rows with more or fewer columns than the table; missing columns are empty cells.

    Raises:
        UnreadableFile: not text, an encoding that is not what it says, a quote never closed, too large.
    """
    file_kind.guard_name(body, name)
    file_kind.guard_size(body, name, MAX_TEXT)
    if body.startswith((file_kind.ZIP, file_kind.OLE, b"%PDF")):
        raise UnreadableFile(
            f"{name}：CSV ではなく{'PDF' if body.startswith(b'%PDF') else 'ブック（Excel など）'}です"
            "（期待：文字だけの CSV）。Excel で「CSV UTF-8」を選んで保存し、出し直してください。",
            "file.wrong_kind",
        )
    text, found = decode(body, name, encoding)
    hint = _SEP_LINE.match(text)
    delimiter = delimiter or (hint[1] if hint else detected_delimiter(text))
    records = _records(text, name, delimiter, hint.end() if hint else 0)
    sheet = Sheet(PurePosixPath(name).stem, Rows(len(records.starts), records.row))
    return Book([sheet], "csv", found, notes=_ragged(records))


@dataclass
class _Records:
    """Where each record begins: offset in the text and physical line from 1. Its fields are read again when asked for."""

    text: str
    delimiter: str
    starts: array[int]
    lines: array[int]
    widths: array[int]
    width: int

    def row(self, index: int) -> list[Cell]:
        start = self.starts[index]
        end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.text)
        place = f"行{self.lines[index]}:"
        fields = next(csv.reader((self.text[start:end],), delimiter=self.delimiter), [])
        if '="' in self.text[start:end]:
            fields = list(map(_as_text, fields))
        cells = [
            Cell(field or None, f"{place}{column}", field)
            for column, field in enumerate(fields[: self.width], 1)
        ]
        cells += [Cell(None, f"{place}{column}", "") for column in range(len(cells) + 1, self.width + 1)]
        return cells


def _as_text(field: str) -> str:
    """`="120"`, by which an export tells Excel to show 120 as it stands, is what Excel shows of it."""
    found = _TEXT_FORMULA.fullmatch(field)
    return found[1].replace('""', '"') if found else field


def _records(text: str, name: str, delimiter: str, begin: int) -> _Records:
    records = _Records(text, delimiter, array("Q"), array("Q"), array("Q"), 0)
    offset = begin

    def lines() -> Iterator[str]:
        nonlocal offset
        stream = io.StringIO(text, newline="")
        stream.seek(begin)
        for line in stream:
            offset += len(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    first = 2 if begin else 1
    line, start, cells, last = first, begin, 0, 0
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise _broken_record(name, line, str(error)) from error
        if fields is None:
            break
        width = len(fields)
        while width and not fields[width - 1]:
            width -= 1
        records.starts.append(start)
        records.lines.append(line)
        records.widths.append(len(fields) if width else 0)
        if width:
            last = len(records.starts)
            records.width = max(records.width, width)
        line, start = first + reader.line_num, offset
        cells += len(fields)
        if cells > MAX_CELLS or last * records.width > MAX_CELLS:
            raise UnreadableFile(
                f"{name}：{line}行目までで {max(cells, last * records.width):,} 個の値があり、多すぎます"
                f"（期待：{MAX_CELLS:,} 個以下）。期間で分けて出し直してください。",
                "file.too_many_cells",
            )
    if last < len(records.starts):  # the last record ends where the empty lines behind it begin
        records.text = text[: records.starts[last]]
        for each in (records.starts, records.lines, records.widths):
            del each[last:]
    return records


def _broken_record(name: str, line: int, problem: str) -> UnreadableFile:
    if "field larger" in problem or "unexpected end" in problem:
        return UnreadableFile(
            f'{name}：{line}行目から始まる引用符（"）が閉じていません。'
            "その行の引用符を確かめて出し直してください。",
            "file.unclosed_quote",
        )
    return UnreadableFile(
        f'{name}：{line}行目の引用符（"）の使い方が壊れています（{problem}）。'
        "閉じる引用符の後は区切りか改行、値の中の引用符は 2 つ重ねてください。",
        "file.broken_quote",
    )


def detected_delimiter(text: str) -> str:
    """The delimiter that makes the most lines equally wide; a comma where nothing tells."""
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    return max(_DELIMITERS, key=lambda each: _evenness(sample, each))


def _evenness(sample: str, delimiter: str) -> tuple[int, int]:
    widths: Counter[int] = Counter()
    try:
        for fields in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            widths[len(fields)] += 1
    except csv.Error:
        return (0, 0)
    width, rows = max(
        ((width, rows) for width, rows in widths.items() if width > 1),
        key=lambda each: each[::-1],
        default=(0, 0),
    )
    return rows, width


def _ragged(records: _Records) -> list[str]:
    """Rows inside the table that are wider or narrower than it; what stands above and below is no table."""
    usual = Counter(width for width in records.widths if width > 1).most_common(1)
    if not usual:
        return []
    width = usual[0][0]
    first, last = records.widths.index(width), len(records.widths) - 1
    while records.widths[last] != width:
        last -= 1
    ragged = [index for index in range(first, last) if records.widths[index] not in (0, width)]
    notes = [
        f"行{records.lines[index]}：列が {records.widths[index]} 個です（表のほかの行は {width} 個）。"
        for index in ragged[:_REPORTED]
    ]
    if len(ragged) > _REPORTED:
        notes.append(f"ほかに {len(ragged) - _REPORTED:,} 行の列の数が違います。")
    return notes
