"""Results of formulas, carried from a workbook to its marked copy.

openpyxl writes formulas without the results they were saved with. Excel calculates them anew, but not in protected view,
where a file from elsewhere opens first: the division would see empty cells that we emptied.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from typing import IO, NamedTuple
from xml.sax.saxutils import escape

from openpyxl.xml.functions import iterparse

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
# As openpyxl writes a cell with a formula.
_WITHOUT_RESULT = re.compile(rb'<c r="([A-Z]+[0-9]+)"([^>]*)>(<f[^>]*/>|<f[^>]*>[^<]*</f>)<v ?/></c>')


class Result(NamedTuple):
    """What a formula gave: kind of the value as the file says it (`n`, `str`, `b`, `e`) and its text."""

    kind: str
    text: str


def read_results(sheet: IO[bytes]) -> dict[str, Result]:
    """Coordinate → result, of the formulas in the XML of a sheet that have one."""
    found = {}
    for _, element in iterparse(sheet):
        if element.tag == f"{_MAIN}c":
            text = element.findtext(f"{_MAIN}v")
            if text and element.get("r") and element.find(f"{_MAIN}f") is not None:
                found[element.get("r")] = Result(element.get("t", "n"), text)
        elif element.tag == f"{_MAIN}row":
            element.clear()
    return found


def put_back(workbook: bytes, results: Mapping[str, Mapping[str, Result]]) -> bytes:
    """The workbook with the results (part of the zip → coordinate → result) in the formulas that have none."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            known = results.get(entry.filename)
            if known:
                content = _filled(content, known)
            new.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _filled(sheet: bytes, known: Mapping[str, Result]) -> bytes:
    def cell(match: re.Match[bytes]) -> bytes:
        result = known.get(match[1].decode())
        if result is None:
            return match[0]
        kind = b"" if result.kind == "n" else f' t="{escape(result.kind)}"'.encode()
        return b'<c r="%b"%b%b>%b<v>%b</v></c>' % (
            match[1],
            match[2],
            kind,
            match[3],
            escape(result.text).encode(),
        )

    return _WITHOUT_RESULT.sub(cell, sheet)
