"""A workbook as bytes that never change while its content does not.

openpyxl stamps the time of saving into the properties and into every zip entry, and it writes a formula without its
result. Excel keeps the result beside the formula, and readers of values see only that; it is put there here.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from datetime import datetime

from openpyxl import Workbook

SAVED = datetime(2024, 11, 15, 9, 0, 0)
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")


def workbook_bytes(book: Workbook, results: Mapping[str, str] | None = None) -> bytes:
    """The book as xlsx. `results`: cell of the first sheet → the result of its formula.

    Raises:
        ValueError: a cell of `results` holds no formula.
    """
    book.properties.creator = "熊本県"
    book.properties.created = SAVED
    saved, stable = io.BytesIO(), io.BytesIO()
    book.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(stable, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                stamp = SAVED.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
                content = _MODIFIED.sub(rb"\g<1>" + stamp + rb"\g<2>", content)
            if name == "xl/worksheets/sheet1.xml":
                content = _with_results(content, results or {})
            entry = zipfile.ZipInfo(name, SAVED.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return stable.getvalue()


def _with_results(sheet: bytes, results: Mapping[str, str]) -> bytes:
    for cell, result in results.items():
        formula = re.compile(rb'(<c r="' + cell.encode() + rb'"[^>]*><f>[^<]*</f>)<v\s*(?:/>|></v>)')
        sheet, found = formula.subn(rb"\g<1><v>" + result.encode() + rb"</v>", sheet)
        if found != 1:
            raise ValueError(f"{cell}: no formula to give a result to")
    return sheet


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two files say the same. Of workbooks the parts are compared: another zlib packs them otherwise."""
    if one == other:
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(one)) as a, zipfile.ZipFile(io.BytesIO(other)) as b:
            return a.namelist() == b.namelist() and all(a.read(name) == b.read(name) for name in a.namelist())
    except zipfile.BadZipFile:
        return False
