"""Files as statistics offices and divisions make them, in the layouts that occur, each with what a careful clerk would read of it.

A layout is a function that writes its file(s) and returns them with {cell: (value, first day of the period, its kind)}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlwt
from openpyxl import Workbook
from openpyxl.utils import get_column_letter

Expected = dict[str, tuple[Decimal | None, date, str]]
Made = tuple[list[Path], Expected]
Layout = Callable[[Path], Made]
WARDS = ("中央区", "東区", "西区", "南区", "北区")


def fiscal(year: int) -> tuple[date, str]:
    """A 年度."""
    return date(year, 4, 1), "年度"


def calendar(year: int) -> tuple[date, str]:
    """A calendar year."""
    return date(year, 1, 1), "暦年"


def month(year: int, number: int) -> tuple[date, str]:
    """A month."""
    return date(year, number, 1), "月"


def save(
    folder: Path, name: str, rows: Iterable[list[Any]], merged: Iterable[str] = (), sheet: str = "統計表"
) -> Path:
    """Write rows into a workbook."""
    book = Workbook()
    page = book.worksheets[0]
    page.title = sheet
    for row in rows:
        page.append(row)
    for area in merged:
        page.merge_cells(area)
    path = folder / name
    book.save(path)
    return path


def at(column: int, row: int, sheet: str = "統計表") -> str:
    """Place of a cell; both 1-based."""
    return f"{sheet}!{get_column_letter(column)}{row}"


def years_right(folder: Path) -> Made:
    """区分 × years, unit and date above, footnote below, 計 at the end."""
    years = (2021, 2022, 2023, 2024)
    body = {"県内": (1200, 1310, 1405, 1520), "県外": (340, 355, 361, 372), "海外": (50, 61, 72, 83)}
    rows: list[list[Any]] = [
        ["移住者数の推移"],
        [None, None, None, "（単位：人）"],
        ["区分", *(f"令和{year - 2018}年度" for year in years)],
        *([name, *numbers] for name, numbers in body.items()),
        ["計", *(sum(column) for column in zip(*body.values(), strict=True))],
        [],
        ["※ 住民異動届の件数による。"],
    ]
    expected = {
        at(2 + column, 4 + row): (Decimal(number), *fiscal(years[column]))
        for row, numbers in enumerate(body.values())
        for column, number in enumerate(numbers)
    }
    return [save(folder, "移住者数の推移（R6）.xlsx", rows)], expected


def stacked_years(folder: Path) -> Made:
    """Years merged over their rows, wards beside, two measures across."""
    rows: list[list[Any]] = [["区別の人口と世帯"], ["年次", "区", "人口（人）", "世帯数（世帯）"]]
    expected: Expected = {}
    merged = []
    for year in (2022, 2023, 2024):
        merged.append(f"A{len(rows) + 1}:A{len(rows) + len(WARDS)}")
        for number, ward in enumerate(WARDS):
            people, homes = 100_000 + year + number * 317, 40_000 + year + number * 211
            rows.append([f"令和{year - 2018}年" if not number else None, ward, people, homes])
            for column, value in ((3, people), (4, homes)):
                expected[at(column, len(rows))] = (Decimal(value), *calendar(year))
    return [save(folder, "区別人口.xlsx", rows, merged)], expected


def two_row_headings(folder: Path) -> Made:
    """Sex over 人数 and 割合, fiscal years down."""
    rows: list[list[Any]] = [
        ["年度", "男性", None, "女性", None],
        [None, "人数（人）", "割合（％）", "人数（人）", "割合（％）"],
    ]
    expected: Expected = {}
    for number, year in enumerate((2020, 2021, 2022, 2023)):
        values = [500 + number * 11, Decimal("48.5") + number, 530 + number * 9, Decimal("51.5") - number]
        rows.append([f"R{year - 2018}年度", *values])
        for column, value in enumerate(values, 2):
            expected[at(column, len(rows))] = (Decimal(value), *fiscal(year))
    return [save(folder, "男女別参加者.xlsx", rows, ("A1:A2", "B1:C1", "D1:E1"))], expected


def years_over_measures(folder: Path) -> Made:
    """Fiscal years merged over 転入 and 転出, areas down with 計."""
    rows: list[list[Any]] = [
        ["地域別の転入・転出（単位：人）"],
        ["地域", "令和5年度", None, "令和6年度", None],
        [None, "転入", "転出", "転入", "転出"],
    ]
    body = {"県北": (210, 190, 220, 205), "県央": (530, 480, 551, 470), "県南": (160, 175, 158, 181)}
    expected: Expected = {}
    for name, numbers in body.items():
        rows.append([name, *numbers])
        for column, value in enumerate(numbers, 2):
            expected[at(column, len(rows))] = (Decimal(value), *fiscal(2023 if column < 4 else 2024))
    rows.append(["計", *(sum(column) for column in zip(*body.values(), strict=True))])
    return [save(folder, "地域別転入転出.xlsx", rows, ("A2:A3", "B2:C2", "D2:E2"))], expected


def months_down(folder: Path) -> Made:
    """Months down, 4月 to 3月, the year in the title, 計 at the end."""
    rows: list[list[Any]] = [["令和6年度 相談件数"], [], ["月", "窓口（件）", "電話（件）"]]
    expected: Expected = {}
    for number in range(12):
        values = (30 + number * 2, 80 - number)
        shown = (number + 3) % 12 + 1
        rows.append([f"{shown}月", *values])
        for column, value in enumerate(values, 2):
            expected[at(column, len(rows))] = (Decimal(value), *month(2024 if shown >= 4 else 2025, shown))
    rows.append(
        ["計", sum(30 + number * 2 for number in range(12)), sum(80 - number for number in range(12))]
    )
    return [save(folder, "相談件数（R6）.xlsx", rows)], expected


def months_right(folder: Path) -> Made:
    """Months across under their year, with 計 in each row and in the last."""
    rows: list[list[Any]] = [
        ["施設", "令和６年度", None, None, None],
        [None, "4月", "5月", "6月", "計"],
    ]
    body = {"図書館": (1200, 1350, 1280), "美術館": (410, 520, 480), "体育館": (2300, 2250, 2410)}
    expected: Expected = {}
    for name, numbers in body.items():
        rows.append([name, *numbers, sum(numbers)])
        for column, value in enumerate(numbers, 2):
            expected[at(column, len(rows))] = (Decimal(value), *month(2024, column + 2))
    columns = [sum(column) for column in zip(*body.values(), strict=True)]
    rows.append(["計", *columns, sum(columns)])
    return [save(folder, "利用者数.xlsx", rows, ("A1:A2", "B1:D1"))], expected


def wards_down(folder: Path) -> Made:
    """Wards down with 計 on top, the date above, two measures with their units in the headings."""
    rows: list[list[Any]] = [
        ["区別の人口及び世帯数"],
        ["令和6年10月1日現在"],
        ["区", "人口（人）", "世帯数（世帯）"],
    ]
    numbers = [(ward, 120_000 + at_ * 1311, 52_000 + at_ * 717) for at_, ward in enumerate(WARDS)]
    rows.append(["計", sum(each[1] for each in numbers), sum(each[2] for each in numbers)])
    expected: Expected = {}
    for ward, people, homes in numbers:
        rows.append([ward, people, homes])
        for column, value in ((2, people), (3, homes)):
            expected[at(column, len(rows))] = (Decimal(value), date(2024, 10, 1), "時点")
    return [save(folder, "区別人口（R6.10.1）.xlsx", rows)], expected


def code_and_name(folder: Path) -> Made:
    """団体コード and 市町村名 beside each other, calendar years across."""
    places = {"431001": "熊本市", "432024": "八代市", "432032": "人吉市", "432041": "荒尾市"}
    years = (2015, 2020, 2025)
    rows: list[list[Any]] = [
        ["市町村別人口（国勢調査）"],
        ["団体コード", "市町村名", *(f"{year}年" for year in years)],
    ]
    expected: Expected = {}
    for number, (code, name) in enumerate(places.items()):
        values = [740_000 - number * 150_000 - at_ * 900 for at_ in range(3)]
        rows.append([code, name, *values])
        for column, value in enumerate(values, 3):
            expected[at(column, len(rows))] = (Decimal(value), *calendar(years[column - 3]))
    return [save(folder, "国勢調査人口.xlsx", rows)], expected


def unit_in_caption(folder: Path) -> Made:
    """The unit in brackets in the caption, marks among the numbers, blank cells."""
    rows: list[list[Any]] = [
        ["表３ 産業別の立地件数【単位 件】"],
        ["産業", "R3年度", "R4年度", "R5年度"],
        ["半導体", 3, 5, 12],
        ["自動車", "－", 2, 1],
        ["食品", "…", "X", 4],
        ["物流", None, 1, 2],
        ["（注）Xは秘匿した値である。"],
        ["資料：企業立地課"],
    ]
    values = ((3, 5, 12), (None, 2, 1), (None, None, 4), ("", 1, 2))
    expected = {
        at(column, 3 + row): (None if value is None else Decimal(value), *fiscal(2019 + column))
        for row, numbers in enumerate(values)
        for column, value in enumerate(numbers, 2)
        if value != ""
    }
    return [save(folder, "産業別立地件数.xlsx", rows)], expected


def again_listed(folder: Path) -> Made:
    """総数 on top, うち and 再掲 rows below their item."""
    rows: list[list[Any]] = [
        ["国籍別の外国人住民数", None, "単位：人"],
        ["区分", "令和4年", "令和5年"],
        ["総数", 1000, 1150],
        ["ベトナム", 600, 700],
        ["うち技能実習", 410, 450],
        ["フィリピン", 400, 450],
        ["(再掲)熊本市", 300, 340],
    ]
    expected = {
        at(column, row): (Decimal(rows[row - 1][column - 1]), *calendar(2020 + column))
        for row in (4, 5, 6, 7)
        for column in (2, 3)
    }
    return [save(folder, "外国人住民数.xlsx", rows)], expected


def two_tables(folder: Path) -> Made:
    """The same headings twice on a sheet, told apart by their captions."""
    rows: list[list[Any]] = [["移住相談の状況"], []]
    expected: Expected = {}
    for caption, base in (("１ 相談件数（件）", 100), ("２ 移住者数（人）", 20)):
        rows.append([caption])
        rows.append(["窓口", "令和5年度", "令和6年度"])
        for number, name in enumerate(("東京", "大阪", "福岡")):
            values = (base + number, base + number * 3)
            rows.append([name, *values])
            for column, value in enumerate(values, 2):
                expected[at(column, len(rows))] = (Decimal(value), *fiscal(2021 + column))
        rows.append([])
    return [save(folder, "移住相談の状況.xlsx", rows)], expected


def label_right(folder: Path) -> Made:
    """The labels stand again at the right, as in printed yearbooks."""
    rows: list[list[Any]] = [["年間の転出先"], ["地域", "令和4年", "令和5年", "地域"]]
    expected: Expected = {}
    for number, name in enumerate(("福岡県", "鹿児島県", "東京都")):
        values = (3000 + number * 7, 3100 + number * 5)
        rows.append([name, *values, name])
        for column, value in enumerate(values, 2):
            expected[at(column, len(rows))] = (Decimal(value), *calendar(2020 + column))
    return [save(folder, "転出先.xlsx", rows)], expected


def long_csv(folder: Path) -> Made:
    """One value a row: year, area, item, value; CP932."""
    lines = ["調査年度,市町村,指標,値,備考"]
    expected: Expected = {}
    for year in (2022, 2023):
        for place in ("熊本市", "八代市", "阿蘇市"):
            for number, item in enumerate(("出生数", "死亡数")):
                value = year * 3 % 1000 + number * 17 + len(place)
                lines.append(f"{year}年度,{place},{item},{value},")
                expected[f"行{len(lines)}:4"] = (Decimal(value), *fiscal(year))
    path = folder / "人口動態.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))
    return [path], expected


def wide_csv(folder: Path) -> Made:
    """UTF-8 with mark of order, months as 2024-05 down, measures across, a title above."""
    lines = ["観光入込客数,,", "年月,日帰り客（人）,宿泊客（人）"]
    expected: Expected = {}
    for number in range(6):
        values = (12_000 + number * 310, 3400 + number * 41)
        lines.append(f"2024-{number + 4:02},{values[0]},{values[1]}")
        for column, value in enumerate(values, 2):
            expected[f"行{len(lines)}:{column}"] = (Decimal(value), *month(2024, number + 4))
    path = folder / "観光入込客数_R6.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8-sig")
    return [path], expected


def old_workbook(folder: Path) -> Made:
    """.xls: 年度 down in 昭和, 平成 and 令和, merged headings over three rows' measures, － as a mark."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("収集量")
    sheet.write(0, 0, "ごみ収集量")
    sheet.write(0, 4, "（単位：トン）")
    sheet.write_merge(1, 2, 0, 0, "年度")
    sheet.write_merge(1, 2, 1, 1, "総量")
    sheet.write_merge(1, 1, 2, 3, "家庭系")
    sheet.write(2, 2, "燃える")
    sheet.write(2, 3, "燃えない")
    sheet.write_merge(1, 2, 4, 4, "事業系")
    expected: Expected = {}
    for number, (text, year) in enumerate(
        (("昭和63年度", 1988), ("平成元年度", 1989), ("平成2年度", 1990), ("令和元年度", 2019))
    ):
        sheet.write(3 + number, 0, text)
        for column, value in enumerate(
            (1000 + number, 500 + number, 100 if number else None, 401 + number), 1
        ):
            sheet.write(3 + number, column, "－" if value is None else value)
            expected[at(column + 1, 4 + number, "収集量")] = (
                None if value is None else Decimal(value),
                *fiscal(year),
            )
    path = folder / "ごみ収集量.xls"
    book.save(str(path))
    return [path], expected


