"""Files that nobody would choose as a sample end in a draft or in words, never in a traceback, and leave no invalid contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.styles import Alignment
from typer.testing import CliRunner

from kpi_warehouse.cli import app
from kpi_warehouse.contract import load_contract
from kpi_warehouse.settings import settings

Rows = list[list[Any]]


def book(
    rows: Rows, merged: tuple[str, ...] = (), change: Callable[[Workbook], None] | None = None
) -> Callable[[Path], Path]:
    """A workbook of these rows."""

    def made(folder: Path) -> Path:
        work = Workbook()
        for row in rows:
            work.worksheets[0].append(row)
        for area in merged:
            work.worksheets[0].merge_cells(area)
        if change:
            change(work)
        work.save(folder / "見本.xlsx")
        return folder / "見本.xlsx"

    return made


def raw(name: str, content: bytes | str) -> Callable[[Path], Path]:
    """A file of these bytes."""

    def made(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return made


def hidden_tables(work: Workbook) -> None:
    sheet = work.create_sheet("隠し")
    for row in (["区分", "R5年度"], ["県外", 7]):
        sheet.append(row)
    sheet.sheet_state = "hidden"


def hundred_sheets(work: Workbook) -> None:
    for number in range(100):
        sheet = work.create_sheet(f"第{number}表")
        for row in (
            [f"第{number}表 人口"],
            ["区分", "R4年度", "R5年度"],
            ["県内", number, 1],
            ["県外", 2, 3],
        ):
            sheet.append(row)


def hidden_rows(work: Workbook) -> None:
    work.worksheets[0].row_dimensions[3].hidden = True
    work.worksheets[0].column_dimensions["B"].hidden = True


def vertical(work: Workbook) -> None:
    work.worksheets[0]["B1"].alignment = Alignment(textRotation=255, wrap_text=True)


TWO: Rows = [["区分", "R4年度", "R5年度"], ["県内", 5, 6], ["県外", 7, 8]]
# How it ends: the number of values drafted, or a word of the refusal.
ODD: dict[str, tuple[Callable[[Path], Path], int | str]] = {
    "empty": (book([]), "表が見つかりません"),
    "one text": (book([["お知らせ"]]), "表が見つかりません"),
    "one number": (book([[5]]), "表が見つかりません"),
    "headings only": (book([["年度", "人数", "金額"]]), "表が見つかりません"),
    "numbers only": (book([[1, 2, 3], [4, 5, 6]]), "表が見つかりません"),
    "one merged cell": (book([["表"]], ("A1:J40",)), "表が見つかりません"),
    "only hidden tables": (book([["目次"]], change=hidden_tables), "非表示のシートは読みません"),
    "a hidden table beside": (book(TWO, change=hidden_tables), 4),
    "hidden rows": (book([*TWO, ["海外", 1, 2]], change=hidden_rows), 2),
    "a hundred sheets": (book([["目次"]], change=hundred_sheets), 4),
    "a row": (book(TWO[:2]), 2),
    "vertical text": (book([["区\n分", "令\n和\n4\n年\n度"], ["県内", 5]], change=vertical), 1),
    "merged titles": (
        book([["人口", None, None], ["（単位：人）", None, None], *TWO], ("A1:C1", "A2:C2")),
        4,
    ),
    "merged values": (book([*TWO, [None, 9, None]], ("B4:C4",)), 4),
    "formulas never calculated": (book([*TWO, ["計", "=SUM(B2:B3)", "=SUM(C2:C3)"]]), 4),
    "errors": (book([["区分", "R4年度"], ["県内", "#DIV/0!"], ["県外", 7]]), 1),
    "truth values": (book([["区分", "R4年度", "R5年度"], ["県内", True, 6], ["県外", 7, False]]), 2),
    "times": (book([["区分", "時刻"], ["a", time(10, 30)]]), "表が見つかりません"),
    "days down": (book([["日付", "来場者"], [date(2024, 5, 1), 10], [date(2024, 5, 2), 12]]), 2),
    "signs of patterns": (book([["表(1) [a-z]+ *.? $ \\d {x}"], ["区分(+)", "R4年度"], ["県内[1]", 5]]), 1),
    "a very long text": (book([["あ" * 20_000], *TWO]), 4),
    "no headings": (book([[None, None], ["県内", 5], ["県外", 8]]), "表が見つかりません"),
    "one heading three times": (book([["区分", "人数", "人数", "人数"], ["県内", 5, 6, 7]]), 3),
    "numbers in brackets": (book([["区分", "R4年度"], ["県内", 100], ["うち新規", "(20)"]]), 2),
    "tables side by side": (book([["区分", "R4", None, "区分", "R4"], ["a", 1, None, "x", 5]]), 1),
    "too many columns": (book([["区分", *(f"項目{at}" for at in range(600))], ["a", *range(600)]]), "列が"),
    "too many labels": (
        raw("見本.csv", "年度,市,値\n" + "".join(f"R5年度,市{at},{at}\n" for at in range(6000))),
        "種類以上",
    ),
    "no byte": (raw("見本.csv", b""), "0 バイト"),
    "line ends": (raw("見本.csv", "\n\n\n"), "表が見つかりません"),
    "every byte": (raw("見本.csv", bytes(range(256)) * 20), "見本.csv"),
    "an open quote": (raw("見本.csv", '区分,R5年度\n"県内,5\n県外,6\n'), "引用符"),
    "ragged lines": (raw("見本.csv", "区分,R5年度\n県内,5\n県外,6,7,8\n海外\n"), 2),
    "semicolons": (raw("見本.csv", "区分;R5年度\n県内;5\n県外;6\n"), 2),
    "tabs": (raw("見本.tsv", "区分\tR5年度\n県内\t5\n県外\t6\n"), 2),
    "no ending": (raw("見本", "区分,R5年度\n県内,5\n"), 1),
    "a web page": (raw("見本.xls", "<html><table><tr><td>1</td></tr></table></html>"), "HTML"),
    "a PDF": (raw("見本.xlsx", b"%PDF-1.4 x"), "PDF"),
    "half a workbook": (raw("見本.xlsx", b"PK\x03\x04" + b"0" * 900), "見本.xlsx"),
    "JSON": (raw("見本.json", "{}"), "JSON"),
    "a picture": (raw("見本.png", b"\x89PNG\r\n\x1a\n" + b"0" * 200), "見本"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_sample_ends_in_a_draft_or_in_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, ending = ODD[name]
    contracts = tmp_path / "expectations"
    contracts.mkdir()
    monkeypatch.setenv("KPI_CONTRACTS", str(contracts))
    settings.cache_clear()
    asked = ["feed", "new", "odd_one", "--title", "件数", "--sample", str(make(tmp_path))]
    shown = CliRunner().invoke(app, asked)
    said = shown.output + (shown.stderr if shown.stderr_bytes else "")
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
    if isinstance(ending, str):
        assert shown.exit_code == 1 and ending in said, said
        assert list(contracts.glob("*.odcs.yaml")) == []
    else:
        assert shown.exit_code == 0 and f"見本から {ending} 個の値を読みました" in said, said
        assert load_contract(contracts / "odd_one.odcs.yaml").status == "draft"
    assert not list(contracts.rglob("*.error.txt"))
