"""The 進捗管理シート as 企画課 hands it out, filled in and sent back: one row per KPI, blank where nothing is said."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from openpyxl import load_workbook

from kpi_warehouse.contract import find_contract
from kpi_warehouse.feed_template import template
from kpi_warehouse.settings import PROJECT

# In a printed sheet K10 is written 万㎥; a division that types the unit may write it otherwise.
FIRST_ROW, HEADINGS = 6, 5


class Answer(NamedTuple):
    """What a division writes into the row of one KPI."""

    value: object
    moment: object
    kind: str = "実績"
    note: str | None = None
    public_on: object = None


def filled_in(answers: Mapping[str, Answer | Sequence[Answer]], as_of: date = date(2026, 10, 31)) -> bytes:
    """The handed-out workbook with these answers; of several for one KPI the further ones stand in rows below the last."""
    contract = find_contract(PROJECT / "expectations", "kpi_progress")
    book = load_workbook(io.BytesIO(template(contract, as_of=as_of)))
    page = book.worksheets[0]
    columns = {str(cell.value): int(cell.column or 0) for cell in page[HEADINGS]}
    rows = {str(page.cell(row, columns["KPI番号"]).value): row for row in range(FIRST_ROW, page.max_row + 1)}
    below = page.max_row + 1
    for kpi, said in answers.items():
        for at, answer in enumerate([said] if isinstance(said, Answer) else said):
            row = rows[kpi]
            if at:
                for heading in ("KPI番号", "計画", "KPI", "単位", "目標"):
                    page.cell(below, columns[heading]).value = page.cell(row, columns[heading]).value
                row, below = below, below + 1
            for heading, written in zip(
                ("実績値", "時点", "値の種類", "備考", "公表日"), answer, strict=True
            ):
                page.cell(row, columns[heading]).value = written  # type: ignore[assignment]
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()