def open_document(folder: Path) -> Made:
    """.ods: area × years with a column of notes."""
    from odf.opendocument import OpenDocumentSpreadsheet
    from odf.table import Table, TableCell, TableRow
    from odf.text import P

    rows = [
        ["空家バンクの登録件数（単位：件）", "", "", ""],
        ["市町村", "R5年度", "R6年度", "備考"],
        ["宇城市", 12, 15, ""],
        ["山鹿市", 8, 11, "新制度による"],
        ["天草市", 20, 19, ""],
    ]
    document = OpenDocumentSpreadsheet()
    table = Table(name="統計表")
    for row in rows:
        line = TableRow()
        for value in row:
            cell = (
                TableCell(valuetype="float", value=value)
                if isinstance(value, int)
                else TableCell(valuetype="string")
            )
            if value != "":
                cell.addElement(P(text=str(value)))
            line.addElement(cell if value != "" else TableCell())
        table.addElement(line)
    document.spreadsheet.addElement(table)
    path = folder / "空家バンク.ods"
    document.save(str(path))
    expected = {
        at(column, row): (Decimal(int(rows[row - 1][column - 1])), *fiscal(2021 + column))
        for row in (3, 4, 5)
        for column in (2, 3)
    }
    return [path], expected


def two_labels(folder: Path) -> Made:
    """Two columns of labels, the first merged, units written in the cells."""
    rows: list[list[Any]] = [
        ["事業", "内訳", "R4年度", "R5年度"],
        ["空家対策", "相談会", "9人", "19人"],
        [None, "市町村", "6市町村", "7市町村"],
        ["移住支援", "支援金", "12件", "15件"],
    ]
    values = ((9, 19), (6, 7), (12, 15))
    expected = {
        at(column, row): (Decimal(value), *fiscal(2019 + column))
        for row, numbers in enumerate(values, 2)
        for column, value in enumerate(numbers, 3)
    }
    return [save(folder, "事業実績.xlsx", rows, ("A2:A3",))], expected


