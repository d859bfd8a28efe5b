"""styles.xml → for each style of a cell its number format, and whether its font strikes out or raises what stands there."""

from __future__ import annotations

from typing import Any

from kpi_warehouse.readers.shown.cell_style import CellStyle
from kpi_warehouse.readers.shown.number_format import number_format
from kpi_warehouse.readers.xlsx.tree import local, parsed
from kpi_warehouse.readers.zip_parts import ZipParts

_YEN = '"¥"#,##0;"¥"\\-#,##0'
_ERA_DAY, _DAY = '[$-411]ggge"年"m"月"d"日"', 'm"月"d"日"'
# What Excel does not write out, as Japanese Excel shows it (ECMA-376 18.8.30).
BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00",
    5: _YEN, 6: _YEN, 7: '"¥"#,##0.00;"¥"\\-#,##0.00', 8: '"¥"#,##0.00;"¥"\\-#,##0.00',
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy/m/d", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy/m/d h:mm",
    27: "[$-411]ge.m.d", 28: _ERA_DAY, 29: _ERA_DAY, 30: "m/d/yy", 31: 'yyyy"年"m"月"d"日"', 32: 'h"時"mm"分"',
    33: 'h"時"mm"分"ss"秒"', 34: 'yyyy"年"m"月"', 35: _DAY, 36: "[$-411]ge.m.d",
    37: "#,##0;-#,##0", 38: "#,##0;[Red]-#,##0", 39: "#,##0.00;-#,##0.00", 40: "#,##0.00;[Red]-#,##0.00",
    41: '_ * #,##0_ ;_ * \\-#,##0_ ;_ * "-"_ ;_ @_ ',
    42: '_ "¥"* #,##0_ ;_ "¥"* \\-#,##0_ ;_ "¥"* "-"_ ;_ @_ ',
    43: '_ * #,##0.00_ ;_ * \\-#,##0.00_ ;_ * "-"??_ ;_ @_ ',
    44: '_ "¥"* #,##0.00_ ;_ "¥"* \\-#,##0.00_ ;_ "¥"* "-"??_ ;_ @_ ',
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    50: "[$-411]ge.m.d", 51: _ERA_DAY, 52: 'yyyy"年"m"月"', 53: _DAY, 54: _ERA_DAY, 55: 'yyyy"年"m"月"', 56: _DAY,
    57: "[$-411]ge.m.d", 58: _ERA_DAY,
}  # fmt: skip
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
