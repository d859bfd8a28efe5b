"""The files that divisions hand in, year after year: the demo's own files, with the next years' periods and figures.

Each function gives the file of one 年度 (R6 is `year` 6) as a division would hand it in, and what the marts must show of it:
(measure, first day of the period, last day) → value, for the breakdown named first.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from openpyxl import Workbook, load_workbook

from kpi_warehouse.settings import PROJECT
from tests.kpi_sheet import Answer, filled_in
from tests.trust.life_months import CODES, HOME, Months

INBOX = PROJECT / "demo" / "inbox"
WEEKDAYS = "月火水木金土日"
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
BLOCS = {
    "東京圏": ("11000", "12000", "13000", "14000"),
    "大阪圏": ("26000", "27000", "28000", "29000"),
    "福岡県": ("40000",),
}


@dataclass(frozen=True)
class Handed:
    """A file, by the name a division gives it, and the sum of a measure that the marts must show for a 年度 (by its end)."""

    feed: str
    name: str
    body: bytes
    # (measure, fiscal year) → sum over the breakdowns of the figures of the 年度.
    shows: Mapping[tuple[str, int], int]


def handed_in(year: int, months: Months) -> list[Handed]:
    """All files of the autumn of a 年度."""
    return [make(year, months) for make in MAKERS]


def _demo(part: str, folder: Path = INBOX) -> Workbook:
    (path,) = [path for path in folder.iterdir() if part in path.name]
    return load_workbook(path)


def _bytes(book: Workbook) -> bytes:
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _western(year: int) -> int:
    return 2018 + year


def _day(day: date, *, with_month: bool = True) -> str:
    said = f"{day.month}月{day.day}日" if with_month else f"{day.day}"
    return f"{said}（{WEEKDAYS[day.weekday()]}）"


def _briefing(year: int, months: Months) -> Handed:
    """The first one as the slides print it, with its lost digit: it is sent back, and its owner approves the repair."""
    if year == 6:
        (path,) = [path for path in INBOX.iterdir() if "移住定住の状況" in path.name]
        return Handed("migration_briefing", path.name, path.read_bytes(), {})
    book = _demo("訂正", INBOX / "corrected")
    page = book.worksheets[0]
    wide = str(year).translate(WIDE)
    for row in page.iter_rows():
        for cell in row:
            if isinstance(cell.value, str):
                cell.value = cell.value.replace("令和６年", f"令和{wide}年").replace("（R6）", f"（R{year}）")
    totals = {"out": 0, "in": 0}
    for direction, first in (("out", 7), ("in", 15)):
        for at, members in enumerate(BLOCS.values()):
            places = [CODES.index(code) for code in members]
            numbers = []
            for month in range(1, 10):
                flows = months.flows[f"{_western(year)}-{month:02}"]
                numbers.append(
                    int((flows[HOME, places] if direction == "out" else flows[places, HOME]).sum())
                )
            for column, number in enumerate([*numbers, sum(numbers)], start=2):
                page.cell(first + at, column).value = number
            totals[direction] += sum(numbers)
    for cell, label, direction in (("H4", "転出者計", "out"), ("H12", "転入者計", "in")):
        moved = sum(
            months.moves_of(f"{_western(year)}-{month:02}")["43000"][direction == "out"]
            for month in range(1, 10)
        )
        page[cell] = f"{label}　{moved:,}人"
    return Handed("migration_briefing", f"移住定住の状況（R{year}.9月末）.xlsx", _bytes(book), {})


def _vacant_houses(year: int, _: Months) -> Handed:
    """Five years across; the newest is planned and becomes actual in the next file."""
    book = _demo("空家")
    page = book.worksheets[0]
    known = {
        5: {2: "9人", 3: "19人", 4: "30人", 5: "42人"},
        6: {2: "1市", 3: "6市町村", 4: "6市町村", 5: "7市町村"},
        8: {2: "59人", 3: "74人", 4: "196人", 5: "173人"},
    }
    for column, shown in enumerate(range(year - 4, year + 1), start=3):
        mark = "（予定）" if shown == year else ""
        page.cell(4, column).value = f"R{shown}"
        page.cell(5, column).value = known[5].get(shown, f"{60 + 6 * (shown - 3)}人{mark}")
        page.cell(6, column).value = known[6].get(shown, f"{6 + shown}市町村{mark}")
        page.cell(7, column).value = f"{shown - 3}町{mark}" if shown >= 6 else None
        page.cell(8, column).value = known[8].get(shown, "※")
        page.cell(9, column).value = f"{shown - 3}件{mark}" if shown >= 6 else None
    return Handed(
        "vacant_house_support",
        f"空家対策総合支援事業の実績（R{year}）.xlsx",
        _bytes(book),
        {},
    )


def _uij(year: int, _: Months) -> Handed:
    """A column more each year; the open one is partial and becomes whole in the next file."""
    known = {
        "decided": {2: 72, 3: 98, 4: 117, 5: 158},
        "supported": {2: 35, 3: 40, 4: 57, 5: 44},
        "outside": {2: 7, 3: 6, 4: 17, 5: 11},
    }

    def number(what: str, at: int) -> int:
        whole = known[what].get(at, {"decided": 150, "supported": 60, "outside": 14}[what] + 3 * (at - 5))
        return whole if at < year else whole // 3

    years = range(2, year + 1)
    heads = [f"Ｒ{str(at).translate(WIDE)}年度" + ("（10月末現在）" if at == year else "") for at in years]
    lines = [
        ["UIJターン就職支援・奨学金返還等支援　取組実績", *[""] * (len(heads) + 2)],
        ["番号", "区分", *heads, "備考"],
        *(
            [sign, label, *(f"{number(what, at)}名" for at in years), note]
            for sign, label, what, note in (
                ("①", "UIJターン就職支援　就職決定者数", "decided", ""),
                (
                    "②",
                    "奨学金返還等支援　支援対象者数",
                    "supported",
                    "県内企業等に就職し、1年間勤務を継続した者",
                ),
                ("③", "（うち県外からの支援対象者）", "outside", "②の内数"),
            )
        ),
        ["※ 支援財源は、県と参加企業が1/2ずつ負担", *[""] * (len(heads) + 2)],
    ]
    body = "".join(",".join(line) + "\r\n" for line in lines).encode("cp932")
    name = f"UIJターン・奨学金返還等支援実績（R{year}.10月末）.csv"
    return Handed(
        "uij_turn",
        name,
        body,
        {("placed_persons", _western(at)): number("decided", at) for at in years if at < year},
    )


def _matching(year: int, _: Months) -> Handed:
    period = f"Ｒ３.11～Ｒ{str(year).translate(WIDE)}.10月末"
    more = year - 6
    rows = [
        ("期間", "区分", "成約件数"),
        (period, "マッチング成約件数（累計）", f"{235 + 71 * more}件".translate(WIDE)),
        (period, "うち半導体関連企業", f"{56 + 17 * more}件".translate(WIDE)),
    ]
    body = "".join(",".join(row) + "\r\n" for row in rows).encode("utf-8-sig")
    return Handed("professional_matching", f"プロ人材マッチング成約件数（R{year}）.csv", body, {})


def _support(year: int, _: Months) -> Handed:
    more = year - 6
    rows = [
        ("年度", "支援企業数", "採用決定者数", "状況"),
        (f"R{year - 1}年度", f"{40 + more}社", f"{22 + 2 * more}人", "実績"),
        (f"R{year}年度", f"{41 + more if more else 40}社", "", "支援中"),
    ]
    body = "".join("\t".join(row) + "\r\n" for row in rows).encode()
    return Handed("company_support", f"伴走型支援の実績（R{year}）.csv", body, {})


def _contacts(year: int, _: Months) -> Handed:
    book = _demo("学校との交流")
    page, more = book.worksheets[0], year - 6
    for row in (4, 5):
        page.cell(row, 2).value = f"R{year}年度"
    for cell, value in (
        ("D4", 75 + 2 * more),
        ("E4", 36 + more),
        ("F4", f"約{200 + 10 * more}名"),
        ("E5", 4 + more),
    ):
        page[cell] = value
    name = f"半導体関連企業と学校との交流の実績（R{year}）.xlsx"
    return Handed("company_contacts", name, _bytes(book), {})


def _schools(year: int, _: Months) -> Handed:
    book = _demo("私立学校")
    page = book.worksheets[0]
    numbers = {3: 12, 4: 11, 5: 10}
    for column, shown in enumerate(range(year - 1, year - 4, -1), start=2):
        page.cell(3, column).value = f"R{shown}年度"
        page.cell(4, column).value = f"{numbers.get(shown, 5 + shown)}校"
    return Handed("private_school_subsidy", f"私立学校経常費補助の実績（R{year}）.xlsx", _bytes(book), {})


def _expo(year: int, _: Months) -> Handed:
    """Held in February of the 年度 before."""
    book = _demo("エキスポ")
    page, more = book.worksheets[0], year - 6
    first = date(_western(year), 2, 26)
    page["B5"] = f"令和{year}年{_day(first)}～{_day(date(first.year, 2, 27), with_month=False)}".replace(
        "27（", "27日（"
    )
    for cell, value in (
        ("C5", f"{298 + 5 * more}社・団体（{321 + 7 * more}ブース）"),
        ("D5", f"{10_180 + 130 * more:,}人"),
        ("E5", f"{2_319 + 40 * more:,}人"),
        ("G5", f"{16 + more}校"),
    ):
        page[cell] = value
    return Handed("expo", f"くまもと産業復興エキスポ（R{year}）.xlsx", _bytes(book), {})


def _events(year: int, _: Months) -> Handed:
    book = _demo("移住相談会")
    page, more, west = book.worksheets[0], year - 6, _western(year)
    fes, summit = date(west, 10, 12), date(west, 12, 21)
    page["G2"] = f"令和{str(year).translate(WIDE)}年度"
    page["A5"] = f"くまもと移住FES {west} in東京"
    page["A10"] = f"ヒゴロッカサミット{west}"
    page["B5"] = _day(fes)
    page["C5"], page["D5"], page["E5"] = (
        f"{24 + more}市町村",
        f"{264 + 9 * more}組{427 + 14 * more}名",
        "約1.1倍",
    )
    page["G5"] = None
    page["B6"] = f"R{year}年度"
    page["B7"] = (
        f"R{year}.10.2（{WEEKDAYS[date(west, 10, 2).weekday()]}）～22（{WEEKDAYS[date(west, 10, 22).weekday()]}）"
    )
    page["B8"] = (
        f"R{year}.11.1（{WEEKDAYS[date(west, 11, 1).weekday()]}）～30（{WEEKDAYS[date(west, 11, 30).weekday()]}）"
    )
    page["B9"] = f"R{year + 1}.1月予定"
    page["B10"] = f"R{year}.12.21（{WEEKDAYS[summit.weekday()]}）予定"
    return Handed("relocation_events", f"移住相談会等の実施状況（R{year}）.xlsx", _bytes(book), {})


def _training(year: int, _: Months) -> Handed:
    """No year is said: the next file replaces the figures of the one before."""
    book = _demo("半導体関連人材育成")
    page, more = book.worksheets[0], year - 6
    numbers = {"D6": 2387 + 31 * more, "D7": 2088 + 23 * more, "D8": 250 + 5 * more, "D9": 45 + more}
    for cell, value in numbers.items():
        page[cell] = value
    page["D10"] = sum(numbers.values())
    return Handed(
        "semiconductor_training", f"県立高校半導体関連人材育成事業（R{year}）.xlsx", _bytes(book), {}
    )


def _internships(year: int, _: Months) -> Handed:
    book = _demo("インターンシップ")
    page, more = book.worksheets[0], year - 6
    page["C8"], page["D8"] = 7203 + 12 * more, 7893 + 20 * more
    # A workbook that a program writes holds no results of formulas.
    page["E8"] = round(100 * (7203 + 12 * more) / (7893 + 20 * more), 1)
    page["G8"] = f"延べ{2155 + 40 * more:,}社"
    return Handed("internship_rate", f"インターンシップ実施率（R{year}）.xlsx", _bytes(book), {})


def _kpi_sheet(year: int, _: Months) -> Handed:
    """The year that ended in March; cumulative KPIs by the end of each."""
    closed = year - 1
    more = closed - 6
    if closed < 6:
        answers = {"D08": Answer(235, "R3.11～R6.10月末", "累計", "産業支援課の集計による")}
    else:
        end = f"R{closed + 1}.3"
        answers = {
            "K01": Answer(51.2 + more, f"R{closed}年度"),
            "K04": Answer(2110 + 2081 * more, f"R6.4～{end}", "累計"),
            "K05": Answer(742 + 41 * more, f"R{closed}年度"),
            "K06": Answer(571 + 13 * more, f"R{closed}年度"),
            "K07": Answer(2744 + 57 * more, f"R{closed}年度"),
            "K09": Answer(8 + 3 * more, f"{end}月末", note="延長"),
            "D08": Answer(262 + 69 * more, f"R3.11～{end}月末", "累計"),
        }
    body = filled_in(answers, as_of=date(_western(year), 10, 31))
    return Handed("kpi_progress", f"進捗管理シート（R{year}.10月末）.xlsx", body, {})


def _subscribers(year: int, _: Months) -> Handed:
    """What the sending service answers, as a file."""
    more = year - 6
    records = [
        {
            "期間": f"R{year}.10月末",
            "項目": "登録者数",
            "値": 2684 + 210 * more,
            "単位": "名",
            "状況": "実績",
        },
        {"期間": f"R{year}年度", "項目": "配信回数", "値": 2, "単位": "回/月", "状況": "予定"},
        {"期間": f"R{year}年度", "項目": "ショート動画", "値": 28 + more, "単位": "本", "状況": "予定"},
    ]
    body = json.dumps({"title": "県内高校卒業生LINE", "records": records}, ensure_ascii=False).encode()
    return Handed("line_subscribers", f"line_subscribers_R{year}.json", body, {})


MAKERS: tuple[Callable[[int, Months], Handed], ...] = (
    _briefing,
    _vacant_houses,
    _uij,
    _matching,
    _support,
    _contacts,
    _schools,
    _expo,
    _events,
    _training,
    _internships,
    _subscribers,
    _kpi_sheet,
)