def sheet_for_each_year(folder: Path) -> Made:
    """A sheet for each year, its name the year, months across; and a sheet of explanations."""
    book = Workbook()
    book.worksheets[0].title = "記入例"
    book.worksheets[0].append(["このシートは読みません"])
    expected: Expected = {}
    for year in (2023, 2024):
        sheet = book.create_sheet(f"令和{year - 2018}年度")
        sheet.append(["施設", "4月", "5月", "6月"])
        for number, name in enumerate(("温泉館", "資料館")):
            values = [year - 1000 + number * 100 + at_ for at_ in range(3)]
            sheet.append([name, *values])
            for column, value in enumerate(values, 2):
                expected[at(column, 2 + number, sheet.title)] = (Decimal(value), *month(year, column + 2))
    path = folder / "施設利用.xlsx"
    book.save(path)
    return [path], expected


def two_samples(folder: Path) -> Made:
    """Two years of one report: the second has another row, another mark, and another date in its title."""
    made = []
    for year, rows in (
        (5, [["企業誘致", 10], ["研修", 20]]),
        (6, [["企業誘致", 11], ["研修", "*"], ["見学会", 7]]),
    ):
        book = [
            [f"令和{year}年度の取組実績"],
            [],
            ["取組", "実施回数（回）"],
            *rows,
            [],
            [f"※ 令和{year}年度末の集計"],
        ]
        made.append(save(folder, f"取組実績（R{year}）.xlsx", book))
    return made, {"統計表!B4": (Decimal(10), *fiscal(2023)), "統計表!B5": (Decimal(20), *fiscal(2023))}


