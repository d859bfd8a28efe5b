"""A file that is not taken ends `kpi load --file` with 1 or 3, says why, and is taken once file or contract is mended."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from division_files import demo, rows
from typer.testing import CliRunner

from kpi_warehouse import contract as contract_module
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.load import run
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.sources.inbox_receive import receive_all
from kpi_warehouse.warehouse.deliveries import receipts_for_inbox

FEED = "company_contacts"
HEADING = "heading: [参加企業数]"


@pytest.fixture
def contracts(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project's contracts in a folder where they may be changed."""
    folder = tmp_path / "expectations"
    shutil.copytree(PROJECT / "expectations", folder)
    monkeypatch.setenv("KPI_CONTRACTS", str(folder))
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    forget()
    yield folder
    monkeypatch.undo()
    forget()


def forget() -> None:
    """Another command reads settings and contracts anew."""
    settings.cache_clear()
    contract_module._one.cache_clear()
    contract_module.contracts.cache_clear()


def change(contracts: Path, feed: str, before: str, after: str) -> None:
    path = contracts / f"{feed}.odcs.yaml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")
    forget()


def load(file: Path, feed: str = FEED) -> tuple[int, str]:
    shown = CliRunner().invoke(app, ["load", feed, "--file", str(file)])
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.output
    return shown.exit_code, shown.output


def sample(folder: Path, name: str = "交流の実績.xlsx") -> Path:
    path = folder / name
    path.write_bytes(demo("企業と学校との交流").read_bytes())
    return path


def published(warehouse: str, feed: str = FEED) -> int:
    if rows(warehouse, f"select to_regclass('raw.{feed}')") == [(None,)]:
        return 0
    return int(rows(warehouse, f"select count(*) from raw.{feed} where known_to = 'infinity'")[0][0])


def people(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    sheet["J1"], sheet["J2"], sheet["J3"] = "氏名", "熊本　太郎", "阿蘇　花子"
    book.save(path)


def one_bad_cell(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    book.worksheets[0]["D4"] = "七十五"
    book.save(path)


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda path: path.write_text("<!DOCTYPE html><p>お待ちください"), 1, "ウェブページ"),
        (lambda path: path.write_bytes(b""), 1, "空のファイル"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), 1, "交流の実績.xlsx"),
        (people, 3, "個人情報"),
        (one_bad_cell, 3, "D4"),
    ],
)
def test_a_refused_file_ends_with_1_or_3_and_publishes_nothing(
    contracts: Path, warehouse: str, tmp_path: Path, spoil: Callable[[Path], object], code: int, said: str
) -> None:
    path = sample(tmp_path)
    spoil(path)
    ended, output = load(path)
    assert (ended, published(warehouse)) == (code, 0), output
    assert said in output and "Traceback" not in output
    # Asked again it says the same, and no more than one delivery is in the book.
    assert load(path)[0] == code
    assert len(receipts_for_inbox()) == 1


def test_the_form_of_another_feed_is_refused_by_its_name(
    contracts: Path, warehouse: str, tmp_path: Path
) -> None:
    path = tmp_path / "様式.xlsx"
    made = CliRunner().invoke(
        app, ["feed", "template", "company_contacts", "-o", str(path), "--periods", "R6年度"]
    )
    assert made.exit_code == 0, made.output
    ended, output = load(path, "vacant_house_support")
    assert ended == 1 and "半導体関連企業と学校との交流" in output, output


def test_a_name_that_fits_two_feeds_is_loaded_for_the_one_that_was_named(
    contracts: Path, warehouse: str, tmp_path: Path
) -> None:
    other = (contracts / f"{FEED}.odcs.yaml").read_text("utf-8").replace(FEED, "company_contacts_2")
    (contracts / "company_contacts_2.odcs.yaml").write_text(other, "utf-8")
    path = sample(tmp_path, demo("企業と学校との交流").name)
    ended, output = load(path)
    assert (ended, published(warehouse)) == (0, 4), output


def test_a_draft_and_a_passing_copy_are_not_taken(contracts: Path, warehouse: str, tmp_path: Path) -> None:
    ended, output = load(sample(tmp_path, "~$交流の実績.xlsx"))
    assert ended == 1 and "一時ファイル" in output
    change(contracts, FEED, "status: active", "status: draft")
    ended, output = load(sample(tmp_path))
    assert ended == 1 and "下書き" in output and published(warehouse) == 0


