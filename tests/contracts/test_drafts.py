"""A draft from samples: reads them as a careful clerk would, says what it guessed, and never leaves an invalid contract behind."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from kpi_warehouse.cli import app
from kpi_warehouse.contract import load_contract
from kpi_warehouse.drafting.make import make
from kpi_warehouse.drafting.open_points import open_points
from kpi_warehouse.drafting.place import FOLDER, check_name, put
from kpi_warehouse.drafting.sample import draft_from_samples, names_of
from kpi_warehouse.errors import KpiError
from kpi_warehouse.feed_samples import read_sample
from kpi_warehouse.readers.cell_uses import cell_uses
from kpi_warehouse.settings import PROJECT, settings
from tests.contracts.drafted_layouts import LAYOUTS, Expected, save

INBOX = PROJECT / "demo/inbox"
# Layouts whose draft a person has to finish, each with the cell that the draft shows as unread.
UNFINISHED: dict[str, str] = {}


def answered(text: str) -> str:
    """The draft as somebody leaves it who confirms every guess and changes nothing."""
    return text.replace("（要確認）", "確認済").replace("status: draft", "status: active")


def read_by(folder: Path, text: str, sample: Path) -> tuple[Expected, list[str]]:
    """What a contract reads of a file, and the places it cannot read."""
    path = folder / "my_feed.odcs.yaml"
    path.write_text(text, "utf-8")
    reading = read_sample(load_contract(path), sample)
    values = {row.source_cell: (row.value, row.period, row.period_kind) for row in reading.rows}
    return values, [fault.place for fault in reading.faults]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_loads_right_once_what_is_marked_was_confirmed(tmp_path: Path, name: str) -> None:
    samples, expected = LAYOUTS[name](tmp_path)
    draft = draft_from_samples("my_feed", "件数", "企画課", samples)
    values, unread = read_by(tmp_path, answered(draft.text), samples[0])
    assert values == expected
    assert unread == ([UNFINISHED[name]] if name in UNFINISHED else [])
    assert all(not each.reading.faults for each in draft.readings[1:])


def test_at_least_eight_of_ten_drafts_need_nothing_but_answers() -> None:
    assert len(LAYOUTS) >= 12
    assert len(LAYOUTS) - len(UNFINISHED) >= 0.8 * len(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_cell_is_taken_by_one_thing_or_shown_as_unread(tmp_path: Path, name: str) -> None:
    samples, expected = LAYOUTS[name](tmp_path)
    draft = draft_from_samples("my_feed", "件数", "企画課", samples)
    (first, *_), (understood, *_) = draft.samples, draft.readings
    sheets = cell_uses(first.book, understood)
    assert sum(sheet.count("value") for sheet in sheets) == len(expected)
    for sheet in sheets:
        filled = {
            (row, column)
            for row, cells in enumerate(sheet.sheet.rows)
            for column, cell in enumerate(cells)
            if cell.value is not None
        }
        assert set(sheet.uses) == filled
        if name not in UNFINISHED:
            assert sheet.count("unread") == 0


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_draft_declares_every_unit_or_asks_for_it(tmp_path: Path, name: str) -> None:
    samples, _ = LAYOUTS[name](tmp_path)
    draft = draft_from_samples("my_feed", "件数", "企画課", samples)
    bare = set(draft.sketch.measures) - set(draft.sketch.units)
    assert bare == set() or "単位が書かれていない" in draft.text


def test_units_totals_marks_and_footnotes_are_found(tmp_path: Path) -> None:
    samples, _ = LAYOUTS["years_right"](tmp_path)
    text = draft_from_samples("my_feed", "移住者数", "企画課", samples).text
    assert "is: unit" in text and "is: footnote" in text and "totals_hold" in text and "unit: 人" in text
    # A line of units is looked for before footnotes and titles.
    assert text.index("is: unit") < text.index("is: footnote")
    samples, _ = LAYOUTS["unit_in_caption"](tmp_path)
    sketch = draft_from_samples("my_feed", "件数", "企画課", samples).sketch
    assert set(sketch.units.values()) == {"件"} and sketch.marks["X"] == "秘匿"


def test_a_total_that_does_not_add_up_is_a_value_and_no_check(tmp_path: Path) -> None:
    rows = [["区分", "R4年度", "R5年度"], ["総数", 120, 130], ["男性", 70, 75], ["不詳", 1, 2]]
    draft = draft_from_samples("my_feed", "人数", "企画課", [save(tmp_path, "a.xlsx", rows)])
    assert "totals" not in draft.text and len(draft.readings[0].reading.rows) == 6


def test_a_second_sample_says_what_changes_from_year_to_year(tmp_path: Path) -> None:
    samples, _ = LAYOUTS["two_samples"](tmp_path)
    alone = draft_from_samples("my_feed", "取組", "企画課", samples[:1])
    both = draft_from_samples("my_feed", "取組", "企画課", samples)
    assert "見学会" not in alone.text and "見学会" in both.text
    assert names_of(samples) == ["*取組実績*.xlsx"]
    values, unread = read_by(tmp_path, answered(both.text), samples[1])
    assert unread == [] and values["統計表!B6"][0] == 7


def drafted(folder: Path, sample: Path) -> tuple[int, list[str]]:
    """Numbers read by the draft of a sample, and the cells that remain."""
    draft = draft_from_samples("my_feed", "見本", "企画課", [sample])
    values, unread = read_by(folder, draft.text, sample)
    del values
    return len(draft.readings[0].reading.rows), [place.rpartition("!")[2] for place in unread]


@pytest.mark.parametrize(
    ("name", "numbers", "remaining"),
    [
        ("UIJターン", 15, []),
        ("プロ人材", 2, []),
        ("伴走型", 3, []),
        ("インターンシップ", 9, []),
        ("県立高校半導体", 14, []),
        ("企業と学校との交流", 4, []),
        ("私立学校", 6, []),
        ("移住定住の状況", 57, []),
        # Two quantities in one cell are for a person to name.
        ("エキスポ", 4, ["C5"]),
        ("移住相談会", 3, ["D5"]),
        ("空家対策", 17, []),
    ],
)
def test_the_demo_files_are_read_by_their_drafts(
    tmp_path: Path, name: str, numbers: int, remaining: list[str]
) -> None:
    (sample,) = [file for file in INBOX.iterdir() if name in file.name]
    assert drafted(tmp_path, sample) == (numbers, remaining)


def test_a_form_that_is_hardly_filled_in_keeps_its_one_row_of_headings(tmp_path: Path) -> None:
    (sample,) = [file for file in INBOX.iterdir() if "進捗管理" in file.name]
    draft = draft_from_samples("my_feed", "見本", "企画課", [sample]).text
    for heading in ("KPI番号", "実績値", "時点", "値の種類"):
        assert f"- {heading}\n" in draft


def test_totals_of_the_sample_are_checked_by_the_draft_and_by_every_contract(tmp_path: Path) -> None:
    samples, _ = LAYOUTS["months_right"](tmp_path)
    path = tmp_path / "my_feed.odcs.yaml"
    draft = draft_from_samples("my_feed", "見本", "企画課", samples).text
    path.write_text(draft, "utf-8")
    assert [rule.name for rule in load_contract(path).rules] == ["totals_hold"]
    path.write_text(draft.replace("from {checks} as c", "from {batch} as c"), "utf-8")
    with pytest.raises(KpiError, match=r"layout の計を確かめる検査（\{checks\} を読むもの）"):
        load_contract(path)


def test_every_decision_of_a_person_is_marked_and_listed(tmp_path: Path) -> None:
    (sample,) = [file for file in INBOX.iterdir() if "UIJ" in file.name]
    path = tmp_path / "my_feed.odcs.yaml"
    path.write_text(draft_from_samples("my_feed", "見本", "企画課", [sample]).text, "utf-8")
    points = open_points(path)
    lines = path.read_text("utf-8").splitlines()
    assert len(points) >= 6
    assert {point.part_ja for point in points} >= {
        "目的",
        "利用条件（ライセンス）",
        "ファイル名の型",
        "表の読み方",
    }
    # A text that is folded over several lines is named by its first.
    assert sum("（要確認）" in line for line in lines) == len(points)
    path.write_text(path.read_text("utf-8").replace("status: draft", "status: active"), "utf-8")
    with pytest.raises(KpiError, match="下書きの印が残っています"):
        load_contract(path)


def test_the_preview_shows_every_cell_by_colour_and_letter_and_needs_nothing_else(tmp_path: Path) -> None:
    samples, expected = LAYOUTS["again_listed"](tmp_path)
    made = make(tmp_path, "my_feed", "外国人<住民>数", "国際課", samples)
    assert made.page is not None and made.page.parent == tmp_path / FOLDER
    page = made.page.read_text("utf-8")
    assert "<script" not in page and "http" not in page and "外国人&lt;住民&gt;数" in page
    cells = re.findall(r'<td class="(\w+)"[^>]*?(?: title="([^"]*)")?>(?:<i>(.)</i>)?([^<]*)</td>', page)
    shown = {hint.partition("　")[0]: (use, letter, text) for use, hint, letter, text in cells if hint}
    assert {place for place, (use, *_) in shown.items() if use == "value"} == set(expected)
    assert shown["統計表!A3"][:2] == ("total", "計") and shown["統計表!B3"][:2] == ("total", "計")
    assert shown["統計表!C1"] == ("unit", "単", "単位：人") and shown["統計表!B2"][0] == "period"
    hints = html.unescape(page)
    assert "600人" in hints and "暦年 2022-01-01〜2022-12-31" in hints
    assert made.unread == 0 and made.values == len(expected)


def test_what_the_draft_cannot_explain_stands_out_in_the_preview(tmp_path: Path) -> None:
    rows = [["区分", "R4年度", "R5年度"], ["男性", 70, "約七十"], ["女性", 65, 66]]
    made = make(tmp_path, "my_feed", "参加者", "国際課", [save(tmp_path, "a.xlsx", rows)])
    assert made.page is not None and made.unread == 1
    page = made.page.read_text("utf-8")
    assert re.search(r'class="unread"[^>]*title="統計表!C2', page) and "読めないセル" in page


def test_a_draft_that_does_not_check_stays_in_the_drafts_with_what_is_wrong(tmp_path: Path) -> None:
    samples, _ = LAYOUTS["years_right"](tmp_path)
    text = draft_from_samples("my_feed", "見本", "企画課", samples).text
    landed = put(tmp_path, "my_feed", text.replace("kind: DataContract", "kind: Nothing"))
    assert landed.path == tmp_path / FOLDER / "my_feed.odcs.yaml" and landed.wrong_ja
    assert not (tmp_path / "my_feed.odcs.yaml").exists()
    landed = put(tmp_path, "my_feed", text)
    assert (landed.path, landed.wrong_ja) == (tmp_path / "my_feed.odcs.yaml", None)
    assert list((tmp_path / FOLDER).glob("*.odcs.yaml")) == []
    # A contract that is there already is never written over.
    (tmp_path / "my_feed.odcs.yaml").write_text("mine", "utf-8")
    assert put(tmp_path, "my_feed", text).wrong_ja
    assert (tmp_path / "my_feed.odcs.yaml").read_text("utf-8") == "mine"


@pytest.mark.parametrize("name", ["", "My", "a-b", "../x", "日本", "1a", "a" * 60])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    assert check_name(name) is not None


def test_a_sheet_without_a_table_and_a_json_file_are_refused(tmp_path: Path) -> None:
    book = Workbook()
    book.worksheets[0]["A1"] = "お知らせ"
    book.save(tmp_path / "文.xlsx")
    with pytest.raises(KpiError, match="表が見つかりません"):
        draft_from_samples("my_feed", "見本", "企画課", [tmp_path / "文.xlsx"])
    (tmp_path / "a.json").write_text("{}", "utf-8")
    with pytest.raises(KpiError, match="JSON からは"):
        draft_from_samples("my_feed", "見本", "企画課", [tmp_path / "a.json"])


@pytest.fixture
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of contracts in force."""
    folder = tmp_path / "expectations"
    folder.mkdir()
    monkeypatch.setenv("KPI_CONTRACTS", str(folder))
    settings.cache_clear()
    return folder


