"""Reading a file for the checks of the inbox: which kind it is by its bytes, and its cells wherever they are.

No contract is needed for it. A large text is not read whole: its beginning, parts of the rest, and every line with a phone, a
mail address or twelve digits are enough to see whether it holds people.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_kind
from kpi_warehouse.readers.delimited import detected_delimiter, read_delimited
from kpi_warehouse.readers.text_encoding import decode

LARGE_TEXT = 4 * 1024 * 1024
HEAD_LINES = 3000
PART_LINES = 300
PARTS = 16
MOST_CLOSER_LINES = 2000
MOST_CELLS = 2_000_000
_CLOSER = re.compile(
    r"[\w.%+-]@[\w-]+\.|(?<![\d-])0[789]0-?\d{4}-?\d{4}(?![\d-])|(?<![\d.,-])\d{4}([ -]?)\d{4}\1\d{4}(?![\d.,-])",
    re.ASCII,
)


@dataclass(frozen=True)
class TextCell:
    """A cell of a text file."""

    value: object
    place: str


@dataclass(frozen=True)
class TextSheet:
    """Lines of a text file."""

    rows: Sequence[Sequence[TextCell]]


@dataclass(frozen=True)
class Content:
    """What a file holds: sheets of cells, and the properties of a workbook."""

    sheets: Sequence[Any]
    properties: dict[str, str]


def read_content(
    body: bytes, name: str, *, encoding: str | None = None, delimiter: str | None = None
) -> Content:
    """Read a file whatever it is.

    Args:
        encoding, delimiter: of a text, where the contract says so; else they are detected.

    Raises:
        UnreadableFile: it is empty, of another kind, damaged, protected, or too large when unpacked.
    """
    if not body.strip(b"\x00 \r\n\t"):
        raise UnreadableFile(
            f"{name} は空のファイルです。保存し直して、もう一度入れてください。", "file.empty"
        )
    if body.startswith((file_kind.ZIP, file_kind.OLE)):
        from kpi_warehouse.readers.workbook import read_workbook

        book = read_workbook(body, name)
        return Content(book.sheets, dict(book.properties))
    file_kind.guard_text(body, name)
    if name.casefold().endswith(".json") or body.lstrip()[:1] in (b"{", b"["):
        return Content([TextSheet(list(_json_rows(body, name)))], {})
    if len(body) > LARGE_TEXT:
        text, _ = decode(body, name, encoding)
        return Content([TextSheet(list(_lines_of_interest(text)))], {})
    book = read_delimited(body, name, encoding=encoding, delimiter=delimiter)
    return Content(book.sheets, dict(book.properties))


def _json_rows(body: bytes, name: str) -> Iterator[list[TextCell]]:
    """Every list of records as a table, every other value as a line of name and value."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            f"{name} は JSON として読めません（{type(error).__name__}）。", "file.json"
        ) from None
    waiting: list[tuple[str, Any]] = [("", document)]
    cells = 0
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            keys = list(dict.fromkeys(key for entry in value for key in entry))
            yield [TextCell(key, f"{pointer}/*/{key}") for key in keys]
            for at, entry in enumerate(value):
                yield [_json_cell(entry.get(key), f"{pointer}/{at}/{key}") for key in keys]
            cells += len(keys) * len(value)
            inner = [
                (f"{pointer}/{at}/{key}", below)
                for at, entry in enumerate(value)
                for key, below in entry.items()
                if isinstance(below, dict | list)
            ]
            yield []
        elif isinstance(value, dict | list):
            pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
            cells += len(pairs)
            for key, below in pairs:
                yield [TextCell(str(key), f"{pointer}/{key}"), _json_cell(below, f"{pointer}/{key}")]
            inner = [(f"{pointer}/{key}", below) for key, below in pairs if isinstance(below, dict | list)]
        else:
            inner = []
            yield [_json_cell(value, pointer or "/")]
        if cells > MOST_CELLS:
            raise UnreadableFile(f"{name} は値が多すぎます（上限 {MOST_CELLS:,} 件）。", "file.too_large")
        waiting.extend(inner)


def _json_cell(value: object, place: str) -> TextCell:
    return TextCell(None if isinstance(value, dict | list) else value, place)


def _lines_of_interest(text: str) -> Iterator[list[TextCell]]:
    """The lines of a large text that are looked at, each with its number; an empty line between parts of it."""
    lines = text.splitlines()
    wanted = set(range(min(HEAD_LINES, len(lines))))
    for part in range(1, PARTS):
        start = part * len(lines) // PARTS
        wanted.update(range(start, min(start + PART_LINES, len(lines))))
    closer = (at for at, line in enumerate(lines) if _CLOSER.search(line))
    wanted.update(at for _, at in zip(range(MOST_CLOSER_LINES), closer, strict=False))
    delimiter = detected_delimiter(text)
    width = 1 + max(line.count(delimiter) for line in lines[:HEAD_LINES])
    for at in sorted(wanted):
        yield from _split(lines[at], at + 1, delimiter, width)


def _split(line: str, number: int, delimiter: str, width: int) -> Iterable[list[TextCell]]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        cells = line.split(delimiter)
    if cells:
        padded = [*cells[:width], *([""] * (width - len(cells)))]
        yield [TextCell(cell or None, f"行{number}:{at}") for at, cell in enumerate(padded, start=1)]
