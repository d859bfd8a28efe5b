"""Workbooks of the divisions for schools: internships, semiconductor training, private schools, and the expo."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from openpyxl import Workbook

from demo.inbox_files.figures import figure
from demo.inbox_files.paper import Content, cells, headings, line, merge, sheet
from demo.inbox_files.stable import workbook_bytes

UNSAID = "年度の記載なし"


def internships() -> bytes:
    """インターンシップ実施率: the rate is a formula with its result kept, years are lost, the target has none."""
    book = Workbook()
    page = sheet(book, "実施率", [12, 14, 16, 18, 14, 14, 18, 34])
    line(page, 1, "インターンシップ取組みの実績値の推移", size=14)
    headings(
        page,
        3,
        [
            "出現順",
            "年度",
            "経験者数（人）",
            "３年生在籍数（人）",
            "実施率（％）",
            "目標値（％）",
            "連携企業数",
            "備考",
        ],
    )
    taken, enrolled = figure("F18-3", UNSAID), figure("F18-4", UNSAID)
    for order in range(1, 5):
        rate = figure("F18-1", f"年度不明（本文出現順{order}）").number
        cells(page, 3 + order, [str(order), "年度不明", None, None, rate, None, None, None])
    partners = figure("F18-5", UNSAID)
    cells(
        page,
        8,
        [
            "5",
            "年度不明",
            taken.number,
            enrolled.number,
            "=ROUND(C8/D8*100,1)",
            None,
            f"{partners.qualifier}{partners.written}",
            "３年間で１度でも経験した３年生の割合",
        ],
    )
    cells(page, 9, ["目標", "年度不明", None, None, None, figure("F18-2", "年度不明").number, None, None])
    line(page, 10, "担当：高校教育課", size=9)
    assert taken.value is not None and enrolled.value is not None
    rate5 = (taken.value / enrolled.value * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return workbook_bytes(book, {"E8": str(rate5)})


def semiconductor_training() -> bytes:
    """半導体関連人材育成: a breakdown (内訳) with its 計 in the middle of the table; units in the headings."""
    book = Workbook()
    page = sheet(book, "実績", [22, 10, 10, 16, 10, 10, 12, 14])
    line(page, 1, "県立高校半導体関連人材育成事業　取組実績", size=14)
    line(page, 2, "（参加生徒数は延べ。年度の記載なし）")
    headings(page, 4, ["取組", "実施", None, "参加生徒数（人）", "内数", None, None, "教職員数（人）"])
    headings(
        page, 5, [None, "件数（件）", "校数（校）", None, "バス（台）", "講師（人）", "引率教員（名）", None]
    )
    for area in ("A4:A5", "B4:C4", "D4:D5", "E4:G4", "H4:H5"):
        merge(page, area)
    said = {at: figure(f"F20-{at}", UNSAID) for at in range(1, 15)}
    rows: list[list[Content]] = [
        ["大学・企業見学", said[1].number, said[2].number, said[3].number, said[4].number, None, None, None],
        ["出前授業", said[5].number, said[6].number, said[7].number, None, said[8].number, None, None],
        ["エンジニア派遣", said[9].number, said[10].number, said[11].number, None, None, None, None],
        ["生徒先端研修", None, None, said[12].number, None, None, said[13].number, None],
    ]
    for at, contents in enumerate(rows, start=6):
        cells(page, at, contents)
    cells(page, 10, ["計", None, None, figure("F19", UNSAID).number, *[None] * 4], total=True)
    teachers = said[14]
    cells(page, 11, ["教職員向け研修", *[None] * 6, f"{teachers.qualifier}{teachers.number}"])
    line(page, 12, "注）教職員向け研修は、計（参加生徒数）に含まない。", size=9)
    return workbook_bytes(book)


def private_schools() -> bytes:
    """私学の補助: newest year first, and a programme that changed its name between two of the columns."""
    years = ("R5", "R4", "R3")
    book = Workbook()
    page = sheet(book, "私学", [46, 14, 14, 14, 40])
    line(page, 1, "私立高校における人材育成　取組実績", size=14)
    headings(page, 3, ["事業名", *(f"{year}年度" for year in years), "備考"])
    cells(
        page,
        4,
        [
            "熊本県私立学校経常費補助（学校魅力アップのための取組）",
            *(figure("F24-1", year).written for year in years),
            "R5年度までは私学の魅力アップ事業補助金",
        ],
    )
    line(page, 6, "補助単価（年度の記載なし）", size=12)
    headings(page, 7, ["補助の区分", "単価（万円）"])
    grants = (
        ("学校魅力アップのための取組", "F24-2"),
        ("数理・データサイエンス・AI教育等の推進", "F24-3"),
        ("職業等の教育の推進", "F24-4"),
    )
    for at, (label, metric) in enumerate(grants, start=8):
        cells(page, at, [label, figure(metric, UNSAID).number])
    line(page, 12, "担当：私学振興課", size=9)
    return workbook_bytes(book)


def expo() -> bytes:
    """産業復興エキスポ: an event a row; the date, not the sheet, says that it belongs to 令和５年度."""
    days = "2024-02-28/2024-02-29"
    book = Workbook()
    page = sheet(book, "開催実績", [30, 38, 26, 26, 14, 18, 12, 12])
    line(page, 1, "くまもと産業復興エキスポの開催について", size=14)
    headings(
        page,
        3,
        ["名称", "日時", "出展者数", "来場者数", None, "会場", "参加高校", None],
    )
    headings(page, 4, [None, None, None, "総数", "うち県内高校生", None, "公立", "私立"])
    for area in ("A3:A4", "B3:B4", "C3:C4", "D3:E3", "F3:F4", "G3:H3"):
        merge(page, area)
    cells(
        page,
        5,
        [
            "くまもと産業復興エキスポ",
            "令和６年２月２８日（水）～２９日（木）",
            f"{figure('F27-1', days).text}（{figure('F27-2', days).text}）",
            figure("F27-3", days).text,
            figure("F27-4", days).text,
            "グランメッセ熊本",
            figure("F27-5", days).text.removeprefix("公立"),
            figure("F27-6", days).text.removeprefix("私立"),
        ],
    )
    line(page, 7, "※今年度の開催は上記のとおり", size=9)
    line(page, 8, "商工政策課", size=9)
    return workbook_bytes(book)
