"""XML parts of an xlsx as trees, within limits, and what one part says of the others it goes with."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any

from defusedxml import DefusedXmlException, ElementTree  # type: ignore[import-untyped]

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.zip_parts import ZipParts

# A tree takes some ten times its bytes. Styles and drawings of real workbooks are well below a megabyte.
MAX_TREE = 32 << 20


@dataclass(frozen=True, slots=True)
class Relation:
    """Another part that a part goes with: the last word of its type (`comments`, `drawing`), and its name in the zip."""

    kind: str
    part: str


def local(tag: Any) -> str:
    """Name of an element or attribute without its namespace."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def parsed(parts: ZipParts, part: str, xml: bytes | None = None) -> Any:
    """The root of a part.

    Raises:
        UnreadableFile: XML that is none, or too much of it for a part of this kind.
    """
    xml = parts.read(part) if xml is None else xml
    if len(xml) > MAX_TREE:
        raise parts.unsafe(f"「{part}」が {len(xml) / 1e6:,.0f} MB", f"{MAX_TREE / 1e6:,.0f} MB 以下")
    try:
        return ElementTree.fromstring(xml, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise not_xml(parts, part, error) from error


def not_xml(parts: ZipParts, part: str, error: Exception) -> UnreadableFile:
    """A part that should be XML and is not."""
    return UnreadableFile(
        f"{parts.name}：中の「{part}」が XML として読めません（{error}）。Excel で開いて保存し、出し直してください。",
        "file.damaged",
    )


def relations_of(parts: ZipParts, part: str) -> dict[str, Relation]:
    """What a part goes with, by id; nothing where it says nothing. Errors as `parsed`."""
    folder, _, name = part.rpartition("/")
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in parts:
        return {}
    found: dict[str, Relation] = {}
    for each in parsed(parts, relations).iter():
        target = each.get("Target", "").replace("\\", "/")
        if not target or each.get("TargetMode") == "External":
            continue
        full = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
        found[each.get("Id", "")] = Relation(each.get("Type", "").rpartition("/")[2], full)
    return found


def text_in(element: Any, name: str = "t") -> str:
    """The text of all elements of a name below one, joined."""
    return "".join(each.text or "" for each in element.iter() if local(each.tag) == name)
