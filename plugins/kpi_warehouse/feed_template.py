"""The workbook that is handed out to a division and comes back filled in: made from the contract that it is read by.

Headings and what the product prints are locked (without a password), cells to fill in are open and say what belongs there, closed
lists are offered as lists, and a hidden property names the contract, so that the file is recognised whatever it is called.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from openpyxl import Workbook
from openpyxl.packaging.custom import StringProperty
from openpyxl.styles import Alignment, Border, Font, PatternFill, Protection, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from kpi_warehouse import clock
from kpi_warehouse.contract import Contract, FileSource, file_source
from kpi_warehouse.contract_form import KPI_CATALOGUE, Form
from kpi_warehouse.contract_layout import ColumnSpec, Layout, Table
from kpi_warehouse.errors import KpiError
from kpi_warehouse.gate.slip_sheet import display_width, lines_needed, write_text
from kpi_warehouse.japanese.eras import to_wareki
from kpi_warehouse.kpi_catalogue import Kpi, kpi_catalogue, kpis_of
from kpi_warehouse.settings import settings

PROPERTY = "kpi_contract"
BLANK_ROWS = 20
# Excel takes no longer list of choices inside a cell's rule.
LONGEST_LIST = 255
WIDTHS = {"note": 36, "period": 22, "period_end": 22, "axis": 16, "unit": 10, "status": 14}
WIDEST = 46.0
LINE_POINTS = 15.0
FACE = "ＭＳ Ｐゴシック"
_HAIR = Side(style="thin", color="808080")
_FRAME = Border(left=_HAIR, right=_HAIR, top=_HAIR, bottom=_HAIR)
_HEADING = PatternFill("solid", fgColor="D9E1F2")
_OPEN = PatternFill("solid", fgColor="FFFBE6")
_HINTS = {
    "value": ("値", "数値で記入。公表できる値がなければ、空欄か決められた記号。"),
    "period": ("時点・期間", "例：R6年度、R6.10月末、R3.11～R6.10月末、令和5年"),
    "period_end": ("期末", "例：R6.10月末"),
    "public_on": ("公表日", "この日まで見せない。例：R6.11.27　すぐに見せてよければ空欄。"),
    "note": ("備考", "値の説明。個人の氏名や連絡先は書かない。"),
}


@dataclass(frozen=True)
class _Place:
    """Where a column of a table stands in the sheet, and what its heading says, level by level."""

    spec: ColumnSpec
    letter: str
    heading: tuple[str, ...]


def template(
    contract: Contract, *, owner: str | None = None, periods: Sequence[str] = (), as_of: date | None = None
) -> bytes:
    """The workbook for a feed, as xlsx.

    Args:
        owner: only the KPIs of this body (feeds whose rows are the KPI catalogue); None: all.
        periods: headings of the period columns, as they are to read (`R5年度`); for feeds that have such columns.
        as_of: last day of the month that a line 「…月末現在」 names; None: the end of last month.

    Raises:
        KpiError: the feed's form cannot be made (`template.…`), with the reason; or the owner owns no KPI.
        ContractError: the feed comes from e-Stat.
    """
    source = file_source(contract)
    form = _form(contract, source)
    if owner is not None and form.rows != KPI_CATALOGUE:
        raise KpiError(
            f"{contract.feed} の様式はKPIごとに分かれていません（--owner は使えません）。",
            "template.no_owner",
        )
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = contract.title_ja[:31]
    _line(sheet, 1, form.title, size=14)
    place_of_as_of = _as_of(source.layout, as_of or clock.today().replace(day=1) - timedelta(days=1))
    row = 2
    if place_of_as_of:
        _line(sheet, row, place_of_as_of)
        row += 1
    for note in form.notes:
        _line(sheet, row, note, size=9)
        row += 1
    kpis = _kpis(owner) if form.rows == KPI_CATALOGUE else ()
    widest, frozen = 1, ""
    for table in source.layout.tables:
        places = _places(contract, table, periods)
        first = _headings(sheet, row + 1, places)
        frozen = frozen or f"A{first}"
        row = _rows(sheet, contract, table, form, places, first, kpis) + 1
        widest = max(widest, len(places))
    _finish(sheet, frozen, widest)
    properties: Any = vars(book)["custom_doc_props"]  # the type stubs do not know it
    properties.append(StringProperty(name=PROPERTY, value=f"{contract.feed}@{contract.version}"))
    book.properties.title, book.properties.creator = form.title, contract.owner
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _form(contract: Contract, source: FileSource) -> Form:
    if source.format != "workbook":
        raise KpiError(
            f"{contract.feed} はブックではなく{'JSON' if source.format == 'json' else 'テキスト（CSV）'}で届くフィードなので、様式を作れません。",
            "template.not_a_workbook",
        )
    if source.form is None:
        raise KpiError(
            f"{contract.path.name} に様式の題名（customProperties の form）がないため、様式を作れません。",
            "template.no_form",
        )
    for table in source.layout.tables:
        if table.caption or table.base_period == "caption":
            raise KpiError(
                f"{contract.feed} の表「{table.name}」は見出しの上の文から年を読むため、様式を作れません。",
                "template.captions",
            )
    return source.form


def _kpis(owner: str | None) -> tuple[Kpi, ...]:
    kpis = kpi_catalogue(settings().project)
    return kpis if owner is None else kpis_of(kpis, owner)


def _as_of(layout: Layout, day: date) -> str | None:
    """The line that says of which day the sheet speaks, where the layout knows one."""
    era = to_wareki(day).partition("年")[0]
    for text in (f"{era}年{day.month}月末現在", f"{era}年度"):
        if any(line.kind == "as_of" and line.pattern.search(text) for line in layout.outside):
            return text
    return None


def _places(contract: Contract, table: Table, periods: Sequence[str]) -> list[_Place]:
    """The columns in the contract's order; a period column once for each period asked for."""
    found: list[tuple[ColumnSpec, tuple[str, ...]]] = []
    for spec in table.columns:
        if spec.period_heading:
            if not periods:
                raise KpiError(
                    f"{contract.feed} の様式には期間の列があります。--periods R4年度,R5年度,R6年度 のように指定してください。",
                    "template.no_periods",
                )
            found += [(spec, (period, *spec.with_parts[:1])) for period in periods]
        elif spec.kind != "row_total":
            found.append((spec, tuple(spec.headings[0].split("／"))))
    return [_Place(spec, get_column_letter(at), heading) for at, (spec, heading) in enumerate(found, start=1)]


