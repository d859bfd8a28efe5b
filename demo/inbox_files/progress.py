"""進捗管理シート: what 企画課 sends to every division and gets back, all 31 KPIs, filled in where the slides say a number."""

from __future__ import annotations

import io
from datetime import date

from openpyxl import load_workbook

from demo.inbox_files.figures import figure
from demo.inbox_files.stable import workbook_bytes
from kpi_warehouse.contract import find_contract
from kpi_warehouse.feed_template import template
from kpi_warehouse.settings import PROJECT

# The matching KPI is the one number of the 31 that the slides state: the programme's cumulative count.
REPORTED = {"D08": ("F12-1", "R3.11-R6.10月末", "R3.11～R6.10月末", "累計")}


def kpi_progress() -> bytes:
    """The template as it comes back: 実績値, 時点, 値の種類 and 備考 filled for one KPI, blank (未公表) for the others."""
    contract = find_contract(PROJECT / "expectations", "kpi_progress")
    book = load_workbook(io.BytesIO(template(contract, as_of=date(2024, 10, 31))))
    page = book.worksheets[0]
    columns = {cell.value: int(cell.column or 0) for cell in page[5]}
    for row in range(6, page.max_row + 1):
        reported = REPORTED.get(str(page.cell(row, columns["KPI番号"]).value))
        if reported is not None:
            metric, period, moment, kind = reported
            answers = {"実績値": figure(metric, period).number, "時点": moment, "値の種類": kind}
            for heading, answer in (answers | {"備考": "産業支援課の集計による"}).items():
                page.cell(row, columns[heading]).value = answer
    return workbook_bytes(book)
