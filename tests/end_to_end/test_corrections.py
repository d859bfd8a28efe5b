"""A proposal that its owner approves: recorded, applied while the source shows the wrong value, ended when it does not."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from division_files import DEMO, Drop, demo, rows
from openpyxl import load_workbook
from typer.testing import CliRunner

from kpi_warehouse import approvals, holds, load
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateRejected, KpiError
from kpi_warehouse.settings import settings

FEED = "migration_briefing"
CELL = ("移住定住（R6）", "F16")


def current(url: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        f"select value::integer, value_text, qualifier from raw.{FEED} where known_to = 'infinity'"
        " and period = '2024-05-01' and counterpart_code = 'osaka_bloc' and direction_code = 'in'",
    )


@pytest.fixture
def refused(warehouse: str, drop: Drop) -> approvals.Waiting:
    """The briefing with its lost digit, sent back; the proposal that came of it."""
    drop(demo("移住定住の状況"), demo("移住定住の状況").name)
    with pytest.raises(GateRejected):
        load.run(FEED)
    (waiting,) = approvals.open_proposals(FEED)
    return waiting


def test_an_approved_proposal_is_published_with_its_mark_and_ends_when_the_source_is_right(
    warehouse: str, drop: Drop, refused: approvals.Waiting
) -> None:
    listed = CliRunner().invoke(app, ["hold", "list"])
    assert listed.exit_code == 0 and "直す提案" in listed.output
    assert (refused.place, refused.found, refused.proposed) == ("移住定住（R6）!F16", "16", 165)
    with pytest.raises(KpiError, match="理由"):
        approvals.approve(refused.proposal_id, " ")
    approved = approvals.approve(refused.proposal_id, "地域振興課に確認")
    assert (approved.published.state, approved.published.opened_rows) == ("published", 54)
    assert current(warehouse) == [(165, "16", "修正承認済み")]
    assert rows(warehouse, "select expect::text, value::text, reason_ja, state from ops.correction") == [
        ("16", "165", "地域振興課に確認", "active")
    ]
    with pytest.raises(KpiError, match="すでに承認"):
        approvals.approve(refused.proposal_id, "もう一度")

    drop(demo("訂正", DEMO / "corrected"), demo("訂正", DEMO / "corrected").name)
    load.run(FEED)
    assert rows(warehouse, "select state from ops.correction") == [("retired",)]
    ((said,),) = rows(warehouse, "select message_ja from ops.delivery order by delivery_id desc limit 1")
    assert "役目を終えました" in str(said)
    assert [row[2] for row in current(warehouse)] == [None]


def test_a_third_value_ends_the_correction_and_waits_for_the_owner(
    warehouse: str, drop: Drop, refused: approvals.Waiting, tmp_path: Path
) -> None:
    approvals.approve(refused.proposal_id, "地域振興課に確認")
    sheet, cell = CELL
    workbook = load_workbook(demo("訂正", DEMO / "corrected"))
    page = workbook[sheet]
    page[cell].value = 160
    page["E16"].value += 5  # the row's total still holds
    # The months' totals, where the sheet has them, follow.
    workbook.save(tmp_path / "third.xlsx")
    drop(tmp_path / "third.xlsx", "移住定住の状況（R6）（再送）.xlsx")
    published = load.run(FEED)
    assert published.held_rows >= 1
    assert current(warehouse) == [(165, "16", "修正承認済み")]
    assert rows(warehouse, "select state from ops.correction") == [("refuted",)]
    assert "160" in {str(held.row["value"]) for held in holds.held_rows(FEED)}


def test_two_approvals_at_once_record_one_correction(
    warehouse: str, drop: Drop, refused: approvals.Waiting
) -> None:
    def one(_: int) -> str:
        try:
            return approvals.approve(refused.proposal_id, "地域振興課に確認").published.state
        except KpiError as error:
            return error.code

    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(one, range(2))) == ["approval.twice", "published"]
    assert rows(warehouse, "select count(*) from ops.correction") == [(1,)]


def test_approving_after_the_corrected_file_came_changes_nothing(
    warehouse: str, drop: Drop, refused: approvals.Waiting
) -> None:
    drop(demo("訂正", DEMO / "corrected"), demo("訂正", DEMO / "corrected").name)
    with pytest.raises(KpiError, match="届いています"):
        approvals.approve(refused.proposal_id, "地域振興課に確認")
    load.run(FEED)
    with pytest.raises(KpiError, match="不要になりました"):
        approvals.approve(refused.proposal_id, "地域振興課に確認")
    assert rows(warehouse, "select count(*) from ops.correction") == [(0,)]


def test_a_return_slip_with_its_cells_put_right_is_taken(
    warehouse: str, drop: Drop, refused: approvals.Waiting, tmp_path: Path
) -> None:
    (slip,) = (settings().home / "returned").rglob("*差し戻し.xlsx")
    workbook = load_workbook(slip)
    sheet, cell = CELL
    workbook[sheet][cell].value = 165
    workbook.save(tmp_path / "slip.xlsx")
    drop(tmp_path / "slip.xlsx", slip.name)
    assert load.run(FEED).state == "published"
    assert [row[0] for row in current(warehouse)] == [165]


def with_new_column(folder: Path) -> Path:
    """The demo file of company_support with one column more."""
    lines = demo("伴走型").read_bytes().decode("utf-8-sig").splitlines()
    texts = [f"{line}\t{'新しい欄' if at == 0 else '-'}" for at, line in enumerate(lines)]
    (folder / "new").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder / "new"


def test_a_delivery_with_a_new_column_waits_as_a_whole_and_is_released_as_a_whole(
    warehouse: str, drop: Drop, tmp_path: Path
) -> None:
    drop(with_new_column(tmp_path), demo("伴走型").name)
    published = load.run("company_support")
    waiting = holds.held_rows("company_support")
    assert published.held_rows == len(waiting) > 1
    assert rows(warehouse, "select count(*) from raw.company_support") == [(0,)]
    assert rows(warehouse, "select code, policy from ops.drift") == [("new_column", "hold")]
    holds.release(waiting[0].held_id, "商工政策課に確認")
    assert holds.held_rows("company_support") == []
    assert rows(warehouse, "select count(*) from raw.company_support") == [(len(waiting),)]


def test_a_form_change_that_the_contract_flags_is_published_and_noted(
    warehouse: str, drop: Drop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = tmp_path / "contracts"
    shutil.copytree(settings().contracts, contracts)
    contract = contracts / "company_support.odcs.yaml"
    contract.write_text(contract.read_text("utf-8").replace("newColumn: hold", "newColumn: flag"), "utf-8")
    monkeypatch.setenv("KPI_CONTRACTS", str(contracts))
    settings.cache_clear()
    drop(with_new_column(tmp_path), demo("伴走型").name)
    published = load.run("company_support")
    assert (published.state, published.held_rows) == ("published", 0)
    assert rows(warehouse, "select verdict from ops.load") == [("flagged",)]
    assert rows(warehouse, "select policy from ops.drift") == [("flag",)]
