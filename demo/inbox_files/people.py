"""Workbooks of the divisions for migration: the monthly briefing, vacant houses, consultation events."""

from __future__ import annotations

from openpyxl import Workbook

from demo.inbox_files.figures import corrected, figure, moved, partner_rows
from demo.inbox_files.paper import cells, headings, line, merge, sheet
from demo.inbox_files.stable import workbook_bytes

PARTNERS = ("東京圏", "大阪圏", "福岡県")
YEARS = ("R2", "R3", "R4", "R5", "R6")


def migration_briefing(*, as_printed: bool) -> bytes:
    """移住定住の状況: two stacked tables under one title, 令和６年 merged over the months.

    `as_printed`: with the slide's own slip (大阪圏 転入 5月 `16`); otherwise as the printed 計 needs it.
    """
    book = Workbook()
    page = sheet(book, "移住定住（R6）", [14, *[8.5] * 9, 10, 22])
    line(page, 1, "移住定住の状況", size=16)
    line(page, 2, "本県における社会増減の推移（R6）～国内間の転出入のみ～")
    line(page, 1, "令和６年９月末現在", column=11, right=True)
    line(page, 2, "単位：人", column=11, right=True)
    row = 4
    for direction, caption, sum_label in (
        ("out", "１　他都道府県への転出者数（令和６年）", "転出者計"),
        ("in", "２　他都道府県からの転入者数（令和６年）", "転入者計"),
    ):
        line(page, row, caption, size=12)
        line(page, row, f"{sum_label}　{moved(direction):,}人", column=8)
        headings(page, row + 1, ["区分", "令和６年", *[None] * 8, "計"])
        headings(page, row + 2, [None, *(f"{month}月" for month in range(1, 10)), None])
        merge(page, f"A{row + 1}:A{row + 2}")
        merge(page, f"B{row + 1}:J{row + 1}")
        merge(page, f"K{row + 1}:K{row + 2}")
        for at, partner in enumerate(PARTNERS, start=row + 3):
            months, total = partner_rows()[direction, partner]
            cells(page, at, [partner, *(months if as_printed else corrected(months, total)), total])
        row += 8
    line(page, row - 1, "※総務省「住民基本台帳人口移動報告」（月報）をもとに作成", size=9)
    line(page, row, "担当：企画振興部　地域振興課", size=9)
    return workbook_bytes(book)


def vacant_houses() -> bytes:
    """空家対策: years across, a unit in every cell, 予定 in the last column, ※ with its note below."""
    book = Workbook()
    page = sheet(book, "空家対策", [30, 22, *[16] * 5])
    line(page, 1, "空家等対策総合支援事業　取組実績", size=14)
    line(page, 2, "（土木部）", column=7, right=True)
    headings(page, 4, ["事業", "内訳", *YEARS])
    rows: list[tuple[str | None, str, str]] = [
        ("空家・移住相談会等", "専門家活用支援の人数", "F01-1"),
        (None, "専門家活用支援の市町村数", "F01-2"),
        (None, "うち新規に取り組む町", "F01-3"),
        ("空家バンク登録のための調査等", "調査等の人数", "F02"),
        ("空家活用促進モデル事業", "支援件数", "F03-1"),
    ]
    for at, (programme, label, metric) in enumerate(rows, start=5):
        cells(page, at, [programme, label, *(_yearly(metric, year) for year in YEARS)])
    merge(page, "A5:A7")
    line(page, 11, "※社交金の対象となったため、R6年度からは市町村が国費を活用", size=9)
    return workbook_bytes(book)


def _yearly(metric: str, year: str) -> str | None:
    """What stands in the cell: the source's words where it has any, 予定 where only the prose says so."""
    try:
        found = figure(metric, year)
    except KeyError:
        return None
    if found.value is None:
        return found.text
    # The source writes 1市 beside 6市町村: its unit stays as it is written there.
    text = found.text if metric in ("F01-1", "F01-2", "F02") else found.written
    return f"{text}（{found.qualifier}）" if found.qualifier else text


def relocation_events() -> bytes:
    """移住相談会等: an event a row, 組 and 名 in one cell, dates as a person writes them, with weekdays."""
    fes = "2024-10-12"
    book = Workbook()
    page = sheet(book, "実施状況", [34, 26, 16, 18, 16, 12, 44])
    line(page, 1, "移住相談会・イベント等の実施状況", size=14)
    line(page, 2, "令和６年度", column=7, right=True)
    headings(page, 4, ["行事名", "開催日", "出展市町村", "来場者数", "前年度比", "テーマ数", "備考"])
    visitors = f"{figure('F05-2', fes).written}{figure('F05-3', fes).written}"
    ratio = figure("F05-4", fes)
    themes = figure("F06", "R6")
    rows = [
        [
            "くまもと移住FES 2024 in東京",
            "10月12日（土）",
            figure("F05-1", fes).written,
            visitors,
            f"{ratio.qualifier}{ratio.written}",
            None,
            "出展市町村はR5年度同様",
        ],
        [
            "オンライン交流イベント等",
            "R6年度",
            None,
            None,
            None,
            f"{themes.written}（予定）",
            "自然、子育て、コミュニティ、農業",
        ],
        [
            "くまもとフェア（福岡）",
            "R6.10.2（水）～22（火）",
            None,
            None,
            None,
            None,
            "商工労働部・農林水産部",
        ],
        [
            "くまもとフェア（大阪）",
            "R6.11.1（金）～30（土）",
            None,
            None,
            None,
            None,
            "商工労働部・農林水産部",
        ],
        ["くまもとフェア（東京）", "R7.1月予定", None, None, None, None, "商工労働部・農林水産部"],
        ["ヒゴロッカサミット2024", "R6.12.21（土）予定", None, None, None, None, "環境生活部"],
    ]
    for at, contents in enumerate(rows, start=5):
        cells(page, at, contents)
    line(page, 12, "担当：企画振興部", size=9)
    return workbook_bytes(book)