def test_after_the_contract_is_mended_the_same_command_takes_the_same_file(
    contracts: Path, warehouse: str, tmp_path: Path
) -> None:
    path = sample(tmp_path)
    text = (contracts / f"{FEED}.odcs.yaml").read_text("utf-8")
    label = "就職情報交換会"
    change(contracts, FEED, label, "別の取組")
    ended, output = load(path)
    assert ended == 3 and label in output and "同じファイルをもう一度" in output, output
    (contracts / f"{FEED}.odcs.yaml").write_text(text, "utf-8")
    forget()
    ended, output = load(path)
    assert (ended, published(warehouse)) == (0, 4), output
    # A contract that changes what an accepted file says is read into it by the same command, too.
    change(contracts, FEED, "value: job_fair", "value: job_fairs")
    ended, output = load(path)
    assert ended in (0, 3) and "読み直します" in output, output


def test_dropped_again_with_its_old_time_it_is_taken_after_the_contract_is_mended(
    contracts: Path, warehouse: str, tmp_path: Path
) -> None:
    inbox = settings().home / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    path, there = sample(tmp_path, demo("企業と学校との交流").name), inbox / demo("企業と学校との交流").name
    os.utime(path, (1_700_000_000, 1_700_000_000))
    text = (contracts / f"{FEED}.odcs.yaml").read_text("utf-8")
    change(contracts, FEED, "就職情報交換会", "別の取組")
    shutil.copy2(path, there)
    with pytest.raises(GateRejected, match="就職情報交換会"):
        run(FEED)
    (contracts / f"{FEED}.odcs.yaml").write_text(text, "utf-8")
    forget()
    assert receive_all(wait=True) == [], "a refused file that only lies there is not looked at again"
    shutil.copy2(path, there)
    (delivery,) = receive_all(wait=True)
    assert delivery.state == "received"
    assert run(FEED).state == "published" and published(warehouse) == 4


def test_other_bytes_under_the_same_name_are_another_delivery(
    contracts: Path, warehouse: str, tmp_path: Path
) -> None:
    path = sample(tmp_path)
    one_bad_cell(path)
    assert load(path)[0] == 3
    sample(tmp_path)
    ended, output = load(path)
    assert (ended, published(warehouse)) == (0, 4), output
    names = {receipt["file_name"]: receipt["state"] for receipt in receipts_for_inbox()}
    assert names == {"交流の実績.xlsx": "rejected", "交流の実績 (2).xlsx": "loaded"}


def test_a_command_that_was_killed_after_handing_in_goes_on_when_given_again(
    contracts: Path, warehouse: str, tmp_path: Path
) -> None:
    path = sample(tmp_path)
    inbox = settings().home / "inbox" / FEED
    inbox.mkdir(parents=True)
    shutil.copy(path, inbox)  # killed between writing and receiving
    ended, output = load(path)
    assert (ended, published(warehouse)) == (0, 4), output
    assert len(receipts_for_inbox()) == 1


def test_the_shell_sees_the_exit_code(contracts: Path, warehouse: str, tmp_path: Path) -> None:
    path = tmp_path / "交流の実績.xlsx"
    path.write_text("<html>", "utf-8")
    program = PROJECT / ".venv/bin/kpi"
    ended = subprocess.run(
        [program, "load", FEED, "--file", path], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1 and "ウェブページ" in ended.stderr, ended


@pytest.mark.parametrize(
    "text", ["課,年度,参加企業数\n企業立地課,R6年度,75\n", "課\t年度\n企業立地課\tR6年度\n"]
)
def test_a_text_under_the_name_of_a_workbook_is_sent_back_once(
    contracts: Path, warehouse: str, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "半導体関連企業と学校との交流の実績（R6）.xlsx"
    file.write_bytes(text.encode("cp932"))
    code, said = load(file)
    assert code in (1, 3)
    assert said.count("を受け取りました") <= 1
    assert "中身が違います" in said
    told = rows(warehouse, "select state, message_ja from ops.delivery")
    assert [state for state, _ in told] == ["rejected"]
    assert "中身が違います" in str(told[0][1])
    assert load(file)[0] in (1, 3)
    assert rows(warehouse, "select count(*) from ops.load where state = 'failed'") == [(0,)]
