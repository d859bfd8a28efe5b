"""A slip is the division's own file with the faults marked, nothing else changed, and nothing in it runs."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.styles import PatternFill
from slip_packages import (
    as_excel_writes,
    assert_sound,
    cells,
    delivery,
    opened,
    saved,
    with_macros,
)

from kpi_warehouse.gate.return_slip import SlipCell, SlipSummary, return_slip
from kpi_warehouse.readers.grid import Book, Cell, Sheet

# Looking at a slip again goes the way that turns numbers into dates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Cell A8 is marked as a date", "ignore:Workbook contains no default style"
)
SUMMARY = SlipSummary(
    "migration_briefing",
    "移住定住の状況",
    datetime(2026, 6, 1, 5, 3, tzinfo=UTC),
    inbox_ja="共有フォルダーの「受け口」",
    contact_ja="企画課 統計担当",
)
PROPOSAL = "転入／大阪圏／5月（移住!F5）：16 → 165。最後の 5 が落ちた打ち間違いと考えられます。根拠：計 1,831 と一致。"
SIXTEEN = SlipCell("移住!F5", "転入／大阪圏／5月", "16", "計 1,831 と合う値（いまの和は 1,682）", PROPOSAL)
RED = "FFFF7C80"
NAME = "移住定住の状況_R6.xlsx"


def test_what_excel_itself_writes_is_kept_with_all_15_digits_that_it_shows() -> None:
    delivered = as_excel_writes()
    before = cells(delivered)
    _, body = return_slip(delivered, NAME, [SlipCell("移住!A2", "x", "0.1", "1")], SUMMARY)
    assert_sound(body)
    after = cells(body)
    assert [text for kind, text, _ in after.values() if kind == "s"] == ["大阪圏", "単位 人", "=SUM(A1)"]
    formulas = {key[1]: formula for key, (_, _, formula) in after.items() if formula}
    assert formulas == {"A3": "A2*2", "B3": "B2*2", "C3": 'IF(A2<1,"A&B","")', "D3": "1/0", "E3": "A2"}
    results = {key[1]: (kind, value) for key, (kind, value, formula) in after.items() if formula and value}
    assert results == {"A3": ("n", "0.2"), "B3": ("n", "2"), "C3": ("str", "A&B"), "D3": ("e", "#DIV/0!")}
    numbers = {key: text for key, (kind, text, formula) in before.items() if kind in "nb" and formula is None}
    assert {key[1]: f"{float(after[key][1] or 'nan'):.15g}" for key in numbers} == {
        "A2": "0.1", "B2": "1", "C2": "20240501", "D2": "45000.123456789", "E2": "-3", "F2": "1"
    }  # fmt: skip


def slip_texts(sheet: Any) -> list[str]:
    return [str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value is not None]


def test_the_cell_is_red_with_a_readable_comment_and_the_rest_is_as_it_was() -> None:
    before = saved(delivery())
    name, body = return_slip(before, NAME, [SIXTEEN], SUMMARY)
    assert name == "移住定住の状況_R6_差し戻し.xlsx"
    assert_sound(body)
    assert cells(body) == cells(before)
    sheet = opened(body)["移住"]
    cell = sheet["F5"]
    assert (cell.value, cell.number_format, cell.font.name) == (16, "#,##0", "ＭＳ 明朝")
    assert cell.fill.fill_type == "solid" and cell.fill.start_color.rgb == RED
    assert [c.coordinate for row in sheet.iter_rows() for c in row if c.fill.start_color.rgb == RED] == ["F5"]
    assert cell.comment.text.startswith(
        "【差し戻し】転入／大阪圏／5月\n見つかったもの：16\nあるべき内容：計 1,831"
    )
    assert PROPOSAL in cell.comment.text
    assert sheet["K5"].comment.text == "課長確認済" and sheet["K5"].comment.author == "佐藤"
    assert sheet.data_validations.dataValidation[0].formula1 == '"予定,実績"'
    assert {str(area) for area in sheet.merged_cells.ranges} == {"A1:K1"}


def test_comment_boxes_grow_with_their_text() -> None:
    _, body = return_slip(saved(delivery()), NAME, [SIXTEEN], SUMMARY)
    with zipfile.ZipFile(io.BytesIO(body)) as parts:
        shapes = b"".join(parts.read(n) for n in parts.namelist() if n.endswith(".vml")).decode()
    sizes = re.findall(r"width:(\d+)px;height:(\d+)px", shapes)
    lines = sum(-(-len(part) // 22) for part in opened(body)["移住"]["F5"].comment.text.split("\n"))
    assert any(int(width) == 340 and int(height) >= 18 * lines for width, height in sizes)


def test_the_first_sheet_says_what_why_and_what_to_do() -> None:
    before = saved(delivery())
    _, body = return_slip(
        before, NAME, [SIXTEEN, SlipCell("移住", "表", "", "列「10月」があること")], SUMMARY
    )
    book = opened(body)
    assert book.sheetnames == ["差し戻し票", "移住", "R5'年度", "控え"]
    assert book.active.title == "差し戻し票"
    assert [sheet.sheet_view.tabSelected for sheet in book] == [True, False, False, False]
    sheet = book["差し戻し票"]
    said = "\n".join(slip_texts(sheet))
    for part in (
        "移住定住の状況（migration_briefing）", NAME, "2026年6月1日 14:03", "直していただきたいところ：2 か所",
        "１．", "２．", "３．", "共有フォルダーの「受け口」", "企画課 統計担当", PROPOSAL,
    ):  # fmt: skip
        assert part in said
    assert re.search(r"SHA-256）：[0-9a-f]{12}\b", said)
    links = {
        cell.value: cell.hyperlink.location for row in sheet.iter_rows() for cell in row if cell.hyperlink
    }
    assert links == {"移住!F5": "'移住'!F5"}
    setup = sheet.page_setup
    assert (setup.orientation, setup.paperSize, setup.fitToHeight) == ("landscape", 9, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    heading = next(cell.row for row in sheet.iter_rows() for cell in row if cell.value == "番号")
    assert sheet.freeze_panes == f"A{heading + 1}" and sheet.print_title_rows == f"${heading}:${heading}"


def test_a_comment_that_is_there_is_kept_and_a_cell_with_two_faults_says_both() -> None:
    faults = [
        SlipCell("移住!K5", "大阪圏／計", "1831", "和と一致"),
        SlipCell("移住!$K$5", "大阪圏／計", "1831", "単位は人"),
        SlipCell("R5'年度!B2", "件数", "7", "8"),
    ]
    _, body = return_slip(saved(delivery()), NAME, faults, SUMMARY)
    book = opened(body)
    text = book["移住"]["K5"].comment.text
    assert (
        text.startswith("課長確認済\n\n【差し戻し】大阪圏／計") and "和と一致" in text and "単位は人" in text
    )
    location = [c.hyperlink.location for row in book["差し戻し票"].iter_rows() for c in row if c.hyperlink]
    assert location == ["'移住'!K5", "'移住'!K5", "'R5''年度'!B2"]


def test_a_cell_inside_a_merged_area_is_marked_at_its_top_left() -> None:
    _, body = return_slip(saved(delivery()), NAME, [SlipCell("移住!D1", "題", "", "題")], SUMMARY)
    assert opened(body)["移住"]["A1"].fill.start_color.rgb == RED


def test_a_slip_that_comes_back_corrected_in_part_shows_only_what_is_left() -> None:
    left = SlipCell("移住!K5", "大阪圏／計", "1831", "和と一致")
    _, first = return_slip(saved(delivery()), NAME, [SIXTEEN, left], SUMMARY)
    book = opened(first)
    book["移住"]["F5"] = 165
    _, second = return_slip(saved(book), NAME, [left], SUMMARY)
    book = opened(second)
    assert book.sheetnames == ["差し戻し票", "移住", "R5'年度", "控え"]
    sheet = book["移住"]
    assert sheet["F5"].comment is None and sheet["F5"].fill.fill_type is None and sheet["F5"].value == 165
    assert sheet["K5"].comment.text.count("【差し戻し】") == 1 and sheet["K5"].comment.text.startswith(
        "課長確認済"
    )


def test_a_sheet_of_the_division_with_our_title_stays() -> None:
    book = delivery()
    book.create_sheet("差し戻し票")["A1"] = "課の控え"
    _, body = return_slip(saved(book), NAME, [SIXTEEN], SUMMARY)
    assert (
        opened(body).sheetnames[0] == "差し戻し票 (2)"
        and opened(body)["差し戻し票"]["A1"].value == "課の控え"
    )


def test_macros_stay_in_a_workbook_that_has_them() -> None:
    before = with_macros(saved(delivery()))
    name, body = return_slip(before, "移住.xlsm", [SIXTEEN], SUMMARY)
    assert name == "移住_差し戻し.xlsm"
    assert_sound(body)
    assert cells(body) == cells(before)
    with zipfile.ZipFile(io.BytesIO(body)) as parts:
        assert parts.read("xl/vbaProject.bin") == b"\xd0\xcf\x11\xe0 macros"
        assert b"macroEnabled" in parts.read("[Content_Types].xml")
    assert opened(body)["移住"]["K5"].comment.text == "課長確認済"


@pytest.mark.parametrize(
    "place", ["移住", "移住!A9999999", "移住!XFE1", "無い!A1", "", "!", "移住!A1:B2", "=cmd!A1"]
)
def test_a_place_that_is_no_cell_is_listed_without_a_link(place: str) -> None:
    _, body = return_slip(saved(delivery()), NAME, [SlipCell(place, "x", "y", "z")], SUMMARY)
    sheet = opened(body)["差し戻し票"]
    assert not [cell for row in sheet.iter_rows() for cell in row if cell.hyperlink]


HOSTILE = [
    '=HYPERLINK("http://x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1+1",
    "  =1",
    "#N/A",
    "\x00\x1b\ud800=1",
]


@pytest.mark.parametrize("name", [NAME, "a.csv"])
def test_nothing_quoted_from_a_file_becomes_a_formula(name: str) -> None:
    faults = [SlipCell(text, text, text, text, text) for text in HOSTILE]
    faults += [SlipCell(f"移住!A{at}", text, text, text, text) for at, text in enumerate(HOSTILE, start=20)]
    rows = [[Cell(text, f"行{at}:1", text)] for at, text in enumerate(HOSTILE, start=1)]
    book = Book([Sheet("a", rows)], "csv")
    faults += [SlipCell(f"行{at}:1", "x", "y", "z") for at in range(1, len(rows) + 1)]
    _, body = return_slip(saved(delivery()), name, faults, SUMMARY, book=book)
    assert_sound(body)
    slip = opened(body)
    for title in {"差し戻し票", "該当行"} & set(slip.sheetnames):
        for cell in (cell for row in slip[title].iter_rows() for cell in row):
            assert cell.data_type in ("s", "n"), (cell.coordinate, cell.value)
            if isinstance(cell.value, str) and cell.value[:1] in "=+-@\t\r＝":
                assert cell.quotePrefix or not cell.value


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.builds(SlipCell, *[st.text(max_size=40)] * 4, st.none() | st.text(max_size=40)), max_size=4),
    st.text(max_size=30),
)
def test_any_text_makes_a_slip_that_opens(faults: list[SlipCell], name: str) -> None:
    for suffix in (".xlsx", ".csv"):
        out, body = return_slip(saved(delivery()), name + suffix, faults, SUMMARY)
        assert "/" not in out and "\\" not in out and out.isprintable()
        for cell in (cell for row in opened(body)["差し戻し票"].iter_rows() for cell in row):
            assert cell.data_type in ("s", "n")


def test_delimited_text_comes_back_as_a_list_with_its_rows() -> None:
    rows = [[Cell(text, f"行{line}:{at}", text) for at, text in enumerate(texts, start=1)]
            for line, texts in ((1, ("区分", "R6")), (2, ("就職\n者", "12")), (4, ("返還者", "１２名？")), (5, ("計", "30")))]  # fmt: skip
    fault = SlipCell("行4:2", "返還者／R6", "１２名？", "数字と単位（人）")
    name, body = return_slip(
        b"...", "uij.csv", [fault], SUMMARY, book=Book([Sheet("uij", rows)], "csv", "cp932")
    )
    assert name == "uij_差し戻し.xlsx"
    assert_sound(body)
    book = opened(body)
    assert book.sheetnames == ["差し戻し票", "該当行"]
    texts = slip_texts(book["差し戻し票"])
    start = texts.index("番号")
    assert texts[start:] == [
        *("番号", "行番号", "列", "何の数字", "見つかったもの", "あるべき内容"),
        *("1", "4", "2", "返還者／R6", "１２名？", "数字と単位（人）"),
    ]
    page = book["該当行"]
    assert [[cell.value for cell in row] for row in page.iter_rows()] == [
        ["行番号", "1 列目", "2 列目"],
        ["1", "区分", "R6"],
        ["2", "就職\n者", "12"],
        ["4", "返還者", "１２名？"],
    ]
    assert page["C4"].fill.start_color.rgb == RED and "数字と単位" in page["C4"].comment.text
    assert page["C2"].fill.start_color.rgb != RED and page["C2"].comment is None
    assert (page.page_setup.orientation, page.page_setup.fitToWidth) == ("landscape", 1)


def test_a_proposal_has_its_column_and_none_has_none() -> None:
    plain = SlipCell("移住!B4", "転出／東京圏／1月", "七", "数")
    for faults, shown in (([plain], False), ([plain, SIXTEEN], True)):
        for name in (NAME, "a.csv"):
            _, body = return_slip(saved(delivery()), name, faults, SUMMARY)
            texts = slip_texts(opened(body)["差し戻し票"])
            assert ("提案" in texts) is shown
            assert any(text.startswith("３．提案は打ち間違いの候補です") for text in texts) is shown


@pytest.mark.parametrize(
    ("name", "place", "shown"),
    [
        ("a.json", "/records/2/name", ["3 件目", "name"]),
        ("a.xls", "移住!C5", ["移住 5 行", "C"]),
        ("a.csv", "表", ["表"]),
    ],
)
def test_places_of_other_forms_are_said_in_words(name: str, place: str, shown: list[str]) -> None:
    _, body = return_slip(b"...", name, [SlipCell(place, "x", "y", "z")], SUMMARY)
    texts = slip_texts(opened(body)["差し戻し票"])
    assert texts[texts.index("あるべき内容") + 2 :][: len(shown)] == shown


def test_records_of_json_are_found() -> None:
    rows = [[Cell("name", "/records", "name")], *([Cell(n, f"/records/{n}/name", str(n))] for n in range(3))]
    _, body = return_slip(
        b"[]",
        "a.json",
        [SlipCell("/records/1/name", "x", "1", "z")],
        SUMMARY,
        book=Book([Sheet("a", rows)], "json"),
    )
    assert [[cell.value for cell in row] for row in opened(body)["該当行"].iter_rows()] == [
        ["行番号", "name"],
        ["2 件目", "1"],
    ]


def test_a_workbook_that_cannot_be_opened_comes_back_as_a_list_that_says_so() -> None:
    name, body = return_slip(b"PK broken", NAME, [SIXTEEN], SUMMARY)
    assert name == "移住定住の状況_R6_差し戻し.xlsx"
    texts = slip_texts(opened(body)["差し戻し票"])
    assert any("元のファイルには印を付けられなかった" in text for text in texts) and "移住 5 行" in texts


def test_what_the_copy_lacks_is_said() -> None:
    out = io.BytesIO(saved(delivery()))
    with zipfile.ZipFile(out, "a") as parts:
        parts.writestr("xl/drawings/drawing1.xml", b"<x/>")
    _, body = return_slip(out.getvalue(), NAME, [SIXTEEN], SUMMARY)
    assert any(
        "図形・画像は、この差し戻し用の写しには残らない" in text
        for text in slip_texts(opened(body)["差し戻し票"])
    )


def test_a_file_full_of_faults_gets_a_slip_of_bounded_length() -> None:
    faults = [SlipCell(f"移住!B{row}", "x", "y", "z") for row in range(1, 3001)]
    _, body = return_slip(saved(delivery()), NAME, faults, SUMMARY)
    book = opened(body)
    assert book["差し戻し票"].max_row < 2020
    assert any("3,000 か所（下の表は最初の 2,000 か所）" in text for text in slip_texts(book["差し戻し票"]))
    assert book["移住"]["B3000"].fill.start_color.rgb == RED and book["移住"]["B3000"].comment is None


def test_a_name_with_a_path_gives_a_name_without() -> None:
    name, _ = return_slip(b"", "../../etc/\u202epasswd.csv", [], SUMMARY)
    assert name == "passwd_差し戻し.xlsx"


def test_colours_of_the_division_stay() -> None:
    book = delivery()
    book["移住"]["B4"].fill = PatternFill("solid", start_color="FFFF0000")
    _, body = return_slip(saved(book), NAME, [SIXTEEN], SUMMARY)
    assert opened(body)["移住"]["B4"].fill.start_color.rgb == "FFFF0000"
