"""What stands on a sheet of an xlsx and in no cell: comments, text boxes and other shapes, titles of charts, printed lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from kpi_warehouse.readers.grid import Remark, column_letters
from kpi_warehouse.readers.shown.printed import said_in_print
from kpi_warehouse.readers.xlsx.tree import Relation, local, parsed, relations_of, text_in
from kpi_warehouse.readers.zip_parts import ZipParts

_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")
_PRINTED = re.compile(rb"<(?:\w+:)?(?:odd|even|first)(?:Header|Footer)[^>]*>([^<]*)<")
_VML_SHAPE = re.compile(rb"<v:(?:shape|rect|roundrect|oval)\b")
_VML_SHAPE_END = re.compile(rb"</v:(?:shape|rect|roundrect|oval)>")
_VML_KIND = re.compile(rb'ObjectType="(\w+)"')
_VML_TEXT = re.compile(rb"<v:textbox\b[^>]*>")
_VML_ANCHOR = re.compile(rb"<x:Anchor>\s*(\d{1,5})\s*,[^,]*,\s*(\d{1,7})")
_TAG = re.compile(rb"<[^>]*>")
_TITLES = ("title",)
# Old programs see a thread as a comment that begins with this, in the language of Excel.
_THREAD_ID = "tc={"


def remarks_of(parts: ZipParts, part: str, sheet: str, xml: bytes) -> list[Remark]:
    """Every remark of a sheet.

    Args:
        parts: the file.
        part: of the sheet.
        sheet: its name.
        xml: the sheet itself.

    Raises:
        UnreadableFile: XML that is none.
    """
    found: list[Remark] = []
    relations = list(relations_of(parts, part).values())
    threads = [each for each in relations if each.kind == "threadedComment"]
    threaded: set[str] = set()
    for relation in threads:
        for reference, text in _threads(parts, relation.part):
            threaded.add(reference)
            found += _at_reference(sheet, reference, text)
    for relation in relations:
        if relation.part not in parts:
            continue
        match relation.kind:
            case "comments":
                for reference, text in _comments(parts, relation.part, threaded):
                    found += _at_reference(sheet, reference, text)
            case "drawing":
                found += _shapes(parts, relation, sheet)
            case "vmlDrawing":
                found += _old_shapes(parts.read(relation.part), sheet)
    return [*found, *_printed(sheet, xml)]


def _at_reference(sheet: str, reference: str, text: str) -> list[Remark]:
    match = _REFERENCE.match(reference)
    if not match or not text.strip():
        return []
    column = 0
    for letter in match[1].upper():
        column = column * 26 + ord(letter) - 64
    return [
        Remark(
            "comment", text.strip(), f"{sheet}!{match[1].upper()}{match[2]}", int(match[2]) - 1, column - 1
        )
    ]


def _comments(parts: ZipParts, part: str, threaded: set[str]) -> Iterator[tuple[str, str]]:
    root = parsed(parts, part)
    authors = [each.text or "" for each in root.iter() if local(each.tag) == "author"]
    for each in root.iter():
        if local(each.tag) != "comment":
            continue
        number = each.get("authorId", "")
        author = authors[int(number)] if number.isdecimal() and int(number) < len(authors) else ""
        reference = each.get("ref", "")
        if author.startswith(_THREAD_ID) and reference in threaded:
            continue
        text = "".join(text_in(child) for child in each if local(child.tag) == "text")
        # Excel puts the name of the writer before the comment; it is nobody's business here.
        yield reference, text.removeprefix(f"{author}:").removeprefix(f"{author}：") if author else text


def _threads(parts: ZipParts, part: str) -> Iterator[tuple[str, str]]:
    if part not in parts:
        return
    for each in parsed(parts, part).iter():
        if local(each.tag) == "threadedComment":
            yield each.get("ref", ""), text_in(each, "text")


def _shapes(parts: ZipParts, drawing: Relation, sheet: str) -> list[Remark]:
    found = []
    charts: dict[str, Relation] | None = None
    for anchor in parsed(parts, drawing.part):
        row, column = _anchor(anchor)
        for element in _visible(anchor):
            text = ""
            match local(element.tag):
                case "txBody":
                    text = _paragraphs(element)
                case "chart" if element.get("id") is None:
                    charts = relations_of(parts, drawing.part) if charts is None else charts
                    number = next((value for key, value in element.items() if local(key) == "id"), "")
                    chart = charts.get(number)
                    text = _chart_titles(parts, chart.part) if chart and chart.part in parts else ""
            if text:
                found.append(Remark("shape", text, f"{sheet}!{column_letters(column)}{row + 1}", row, column))
    return found


def _visible(anchor: Any) -> Iterator[Any]:
    """All elements below one down to bodies of text; of two ways to draw the same only the first."""
    waiting = list(anchor)[::-1]
    while waiting:
        element = waiting.pop()
        if local(element.tag) == "Fallback":
            continue
        yield element
        if local(element.tag) != "txBody":
            waiting += list(element)[::-1]


def _anchor(anchor: Any) -> tuple[int, int]:
    """Row and column under the top left corner; A1 for a shape that is placed by measure."""
    for each in anchor:
        if local(each.tag) == "from":
            said = {local(child.tag): (child.text or "").strip() for child in each}
            row, column = said.get("row", ""), said.get("col", "")
            if row.isdecimal() and column.isdecimal() and len(row) < 8 and len(column) < 6:
                return int(row), int(column)
    return 0, 0


def _paragraphs(element: Any) -> str:
    lines = [text_in(each) for each in element.iter() if local(each.tag) == "p"]
    return "\n".join(line for line in lines if line.strip()).strip()


def _chart_titles(parts: ZipParts, part: str) -> str:
    titles = [each for each in parsed(parts, part).iter() if local(each.tag) in _TITLES]
    return "\n".join(dict.fromkeys(text for each in titles if (text := _paragraphs(each))))


def _old_shapes(vml: bytes, sheet: str) -> list[Remark]:
    """Labels and buttons of old forms; what is not XML to the letter is searched."""
    found = []
    at = 0
    while begin := _VML_SHAPE.search(vml, at):
        end = _VML_SHAPE_END.search(vml, begin.end())
        if end is None:
            break
        at = end.end()
        shape = vml[begin.start() : at]
        kind, anchor = _VML_KIND.search(shape), _VML_ANCHOR.search(shape)
        text = "" if kind and kind[1] == b"Note" else _old_text(shape)
        row, column = (int(anchor[2]), int(anchor[1])) if anchor else (0, 0)
        if text:
            found.append(Remark("shape", text, f"{sheet}!{column_letters(column)}{row + 1}", row, column))
    return found


def _old_text(shape: bytes) -> str:
    begin = _VML_TEXT.search(shape)
    end = shape.find(b"</v:textbox>", begin.end()) if begin else -1
    if begin is None or end < 0:
        return ""
    return " ".join(unescape(_TAG.sub(b" ", shape[begin.end() : end]).decode("utf-8", "replace")).split())


def _printed(sheet: str, xml: bytes) -> list[Remark]:
    """Lines printed above and below the sheet, without page numbers and the like."""
    found: dict[str, None] = {}
    at = xml.rfind(b"eaderFooter")
    if at < 0:
        return []
    for match in _PRINTED.finditer(xml, max(xml.rfind(b"</sheetData>"), 0)):
        found |= dict.fromkeys(said_in_print(unescape(match[1].decode("utf-8", "replace"))))
    return [Remark("print", text, sheet, None, None) for text in found]
