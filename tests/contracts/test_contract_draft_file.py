"""A draft from a sample: valid at once, reads the sample, and says which cells it does not account for."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from kpi_warehouse.cli import app
from kpi_warehouse.contract import load_contract
from kpi_warehouse.contract_draft_file import draft_from_sample
from kpi_warehouse.errors import KpiError
from kpi_warehouse.feed_samples import read_sample
from kpi_warehouse.settings import PROJECT, settings

INBOX = PROJECT / "demo/inbox"


def drafted(folder: Path, sample: Path) -> tuple[int, list[str]]:
    """Numbers read by the draft of a sample, and the cells that remain."""
    path = folder / "my_feed.odcs.yaml"
    path.write_text(draft_from_sample("my_feed", "見本", "企画課", sample), "utf-8")
    reading = read_sample(load_contract(path), sample)
    return len(reading.rows), [fault.place.rpartition("!")[2] for fault in reading.faults]


@pytest.mark.parametrize(
    ("name", "numbers", "remaining"),
    [
        ("UIJターン", 15, []),
        ("プロ人材", 2, []),
        ("伴走型", 3, []),
        ("インターンシップ", 9, []),
        ("県立高校半導体", 14, []),
        ("企業と学校との交流", 4, []),
        # Two quantities in one cell, a day without its year, a mark with a footnote: what a person must say.
        ("エキスポ", 4, ["C5"]),
        ("移住相談会", 1, ["B5"]),
        # 1市 beside 6市町村 is another unit until somebody says that it is the same.
        ("空家対策", 15, ["C6", "G8"]),
        # A second table under the first is not passed over in silence.
        ("私立学校", 3, ["A7", "B7", "A8", "B8", "A9", "B9", "A10", "B10"]),
    ],
)
def test_the_demo_files_are_read_by_their_drafts(
    tmp_path: Path, name: str, numbers: int, remaining: list[str]
) -> None:
    (sample,) = [file for file in INBOX.iterdir() if name in file.name]
    assert drafted(tmp_path, sample) == (numbers, remaining)


def test_a_form_that_is_hardly_filled_in_keeps_its_one_row_of_headings(tmp_path: Path) -> None:
    (sample,) = [file for file in INBOX.iterdir() if "進捗管理" in file.name]
    draft = draft_from_sample("my_feed", "見本", "企画課", sample)
    for heading in ("KPI番号", "実績値", "時点", "値の種類"):
        assert f"- {heading}\n" in draft


def regions(folder: Path) -> Path:
    """Months across under a year, two columns of labels of which the first is merged, and a column of totals."""
    book = Workbook()
    sheet = book.worksheets[0]
    for row in (
        ["地域", "研修名", "令和６年度", None, "計"],
        [None, None, "4月", "5月", None],
        ["県北", "ドローン", 12, 15, 27],
        [None, "水管理", 5, "－", 5],
        ["県南", "ドローン", 21, 18, 39],
    ):
        sheet.append(row)
    for area in ("A1:A2", "B1:B2", "C1:D1", "E1:E2", "A3:A4"):
        sheet.merge_cells(area)
    book.save(folder / "研修.xlsx")
    return folder / "研修.xlsx"


def test_rows_that_only_two_columns_tell_apart_have_both(tmp_path: Path) -> None:
    assert drafted(tmp_path, regions(tmp_path)) == (6, [])
    contract = load_contract(tmp_path / "my_feed.odcs.yaml")
    assert next(c.codes for c in contract.columns if c.name == "period_kind") == {"月": "月"}


def test_totals_of_the_sample_are_checked_by_the_draft_and_by_every_contract(tmp_path: Path) -> None:
    path = tmp_path / "my_feed.odcs.yaml"
    draft = draft_from_sample("my_feed", "見本", "企画課", regions(tmp_path))
    path.write_text(draft, "utf-8")
    assert [rule.name for rule in load_contract(path).rules] == ["totals_hold"]
    path.write_text(draft.replace("from {checks} as c", "from {batch} as c"), "utf-8")
    with pytest.raises(KpiError, match=r"layout の計を確かめる検査（\{checks\} を読むもの）"):
        load_contract(path)


def test_every_decision_of_a_person_is_marked(tmp_path: Path) -> None:
    (sample,) = [file for file in INBOX.iterdir() if "UIJ" in file.name]
    path = tmp_path / "my_feed.odcs.yaml"
    path.write_text(draft_from_sample("my_feed", "見本", "企画課", sample), "utf-8")
    assert path.read_text("utf-8").count("（要確認）") >= 6
    path.write_text(path.read_text("utf-8").replace("status: draft", "status: active"), "utf-8")
    with pytest.raises(KpiError, match="下書きの印が残っています"):
        load_contract(path)


def test_a_sheet_without_a_table_and_a_json_file_are_refused(tmp_path: Path) -> None:
    book = Workbook()
    book.worksheets[0]["A1"] = "お知らせ"
    book.save(tmp_path / "文.xlsx")
    with pytest.raises(KpiError, match="表が見つかりません"):
        draft_from_sample("my_feed", "見本", "企画課", tmp_path / "文.xlsx")
    (tmp_path / "a.json").write_text("{}", "utf-8")
    with pytest.raises(KpiError, match="JSON からは"):
        draft_from_sample("my_feed", "見本", "企画課", tmp_path / "a.json")


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_CONTRACTS", str(tmp_path))
    settings.cache_clear()
    (sample,) = [file for file in INBOX.iterdir() if "エキスポ" in file.name]
    asked = ["feed", "new", "my_expo", "--title", "エキスポ", "--owner", "商工政策課"]
    shown = CliRunner().invoke(app, [*asked, "--sample", str(sample)])
    assert shown.exit_code == 0, shown.output
    assert "4 個の値を読みました" in shown.output and "残り 開催実績!C5" in shown.output
    assert CliRunner().invoke(app, [*asked, "--sample", str(sample)]).exit_code == 2, "never written over"
    assert CliRunner().invoke(app, asked).exit_code == 2
    settings.cache_clear()