def _headings(sheet: Worksheet, row: int, places: list[_Place]) -> int:
    """Headings, merged over what they stand above; returns the first row of data."""
    levels = max(len(place.heading) for place in places)
    for level in range(levels):
        for at, place in enumerate(places):
            cell = sheet[f"{place.letter}{row + level}"]
            cell.font, cell.fill, cell.border = Font(name=FACE, size=10, bold=True), _HEADING, _FRAME
            cell.alignment = Alignment(horizontal="center", vertical="center", wrap_text=True)
            above = place.heading[: level + 1]
            if level >= len(place.heading) or (at and places[at - 1].heading[: level + 1] == above):
                continue
            cell.value = place.heading[level]
            last = at
            while last + 1 < len(places) and places[last + 1].heading[: level + 1] == above:
                last += 1
            bottom = row + levels - 1 if level == len(place.heading) - 1 else row + level
            if last > at or bottom > row + level:
                sheet.merge_cells(f"{place.letter}{row + level}:{places[last].letter}{bottom}")
    return row + levels


def _rows(
    sheet: Worksheet,
    contract: Contract,
    table: Table,
    form: Form,
    places: list[_Place],
    first: int,
    kpis: tuple[Kpi, ...],
) -> int:
    """The rows to fill in; returns the row after the last."""
    labels = _labels(contract, table)
    printed = [_printed(places, form, kpi) for kpi in kpis] or labels or [{}] * BLANK_ROWS
    for row, texts in enumerate(printed, start=first):
        for place in places:
            cell = sheet[f"{place.letter}{row}"]
            cell.font, cell.border = Font(name=FACE, size=11), _FRAME
            cell.alignment = Alignment(vertical="center", wrap_text=True)
            text = texts.get(place.heading[-1])
            if text is not None:
                write_text(cell, text)
            elif not (texts and place.spec.kind in ("ignored", "axis")):
                cell.protection, cell.fill = Protection(locked=False), _OPEN
    last = first + len(printed) - 1
    for place in places:
        printed_here = [texts.get(place.heading[-1], "") for texts in printed]
        needed = min(WIDEST, max(map(display_width, printed_here)) + 2.0)
        dimension = sheet.column_dimensions[place.letter]
        usual = 10 if any(printed_here) else WIDTHS.get(place.spec.kind, 14)
        dimension.width = max(usual, needed, dimension.width if dimension.customWidth else 0)
        _rule(
            sheet, contract, place, f"{place.letter}{first}:{place.letter}{last}", choose=not (kpis or labels)
        )
    for row, texts in enumerate(printed, start=first):
        lines = max(
            lines_needed(texts.get(place.heading[-1], ""), sheet.column_dimensions[place.letter].width)
            for place in places
        )
        # A row whose height is set grows no more with a long remark, so only those get one that need it.
        if lines > 1:
            sheet.row_dimensions[row].height = 4.0 + LINE_POINTS * lines
    return last + 1


