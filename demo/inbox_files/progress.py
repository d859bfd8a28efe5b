"""進捗管理シート: what 企画課 sends to every division and gets back, all 31 KPIs, filled in where the slides say a number."""

from __future__ import annotations

from openpyxl import Workbook
from openpyxl.worksheet.datavalidation import DataValidation

from demo.inbox_files.figures import Figure, figure, kpis
from demo.inbox_files.paper import Content, cells, headings, line, sheet
from demo.inbox_files.stable import workbook_bytes

FIRST_ROW = 6
KINDS = "実績,累計,年度途中,速報,予定"
# The matching KPI is the one number of the 31 that the slides state: the programme's cumulative count.
REPORTED = {"D08": ("F12-1", "R3.11-R6.10月末", "R3.11～R6.10月末", "累計")}


def kpi_progress() -> bytes:
    """The workbook as it comes back: 実績値, 時点, 値の種類 and 備考 filled for one KPI, blank (未公表) for the others."""
    book = Workbook()
    page = sheet(book, "進捗管理", [10, 34, 60, 10, 22, 14, 22, 14, 36])
    line(page, 1, "KPI進捗管理シート", size=14)
    line(page, 2, "令和６年10月末現在", column=9, right=True)
    line(
        page,
        3,
        "記入は「実績値」「時点」「値の種類」「備考」のみ。公表できる値がないときは空欄のままとする。",
        size=9,
    )
    headings(
        page, FIRST_ROW - 1, ["KPI番号", "計画", "KPI", "単位", "目標", "実績値", "時点", "値の種類", "備考"]
    )
    for row, kpi in enumerate(kpis(), start=FIRST_ROW):
        filled: list[Content] = [None, None, None, None]
        if kpi.code in REPORTED:
            metric, period, moment, kind = REPORTED[kpi.code]
            number: Figure = figure(metric, period)
            filled = [number.number, moment, kind, "産業支援課の集計による"]
        cells(page, row, [kpi.code, kpi.plan, kpi.name, kpi.unit, kpi.target or None, *filled])
    last = FIRST_ROW + len(kpis()) - 1
    choice = DataValidation(type="list", formula1=f'"{KINDS}"', allow_blank=True, showErrorMessage=True)
    choice.add(f"H{FIRST_ROW}:H{last}")
    page.add_data_validation(choice)
    page.freeze_panes = f"D{FIRST_ROW}"
    line(page, last + 2, "担当：企画課", size=9)
    return workbook_bytes(book)
