"""The demo files are what the figures make, each in the form it is there for, and each has its contract."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from demo.inbox_files.__main__ import FILES, INBOX, stale, unknown
from demo.inbox_files.figures import figure
from demo.inbox_files.stable import same_content
from kpi_warehouse.contract import FileSource, contracts
from kpi_warehouse.gate.rules import NAMED
from kpi_warehouse.kpi_catalogue import kpi_catalogue
from kpi_warehouse.settings import PROJECT, settings

ROOT = Path(__file__).parents[2]
# Inconsistencies of the slides (I) and the claims that hold (C): what a rule may name as its lesson.
LESSONS = {f"I{number:02}" for number in range(1, 36)} | {f"C{number:02}" for number in range(1, 50)}


def custom(element: dict[str, Any]) -> dict[str, Any]:
    return {entry["property"]: entry["value"] for entry in element.get("customProperties") or []}


FEEDS = {feed.feed: feed for feed in contracts(settings().contracts) if isinstance(feed.source, FileSource)}
CONTRACTS = {
    feed: yaml.safe_load(contract.path.read_text(encoding="utf-8")) for feed, contract in FEEDS.items()
}


def test_there_are_twelve() -> None:
    assert sorted(CONTRACTS) == [
        "company_contacts",
        "company_support",
        "expo",
        "internship_rate",
        "kpi_progress",
        "line_subscribers",
        "migration_briefing",
        "private_school_subsidy",
        "professional_matching",
        "relocation_events",
        "semiconductor_training",
        "uij_turn",
        "vacant_house_support",
    ]


def test_the_files_are_what_the_figures_make() -> None:
    assert sorted(stale()) == [], "python -m demo.inbox_files --write"
    assert unknown() == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_is_the_same_bytes_every_time(name: str) -> None:
    assert FILES[name]() == FILES[name]()


def test_another_number_in_a_workbook_is_seen() -> None:
    printed = FILES["移住定住の状況（R6.9月末）.xlsx"]()
    corrected = FILES["corrected/移住定住の状況（R6.9月末）（訂正）.xlsx"]()
    assert not same_content(printed, corrected)


def test_every_file_belongs_to_exactly_one_contract() -> None:
    matched: dict[str, list[str]] = {}
    for name in FILES:
        folded = unicodedata.normalize("NFKC", Path(name).name)
        feeds = [
            feed
            for feed, document in CONTRACTS.items()
            if any(fnmatchcase(folded, pattern) for pattern in custom(document["servers"][0])["fileNames"])
        ]
        assert len(feeds) == 1, (name, feeds)
        matched.setdefault(feeds[0], []).append(name)
    assert set(matched) == set(CONTRACTS)


@pytest.mark.parametrize("feed", sorted(CONTRACTS))
def test_every_rule_says_why_and_what_it_learnt(feed: str) -> None:
    document = CONTRACTS[feed]
    assert "(EN)" in document["description"]["purpose"]
    rules = document["schema"][0]["quality"]
    assert len(rules) >= 5
    for rule in rules:
        # A generic rule learnt from lies of every kind (`tests/trust`), not from one of the seed.
        lessons = custom(rule).get("seed", [])
        assert lessons or rule["implementation"]["type"] in NAMED, rule["name"]
        assert set(lessons) <= LESSONS, rule["name"]
        assert len(rule["description"]) > 10 and rule["description"].endswith("。"), rule["name"]


def test_the_table_of_gates_names_all_35_and_only_rules_there_are() -> None:
    text = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| I")]
    assert rows == [f"I{number:02}" for number in range(1, 36)]
    rules = {
        f"{feed}.{rule['name']}"
        for feed, document in CONTRACTS.items()
        for rule in document["schema"][0]["quality"]
    }
    named = set(re.findall(r"`([a-z_]+\.[a-z0-9_]+)`", text))
    assert {name for name in named if name.split(".")[0] in CONTRACTS} <= rules


def said(parameters: dict[str, Any]) -> str:
    """The parameters of a named rule as the page of gates writes them: its bounds, without what tells its slice."""
    words = [str(parameters["by"])] if isinstance(parameters.get("by"), str) else []
    slice_of = {"where", "parts", "whole", "items", "column"} | ({"by"} if words else set())
    first: list[str] = []
    for name, value in parameters.items():
        if name == "by" and words:
            first.append(words[0])
        elif name not in slice_of:
            if isinstance(value, dict):
                first.append(f"{name} " + " ".join(f"{key} {each}" for key, each in value.items()))
            elif isinstance(value, list):
                first.append(f"{name} " + " ".join(map(str, value)))
            else:
                first.append(name if isinstance(value, bool) else f"{name} {value}")
    return ", ".join(first) or "—"


def test_the_page_of_gates_says_every_named_rule_with_its_bound_and_no_other() -> None:
    text = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    written = {row[0].strip("`"): row[1:] for row in rows if len(row) == 7 and row[0].startswith("`")}
    meant = {
        f"{contract.feed}.{rule.name}": (f"`{rule.expectation}`", said(rule.kwargs))
        for contract in contracts(settings().contracts)
        for rule in contract.rules
        if rule.expectation in NAMED
    }
    assert {name: (row[0], row[1]) for name, row in written.items()} == meant
    for name, (*_, catches, measured, alarms) in written.items():
        assert catches and measured, name
        assert int(alarms) == 0 or "estat" not in name


def test_every_lesson_of_a_rule_stands_in_the_table_of_gates() -> None:
    lines = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8").splitlines()
    for feed, document in CONTRACTS.items():
        for rule in document["schema"][0]["quality"]:
            for lesson in custom(rule).get("seed", []):
                row = next((line for line in lines if line.startswith(f"| {lesson} |")), "")
                named = f"`{feed}.{rule['name']}`", f"`*.{rule['name']}`"
                assert any(name in row for name in named), (lesson, feed, rule["name"])


def test_the_briefing_has_the_slip_of_the_slide_and_its_correction_has_not() -> None:
    name = "移住定住の状況（R6.9月末）.xlsx"
    slip = load_workbook(INBOX / name).worksheets[0]
    right = load_workbook(INBOX / "corrected/移住定住の状況（R6.9月末）（訂正）.xlsx").worksheets[0]
    differing = [
        (cell.coordinate, cell.value, right[cell.coordinate].value)
        for row in slip.iter_rows()
        for cell in row
        if cell.value != right[cell.coordinate].value
    ]
    assert differing == [("F16", 16, 165)]
    assert [cell.value for cell in slip[16]][:1] == ["大阪圏"]
    assert sum(cell.value for cell in right[16][1:10]) == right["K16"].value == 1831


def test_the_rate_is_a_formula_with_its_result() -> None:
    path = INBOX / "インターンシップ実施率.xlsx"
    assert load_workbook(path).worksheets[0]["E8"].value == "=ROUND(C8/D8*100,1)"
    shown = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    assert shown[-3][4] == 91.3 == float(figure("F18-1", "年度不明（本文出現順5）").number)


def test_the_breakdown_adds_up_to_its_total() -> None:
    shown = load_workbook(INBOX / "県立高校半導体関連人材育成事業.xlsx").worksheets[0]
    assert sum(shown.cell(row, 4).value or 0 for row in range(6, 10)) == shown["D10"].value == 4770


def test_text_files_are_in_the_encodings_that_divisions_use() -> None:
    uij = (INBOX / "UIJターン・奨学金返還等支援実績（R6.10月末）.csv").read_bytes()
    assert "①" in uij.decode("cp932")
    with pytest.raises(UnicodeDecodeError):
        uij.decode("shift_jis")
    matching = (INBOX / "プロ人材マッチング成約件数.csv").read_bytes()
    assert matching.startswith(b"\xef\xbb\xbf") and "２３５件" in matching.decode("utf-8-sig")
    support = (INBOX / "伴走型支援の実績.csv").read_bytes().decode()
    assert [len(row) for row in csv.reader(io.StringIO(support), delimiter="\t")] == [4, 4, 4]
    records = json.loads((INBOX / "http/line_subscribers.json").read_bytes())["records"]
    assert records[0]["値"] == 2684


def test_the_progress_sheet_asks_for_all_31_and_one_is_filled() -> None:
    page = load_workbook(INBOX / "進捗管理シート（R6.10月末）.xlsx").worksheets[0]
    rows = {row[0].value: [cell.value for cell in row] for row in page.iter_rows(min_row=6, max_row=36)}
    assert list(rows) == [kpi.kpi_id for kpi in kpi_catalogue(PROJECT)] and len(rows) == 31
    assert [code for code, row in rows.items() if row[5] is not None] == ["D08"]
    assert rows["D08"][5:8] == [235, "R3.11～R6.10月末", "累計"]