def sections(folder: Path) -> Made:
    """Lines of one word above the rows that they are for; the rows' names come again under each."""
    rows: list[list[Any]] = [["区", "令和5年", "令和6年"]]
    expected: Expected = {}
    for number, word in enumerate(("転入者", "転出者")):
        rows.append([word])
        for at_, ward in enumerate(WARDS[:3]):
            values = (500 + number * 50 + at_, 480 + number * 60 + at_)
            rows.append([ward, *values])
            for column, value in enumerate(values, 2):
                expected[at(column, len(rows))] = (Decimal(value), *calendar(2021 + column))
    return [save(folder, "区別転入転出.xlsx", rows)], expected


def years_as_sections(folder: Path) -> Made:
    """A line for each year above the same wards, measures across."""
    rows: list[list[Any]] = [["区", "人口（人）", "世帯（世帯）"]]
    expected: Expected = {}
    for year in (2023, 2024):
        rows.append([f"令和{year - 2018}年"])
        for at_, ward in enumerate(WARDS):
            values = (year * 50 + at_, year * 20 + at_)
            rows.append([ward, *values])
            for column, value in enumerate(values, 2):
                expected[at(column, len(rows))] = (Decimal(value), *calendar(year))
    return [save(folder, "区別人口の推移.xlsx", rows)], expected


