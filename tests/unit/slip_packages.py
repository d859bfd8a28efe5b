"""Workbooks to be returned, and looks at what came back that do not go through the library that wrote it."""

from __future__ import annotations

import io
import posixpath
import zipfile
from datetime import date
from typing import Any
from xml.etree import ElementTree

from openpyxl import Workbook, load_workbook
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.formula import ArrayFormula

PACKAGE = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
AS_EXCEL_WRITES = {
    "[Content_Types].xml": """<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>
<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>
<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>
</Types>""",
    "_rels/.rels": f"""<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>""",
    "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="rId2" Type="{OFFICE}/styles" Target="styles.xml"/>
<Relationship Id="rId3" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>""",
    "xl/workbook.xml": f"""<workbook xmlns="{MAIN[1:-1]}" xmlns:r="{OFFICE}"><sheets>
<sheet name="移住" sheetId="1" r:id="rId1"/></sheets></workbook>""",
    "xl/styles.xml": f"""<styleSheet xmlns="{MAIN[1:-1]}"><fonts count="1"><font><sz val="11"/><name val="x"/></font></fonts>
<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>
<borders count="1"><border/></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>
<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>
<xf numFmtId="14" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs></styleSheet>""",
    "xl/sharedStrings.xml": f"""<sst xmlns="{MAIN[1:-1]}"><si><t>大阪圏</t><rPh sb="0" eb="3"><t>オオサカケン</t></rPh></si>
<si><r><t>単位</t></r><r><rPr><b/></rPr><t xml:space="preserve"> 人</t></r></si><si><t>=SUM(A1)</t></si></sst>""",
    "xl/worksheets/sheet1.xml": f"""<worksheet xmlns="{MAIN[1:-1]}"><sheetData>
<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>
<row r="2"><c r="A2"><v>0.1</v></c><c r="B2"><v>1.0000000000000002</v></c><c r="C2" s="1"><v>20240501</v></c>
<c r="D2" s="1"><v>45000.123456789001</v></c><c r="E2" s="1"><v>-3</v></c><c r="F2" t="b"><v>1</v></c></row>
<row r="3"><c r="A3"><f t="shared" ref="A3:B3" si="0">A2*2</f><v>0.2</v></c><c r="B3"><f t="shared" si="0"/><v>2</v></c>
<c r="C3" t="str"><f>IF(A2&lt;1,"A&amp;B","")</f><v>A&amp;B</v></c><c r="D3" t="e"><f>1/0</f><v>#DIV/0!</v></c>
<c r="E3"><f>A2</f></c></row>
</sheetData></worksheet>""",
}


def as_excel_writes() -> bytes:
    """Shared strings with readings and runs, a shared formula, all digits, dates out of range."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as parts:
        for name, content in AS_EXCEL_WRITES.items():
            parts.writestr(name, content)
    return out.getvalue()


def delivery() -> Workbook:
    """A sheet as divisions send it, with everything that must survive."""
    book = Workbook()
    sheet: Any = book.active
    sheet.title = "移住"
    sheet["A1"], sheet["A1"].font = "移住定住の状況", Font(size=14, bold=True)
    sheet.merge_cells("A1:K1")
    sheet.append([])
    sheet.append(["区分", *(f"{month}月" for month in range(1, 10)), "計"])
    sheet.append(["東京圏", 314, 328, 925, 901, 361, 331, 459, 412, 318, "=SUM(B4:J4)"])
    sheet.append(["大阪圏", 153, 155, 441, 351, 16, 133, 150, 143, 140, 1831])
    sheet["F5"].number_format, sheet["F5"].font = "#,##0", Font(name="ＭＳ 明朝", italic=True)
    sheet["A7"], sheet["B7"], sheet["C7"] = date(2024, 10, 31), 0.1, "=B4/K4"
    sheet["A8"], sheet["A8"].number_format = (
        20240501,
        "yyyy/m/d",
    )  # shown as ########, out of the range of dates
    sheet["B8"], sheet["B8"].number_format = 45000.123456789, "yyyy/m/d h:mm"
    sheet["A9"].value, sheet["A9"].data_type, sheet["A9"].quotePrefix = "=1+1", "s", True
    sheet["B9"] = ArrayFormula("B9:C9", "=B4:C4*2")
    sheet["A10"], sheet["B10"], sheet["C10"] = "　前後の空白　", True, "#N/A"
    sheet["K5"].comment = Comment("課長確認済", "佐藤")
    check = DataValidation(type="list", formula1='"予定,実績"')
    check.add("M4:M9")
    sheet.add_data_validation(check)
    other: Any = book.create_sheet("R5'年度")
    other["B2"], other.sheet_state = 7, "visible"
    book.create_sheet("控え").sheet_state = "hidden"
    book.active = 1
    return book


def saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def with_macros(body: bytes) -> bytes:
    """The same workbook with a macro project, as Excel packs it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry == "[Content_Types].xml":
                content = content.replace(
                    b"spreadsheetml.sheet.main+xml", b"sheet.macroEnabled.main+xml"
                ).replace(
                    b"application/vnd.openxmlformats-officedocument.sheet.macro",
                    b"application/vnd.ms-excel.sheet.macro",
                )
                kind = b'<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>'
                content = content.replace(b"</Types>", kind + b"</Types>")
            if entry == "xl/_rels/workbook.xml.rels":
                link = (
                    b'<Relationship Id="rIdVba" Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject"'
                    b' Target="vbaProject.bin"/>'
                )
                content = content.replace(b"</Relationships>", link + b"</Relationships>")
            new.writestr(entry, content)
        new.writestr("xl/vbaProject.bin", b"\xd0\xcf\x11\xe0 macros")
    return out.getvalue()


def opened(body: bytes) -> Any:
    return load_workbook(io.BytesIO(body))


def _without_readings(entry: ElementTree.Element) -> str:
    """The text of a cell without the readings (furigana) that Japanese Excel keeps of typed names."""
    return "".join(
        part.text or ""
        for tag in ("t", f"r/{MAIN}t", f"is/{MAIN}t", f"is/{MAIN}r/{MAIN}t")
        for part in entry.findall(f"{MAIN}{tag}")
    )


def cells(body: bytes) -> dict[tuple[str, str], tuple[str | None, ...]]:
    """Every cell as it is in the file: kind, text or number, formula; of all sheets but the slip."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(body)) as parts:
        strings = [
            _without_readings(entry)
            for entry in (
                ElementTree.fromstring(parts.read("xl/sharedStrings.xml"))
                if "xl/sharedStrings.xml" in parts.namelist()
                else ()
            )
        ]
        links = ElementTree.fromstring(parts.read("xl/_rels/workbook.xml.rels"))
        targets = {link.get("Id"): link.get("Target", "") for link in links}
        for sheet in ElementTree.fromstring(parts.read("xl/workbook.xml")).iter(f"{MAIN}sheet"):
            identity = next(value for key, value in sheet.attrib.items() if key.endswith("}id"))
            root = ElementTree.fromstring(parts.read("xl/" + targets[identity].removeprefix("/xl/")))
            for cell in root.iter(f"{MAIN}c"):
                value, kind = cell.findtext(f"{MAIN}v"), cell.get("t", "n")
                if kind == "s" and value is not None:
                    value = strings[int(value)]
                elif kind == "inlineStr":
                    kind, value = "s", _without_readings(cell)
                formula = cell.findtext(f"{MAIN}f")
                if value or formula:
                    found[sheet.get("name", ""), cell.get("r", "")] = (kind, value, formula)
    return {key: value for key, value in found.items() if not key[0].startswith("差し戻し票")}


def assert_sound(body: bytes) -> None:
    """The package holds together: every part once, every relation leads to a part, every part has a type."""
    with zipfile.ZipFile(io.BytesIO(body)) as parts:
        names = parts.namelist()
        assert len(names) == len(set(names))
        types = ElementTree.fromstring(parts.read("[Content_Types].xml"))
        kinds = {entry.get("Extension") for entry in types} | {entry.get("PartName") for entry in types}
        for name in names:
            assert name == "[Content_Types].xml" or {name.rsplit(".")[-1], f"/{name}"} & kinds, name
            if name.endswith(".rels"):
                base = posixpath.dirname(posixpath.dirname(name))
                for link in ElementTree.fromstring(parts.read(name)).iter(PACKAGE):
                    target = link.get("Target", "")
                    path = (
                        target[1:]
                        if target.startswith("/")
                        else posixpath.normpath(posixpath.join(base, target))
                    )
                    assert link.get("TargetMode") == "External" or path in names, (name, target)
