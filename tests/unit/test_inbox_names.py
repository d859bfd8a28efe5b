"""A file name belongs to exactly one contract, however it was typed, or the division is told why not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_warehouse.sources.inbox_names import (
    given_name,
    is_skipped,
    is_skipped_folder,
    match_name,
    match_properties,
    name_fault,
    names_ja,
    readable_name,
)
from tests.unit.inbox_places import FEEDS, Feed, Source

STRICT = (Feed("strict", "月報", "企画課", Source(("月報.xlsx",))),)


@pytest.mark.parametrize(
    "raw",
    [
        "R6_移住定住の状況.xlsx",
        "移住定住の状況（最終）.xlsx",
        "【訂正】移住定住の状況 最終2 (1).XLSX",
        unicodedata.normalize("NFD", "移住定住の状況(ガギグ).xlsx"),
        "移住定住の状況．ｘｌｓｘ",
        "R6／7月 移住定住の状況.xlsx",
    ],
)
def test_a_name_belongs_to_its_contract(raw: str) -> None:
    assert match_name(given_name(raw), FEEDS) is FEEDS[0]


@pytest.mark.parametrize(
    "raw",
    ["月報.xlsx", "月報_最終.xlsx", "月報　最終２.xlsx", "月報(1).xlsx", "月報（訂正版）.xlsx", "【差替】月報.xlsx",
     "月報 - コピー.xlsx", "月報_v2.xlsx", "月報最新版 (2).xlsx"],
)  # fmt: skip
def test_what_people_add_on_sending_again_is_no_part_of_the_name(raw: str) -> None:
    assert match_name(given_name(raw), STRICT) is STRICT[0]


@pytest.mark.parametrize("raw", ["月報告.xlsx", "昨年の月報.xlsx", "最終.xlsx", "月報.csv"])
def test_another_name_belongs_to_none(raw: str) -> None:
    message = match_name(given_name(raw), STRICT)
    assert isinstance(message, str) and "月報（企画課）：「月報.xlsx」" in message


def test_a_name_that_fits_two_contracts_is_sent_back_with_both() -> None:
    message = match_name("移住定住の状況と空家対策.json", FEEDS)
    assert isinstance(message, str)
    assert "2 つ" in message and "移住促進課" in message and "住宅課" in message and "企画課" not in message


@pytest.mark.parametrize(
    "raw",
    ["..", "a\\..\\移住定住の状況.xlsx", "移住定住の状況\u202exslx.exe", "移住定住の状況\n.xlsx", "\x00"],
)
def test_a_name_that_wants_to_be_more_is_refused(raw: str) -> None:
    message = match_name(given_name(raw), FEEDS)
    assert name_fault(readable_name(raw)) and isinstance(message, str) and "付け直して" in message
    assert not any(unicodedata.category(sign) in ("Cc", "Cf") and sign != "\n" for sign in message)


def test_a_name_in_bytes_of_windows_is_read() -> None:
    raw = "移住定住の状況.xlsx".encode("cp932").decode("utf-8", "surrogateescape")
    assert readable_name(raw) == "移住定住の状況.xlsx"


def test_people_are_shown_the_name_that_they_gave() -> None:
    assert given_name("移住定住の状況（R6）.xlsx") == "移住定住の状況（R6）.xlsx"
    assert given_name("移住定住の状況（Ｒ６）．ＸＬＳＸ") == "移住定住の状況（Ｒ６）.XLSX"
    assert given_name(unicodedata.normalize("NFD", "ガイド.csv")) == "ガイド.csv"


@pytest.mark.parametrize(
    "name",
    ["~$移住定住の状況.xlsx", ".hidden", "a.part", "a.xlsx.tmp", "~WRL0001.tmp", "Thumbs.db", "a.filepart", ".~lock.a.ods#", "a.csv~"],
)  # fmt: skip
def test_files_of_programs_are_skipped(name: str) -> None:
    assert is_skipped(name)


def test_files_of_people_are_not_skipped() -> None:
    assert not any(
        is_skipped(name) for name in ("移住定住の状況.xlsx", "part.csv", "~R6〜R7.csv", "tmp.xlsx")
    )
    assert is_skipped_folder("返却") and is_skipped_folder("処理済") and is_skipped_folder(".git")
    assert not is_skipped_folder("移住促進課")


def test_a_generated_workbook_says_itself_where_it_belongs() -> None:
    assert match_properties({"kpi_contract": "kpi_progress@1.2.0"}, FEEDS) is FEEDS[2]
    assert match_properties({"KPI-Contract": "kpi_progress"}, FEEDS) is FEEDS[2]
    assert match_properties({"kpi_contract": "unknown"}, FEEDS) is None
    assert match_properties({"Author": "kpi_progress"}, FEEDS) is None


@given(st.text(max_size=60))
def test_any_name_is_matched_or_explained(raw: str) -> None:
    given, name = given_name(raw), readable_name(raw)
    outcome = match_name(given, FEEDS)
    assert isinstance(outcome, Feed) or outcome
    assert readable_name(given) == name or any("\ud800" <= sign <= "\udfff" for sign in raw)
    assert readable_name(name) == name or any("\ud800" <= sign <= "\udfff" for sign in raw)


@pytest.mark.parametrize(
    ("globs", "said"),
    [
        (("*実績*.xlsx", "*実績*.xls"), "「実績」を含む名前（.xlsx・.xls）"),
        (("月報*.csv",), "「月報」で始まる名前（.csv）"),
        (("月報.xlsx",), "「月報.xlsx」"),
        (("*空家*相談*.ods",), "「空家」と「相談」を含む名前（.ods）"),
        (("*",), "どの名前でも"),
        (("R?_[0-9]月報.csv", "*移住*"), "「R」と「_」と「月報」を含む名前（.csv）、「移住」を含む名前"),
    ],
)
def test_globs_are_said_in_words(globs: tuple[str, ...], said: str) -> None:
    assert names_ja(globs) == said