def eras_inherited(folder: Path) -> Made:
    """Only the first year of an era names it, downwards; － and （注） as yearbooks have them."""
    rows: list[list[Any]] = [
        ["第２表　人口動態の推移"],
        [None, None, None, "（単位：人）"],
        ["年　次", "出　生", "死　亡", "社会増減"],
    ]
    expected: Expected = {}
    for number, (text, year) in enumerate(
        (("平成30年", 2018), ("令和元年", 2019), ("２年", 2020), ("３年", 2021), ("４年", 2022))
    ):
        values = (7000 - number * 90, 6500 + number * 40, "▲ 120" if number % 2 else 35)
        rows.append([text, *values])
        for column, value in enumerate(values, 2):
            expected[at(column, len(rows))] = (Decimal(-120 if value == "▲ 120" else value), *calendar(year))
    rows.append(["（注）日本人のみ。"])
    return [save(folder, "人口動態.xlsx", rows)], expected


def eras_inherited_right(folder: Path) -> Made:
    """令和4年度 | 5年度 | 6年度, numbers typed in full width and with commas."""
    rows: list[list[Any]] = [
        ["区分", "令和4年度", "5年度", "6年度"],
        ["法人", "１，２３４", "1,250", 1301],
        ["個人", "９８７", "990", 1002],
    ]
    values = ((1234, 1250, 1301), (987, 990, 1002))
    expected = {
        at(column, row): (Decimal(value), *fiscal(2020 + column))
        for row, numbers in enumerate(values, 2)
        for column, value in enumerate(numbers, 2)
    }
    return [save(folder, "登録者数.xlsx", rows)], expected


