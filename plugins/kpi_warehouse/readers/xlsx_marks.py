"""What the XML of an xlsx or xlsm says beside the values: names of sheets, marks of each, properties."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from defusedxml import DefusedXmlException, ElementTree  # type: ignore[import-untyped]

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import xlsx_sheet
from kpi_warehouse.readers.sheet_marks import MAX_CELLS, SheetMarks, cells_of
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
    workbook = _tree(parts, _WORKBOOK)
    targets = _targets(parts)
    of_part: dict[str, list[str]] = {}
    sheets: dict[str, SheetMarks] = {}
    properties: dict[str, str] = {}
    for element in workbook.iter():
        match _local(element.tag):
            case "sheet":
                name = element.get("name", "")
                relation = next((value for key, value in element.items() if _local(key) == "id"), "")
                of_part.setdefault(targets.get(relation, ""), []).append(name)
                sheets[name] = SheetMarks()
            case "definedName":
                text = (element.text or "").strip()
                if len(text) >= 2 and text[0] == text[-1] == '"':
                    properties[element.get("name", "")] = text[1:-1].replace('""', '"')
    for part in parts:
        # Every part is inflated, pictures too: a reader that trusts the directory later meets no surprise.
        xml = parts.read(part)
        if part == "docProps/custom.xml":
            properties |= _custom_properties(_parsed(parts, part, xml))
        for name in of_part.get(part, ()):
            sheets[name] = _sheet(parts, part, xml, xlsx_sheet.marks_of)
    if cells_of(sheets) > MAX_CELLS:
        for part, names in of_part.items():
            for name in names:
                if not sheets[name].exact:
                    sheets[name] = _sheet(parts, part, parts.read(part), xlsx_sheet.parsed)
    return WorkbookParts(sheets, properties)


def _targets(parts: ZipParts) -> dict[str, str]:
    relations = "xl/_rels/workbook.xml.rels"
    if relations not in parts:
        return {}
    targets: dict[str, str] = {}
    for relation in _tree(parts, relations).iter():
        target = relation.get("Target", "").replace("\\", "/")
        full = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
        targets[relation.get("Id", "")] = full
    return targets


def _sheet(parts: ZipParts, part: str, xml: bytes, read: Callable[[bytes], SheetMarks]) -> SheetMarks:
    try:
        return read(xml)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise _not_xml(parts, part, error) from error


def _custom_properties(root: Any) -> dict[str, str]:
    return {
        each.get("name", ""): "".join(each.itertext()).strip()
        for each in root.iter()
        if _local(each.tag) == "property"
    }


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _tree(parts: ZipParts, part: str) -> Any:
    return _parsed(parts, part, parts.read(part))


def _parsed(parts: ZipParts, part: str, xml: bytes) -> Any:
    try:
        return ElementTree.fromstring(xml, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise _not_xml(parts, part, error) from error


def _not_xml(parts: ZipParts, part: str, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{parts.name}：中の「{part}」が XML として読めません（{error}）。Excel で開いて保存し、出し直してください。",
        "file.damaged",
    )