def _printed(places: list[_Place], form: Form, kpi: Kpi) -> dict[str, str]:
    """What stands in the row of a KPI: its number, and what the form says."""
    texts = {place.heading[-1]: kpi.kpi_id for place in places if place.spec.kind == "axis"}
    return texts | {heading: str(getattr(kpi, source)) for heading, source in form.fill.items()}


def _labels(contract: Contract, table: Table) -> list[dict[str, str]]:
    """One row per code of the axis, where nothing but the axis and the headings tells the rows of a table apart."""
    axes = table.of_kind("axis", "measure")
    if len(axes) != 1 or table.of_kind("period") or axes[0].kind == "measure":
        return []
    codes = next(column.codes for column in contract.columns if column.name == axes[0].column)
    return [{axes[0].headings[0]: label} for label in codes.values()]


def _rule(sheet: Worksheet, contract: Contract, place: _Place, cells: str, *, choose: bool) -> None:
    """A list of what may be chosen, or a hint of what belongs here."""
    spec = place.spec
    choices: list[str] = []
    if spec.kind == "status":
        choices = list(spec.statuses)
    elif spec.kind in ("axis", "measure") and choose:
        name = spec.column if spec.kind == "axis" else "measure_code"
        choices = list(next(column.codes for column in contract.columns if column.name == name).values())
    listed = ",".join(choices)
    if choices and len(listed) <= LONGEST_LIST and not any("," in choice for choice in choices):
        rule = DataValidation(type="list", formula1=f'"{listed}"', allow_blank=True, showErrorMessage=True)
        rule.errorTitle, rule.error = place.heading[-1], "一覧から選んでください。"
    elif spec.kind in _HINTS:
        rule = DataValidation(allow_blank=True, showInputMessage=True)
        rule.promptTitle, rule.prompt = _HINTS[spec.kind]
        if spec.units:
            # One unit for each quantity that the cell holds.
            units = {measure: unit for unit, measure in reversed(list(spec.units.items()))}
            rule.prompt = (
                f"例：{''.join(f'10{units[measure]}' for measure in dict.fromkeys(spec.units.values()))}"
            )
        elif spec.unit:
            rule.prompt += f"単位：{spec.unit}"
    else:
        return
    rule.add(cells)
    sheet.add_data_validation(rule)


def _line(sheet: Worksheet, row: int, text: str, *, size: int = 11) -> None:
    cell = sheet.cell(row, 1, text)
    cell.font = Font(name=FACE, size=size, bold=size >= 14)


def _finish(sheet: Worksheet, frozen: str, widest: int) -> None:
    sheet.freeze_panes = frozen
    sheet.sheet_view.showGridLines = False
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 9
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_area = f"A1:{get_column_letter(widest)}{sheet.max_row}"
    # No password: the lock is against slips of the hand, not against people.
    sheet.protection.sheet = True
    sheet.protection.formatColumns = sheet.protection.formatRows = False
