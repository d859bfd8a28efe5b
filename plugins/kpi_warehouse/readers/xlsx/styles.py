"""styles.xml → for each style of a cell its number format, and whether its font strikes out or raises what stands there."""

from __future__ import annotations

from typing import Any

from kpi_warehouse.readers.shown.built_in import BUILT_IN
from kpi_warehouse.readers.shown.cell_style import CellStyle
from kpi_warehouse.readers.shown.number_format import number_format
from kpi_warehouse.readers.xlsx.tree import local, parsed
from kpi_warehouse.readers.zip_parts import ZipParts

_PART = "xl/styles.xml"


def cell_styles(parts: ZipParts) -> list[CellStyle]:
    """Styles by the number that cells give (`s="3"`); none where the file has no styles.

    Raises:
        UnreadableFile: XML that is none.
    """
    if _PART not in parts:
        return []
    root = parsed(parts, _PART)
    codes = dict(BUILT_IN)
    fonts: list[tuple[bool, bool]] = []
    styles: list[CellStyle] = []
    for group in root:
        match local(group.tag):
            case "numFmts":
                for each in group:
                    codes[_whole(each.get("numFmtId"))] = each.get("formatCode", "")
            case "fonts":
                fonts = [(has_strike(each), has_level(each) is not None) for each in group]
            case "cellXfs":
                styles = [_style(each, codes, fonts) for each in group]
    return styles


def _style(xf: Any, codes: dict[int, str], fonts: list[tuple[bool, bool]]) -> CellStyle:
    code = codes.get(_whole(xf.get("numFmtId")), "")
    font = _whole(xf.get("fontId"))
    struck, raised = fonts[font] if 0 <= font < len(fonts) else (False, False)
    plain = code.strip().casefold() in ("", "general", "@")
    return CellStyle(None if plain else number_format(code), struck, raised)


def has_strike(font: Any) -> bool:
    """Whether a font (`font` or `rPr`) has a line through it."""
    return any(
        local(each.tag) == "strike" and each.get("val", "1") not in ("0", "false", "off") for each in font
    )


def has_level(font: Any) -> str | None:
    """`superscript` or `subscript`, where a font is one."""
    for each in font:
        if local(each.tag) == "vertAlign" and each.get("val") in ("superscript", "subscript"):
            return str(each.get("val"))
    return None


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0