def columns_numbered(folder: Path) -> Made:
    """A row of (1) (2) (3) under the headings, and one line for two units."""
    rows: list[list[Any]] = [
        ["市町村別の人口と面積（令和6年10月1日現在）"],
        [None, None, "（単位：人、km2）"],
        ["市町村", "人口", "面積"],
        ["(1)", "(2)", "(3)"],
        ["熊本市", 737_000, Decimal("390.32")],
        ["八代市", 118_000, Decimal("681.29")],
    ]
    expected = {
        at(column, row): (Decimal(rows[row - 1][column - 1]), date(2024, 10, 1), "時点")
        for row in (5, 6)
        for column in (2, 3)
    }
    return [save(folder, "人口と面積.xlsx", rows)], expected


def same_heading_twice(folder: Path) -> Made:
    """One heading merged over two columns that say different things; rank and 前年比 beside."""
    rows: list[list[Any]] = [
        ["年度", "来場者数", None, "順位"],
        ["R4年度", 1200, 300, 3],
        ["R5年度", 1350, 320, 2],
    ]
    expected = {
        at(column, row): (Decimal(rows[row - 1][column - 1]), *fiscal(2020 + row))
        for row in (2, 3)
        for column in (2, 3, 4)
    }
    return [save(folder, "来場者数.xlsx", rows, ("B1:C1",))], expected


def numbered_rows(folder: Path) -> Made:
    """No. | item | unit | years across: each row has its unit in a column."""
    rows: list[list[Any]] = [
        ["No.", "指標", "単位", "R4年度", "R5年度", "備考"],
        [1, "移住相談", "件", 120, 130, None],
        [2, "移住者", "人", 45, 52, "速報"],
        [3, "空家登録", "戸", 12, 15, None],
    ]
    expected = {
        at(column, row): (Decimal(rows[row - 1][column - 1]), *fiscal(2018 + column))
        for row in (2, 3, 4)
        for column in (4, 5)
    }
    return [save(folder, "指標一覧.xlsx", rows)], expected


def dates_across(folder: Path) -> Made:
    """Months as true dates in the headings."""
    rows: list[list[Any]] = [
        ["施設", date(2024, 4, 1), date(2024, 5, 1), date(2024, 6, 1)],
        ["図書館", 10, 12, 15],
        ["美術館", 5, 6, 8],
    ]
    expected = {
        at(column, row): (Decimal(rows[row - 1][column - 1]), date(2024, column + 2, 1), "時点")
        for row in (2, 3)
        for column in (2, 3, 4)
    }
    return [save(folder, "利用状況.xlsx", rows)], expected


LAYOUTS: dict[str, Layout] = {
    each.__name__: each
    for each in (
        years_right,
        stacked_years,
        two_row_headings,
        years_over_measures,
        months_down,
        months_right,
        wards_down,
        code_and_name,
        unit_in_caption,
        again_listed,
        two_tables,
        label_right,
        long_csv,
        wide_csv,
        old_workbook,
        open_document,
        two_labels,
        sheet_for_each_year,
        two_samples,
        sections,
        years_as_sections,
        eras_inherited,
        eras_inherited_right,
        columns_numbered,
        same_heading_twice,
        numbered_rows,
        dates_across,
    )
}