def test_from_the_command_line_to_an_active_contract(contracts: Path, tmp_path: Path) -> None:
    (sample,) = [file for file in INBOX.iterdir() if "UIJ" in file.name]
    asked = ["feed", "new", "my_turn", "--title", "UIJターン", "--owner", "商工政策課"]
    shown = CliRunner().invoke(app, [*asked, "--sample", str(sample)])
    assert shown.exit_code == 0, shown.output
    assert "15 個の値を読みました" in shown.output and "行目　目的" in shown.output
    path = contracts / "my_turn.odcs.yaml"
    assert path.exists() and (contracts / FOLDER / "my_turn.html").exists()
    assert CliRunner().invoke(app, [*asked, "--sample", str(sample)]).exit_code == 2, "never written over"
    assert CliRunner().invoke(app, asked).exit_code == 2
    checked = CliRunner().invoke(app, ["feed", "check", str(path)])
    assert checked.exit_code == 0 and "確かめるところが" in checked.output, checked.output
    half = path.read_text("utf-8").replace("status: draft", "status: active")
    path.write_text(half, "utf-8")
    checked = CliRunner().invoke(app, ["feed", "check", str(path)])
    assert checked.exit_code == 1 and "下書きの印" in checked.output + (checked.stderr or "")
    path.write_text(half.replace("（要確認）", "確認済"), "utf-8")
    checked = CliRunner().invoke(app, ["feed", "check", str(path)])
    assert checked.exit_code == 0 and "確かめるところ" not in checked.output
    page = tmp_path / "下見.html"
    shown = CliRunner().invoke(app, ["feed", "preview", str(path), str(sample), "-o", str(page)])
    assert shown.exit_code == 0 and page.exists(), shown.output


def test_what_is_left_is_said_by_cell(contracts: Path) -> None:
    (sample,) = [file for file in INBOX.iterdir() if "エキスポ" in file.name]
    asked = ["feed", "new", "my_expo", "--title", "エキスポ", "--sample", str(sample)]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    assert (
        "4 個の値を読みました、まだ読めないセル 1 個" in shown.output and "残り 開催実績!C5" in shown.output
    )


def test_a_defect_of_the_draft_ends_in_words_with_a_record(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = LAYOUTS["years_right"](tmp_path)
    monkeypatch.setattr("kpi_warehouse.drafting.sample.amend", lambda *_: 1 / 0)
    shown = CliRunner().invoke(
        app, ["feed", "new", "my_feed", "--title", "見本", "--sample", str(samples[0])]
    )
    assert shown.exit_code == 1 and isinstance(shown.exception, SystemExit)
    assert "ZeroDivisionError" in (contracts / FOLDER / "my_feed.error.txt").read_text("utf-8")
    assert list(contracts.glob("*.odcs.yaml")) == []
