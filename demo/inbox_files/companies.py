"""The file of 企業立地課: how schools and companies of the semiconductor industry were brought together."""

from __future__ import annotations

from openpyxl import Workbook

from demo.inbox_files.figures import figure
from demo.inbox_files.paper import Content, cells, headings, line, sheet
from demo.inbox_files.stable import workbook_bytes


def company_contacts() -> bytes:
    """One row per activity of the year; what an activity does not count stays blank."""
    book = Workbook()
    page = sheet(book, "企業立地課", [24, 12, 12, 14, 14, 14, 30])
    line(page, 1, "半導体関連企業と学校との交流の実績", size=14)
    headings(
        page, 3, ["取組", "年度", "値の種類", "参加企業数（社）", "学校数（校）", "参加者数（名）", "備考"]
    )
    companies, schools, people = (figure(f"F15-{n}", "R6") for n in (2, 3, 4))
    rows: list[list[Content]] = [
        ["就職情報交換会", "R6年度", "実績", companies.number, schools.number, f"約{people.written}", None],
        [
            "出前講座（産業講話）",
            "R6年度",
            "年度途中",
            None,
            figure("F16-2", "R6").number,
            None,
            "御船、八代東、人吉、甲佐の各高校",
        ],
    ]
    for row, contents in enumerate(rows, start=4):
        cells(page, row, contents)
    line(page, 7, "担当：企業立地課", size=9)
    return workbook_bytes(book)
