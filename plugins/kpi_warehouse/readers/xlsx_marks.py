"""What the XML of an xlsx or xlsm says beside the values: names of sheets, marks of each, properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from kpi_warehouse.readers import xlsx_sheet
from kpi_warehouse.readers.grid import DAY_ZERO, DAY_ZERO_1904
from kpi_warehouse.readers.sheet_marks import MAX_CELLS, SheetMarks, cells_of
from kpi_warehouse.readers.xlsx.remarks import remarks_of
from kpi_warehouse.readers.xlsx.styles import cell_styles
from kpi_warehouse.readers.xlsx.texts import shared_runs
from kpi_warehouse.readers.xlsx.tree import local, not_xml, parsed, relations_of
from kpi_warehouse.readers.xlsx_sheet import BookParts
from kpi_warehouse.readers.zip_parts import ZipParts

_WORKBOOK = "xl/workbook.xml"


@dataclass
class WorkbookParts:
    """Names of the sheets with their marks, in the order of the workbook, and its properties."""

    sheets: dict[str, SheetMarks]
    properties: dict[str, str]


def read_marks(parts: ZipParts) -> WorkbookParts:
    """Inflate and judge every part of the file, and take from it what calamine does not give.

    Raises:
        UnreadableFile: a damaged part, XML that is none, a bomb.
    """
    workbook = parsed(parts, _WORKBOOK)
    targets = {number: relation.part for number, relation in relations_of(parts, _WORKBOOK).items()}
    of_part: dict[str, list[str]] = {}
    sheets: dict[str, SheetMarks] = {}
    properties: dict[str, str] = {}
    day_zero = DAY_ZERO
    for element in workbook.iter():
        match local(element.tag):
            case "sheet":
                name = element.get("name", "")
                relation = next((value for key, value in element.items() if local(key) == "id"), "")
                of_part.setdefault(targets.get(relation, ""), []).append(name)
                sheets[name] = SheetMarks()
            case "workbookPr" if element.get("date1904") in ("1", "true"):
                day_zero = DAY_ZERO_1904
            case "definedName":
                text = (element.text or "").strip()
                if len(text) >= 2 and text[0] == text[-1] == '"':
                    properties[element.get("name", "")] = text[1:-1].replace('""', '"')
    book = BookParts(cell_styles(parts), shared_runs(parts))
    for part in parts:
        # Every part is inflated, pictures too: a reader that trusts the directory later meets no surprise.
        xml = parts.read(part)
        if part == "docProps/custom.xml":
            properties |= _custom_properties(parsed(parts, part, xml))
        for name in of_part.get(part, ()):
            sheets[name] = _sheet(parts, part, xml, book, xlsx_sheet.marks_of)
            sheets[name].remarks = remarks_of(parts, part, name, xml)
            sheets[name].day_zero = day_zero
    if cells_of(sheets) > MAX_CELLS:
        for part, names in of_part.items():
            for name in names:
                if not sheets[name].exact:
                    known = sheets[name]
                    sheets[name] = _sheet(parts, part, parts.read(part), book, xlsx_sheet.parsed)
                    sheets[name].remarks, sheets[name].day_zero = known.remarks, known.day_zero
    return WorkbookParts(sheets, properties)


def _sheet(
    parts: ZipParts,
    part: str,
    xml: bytes,
    book: BookParts,
    read: Callable[[bytes, BookParts], SheetMarks],
) -> SheetMarks:
    try:
        return read(xml, book)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise not_xml(parts, part, error) from error


def _custom_properties(root: Any) -> dict[str, str]:
    return {
        each.get("name", ""): "".join(each.itertext()).strip()
        for each in root.iter()
        if local(each.tag) == "property"
    }
