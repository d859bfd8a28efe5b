"""A division's file from the inbox to accepted history: refused with its cell, corrected, repeated, changed, released."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from division_files import DEMO, Drop, demo, rows
from openpyxl import load_workbook

from demo.estat import Simulator, published
from kpi_warehouse import holds, load
from kpi_warehouse.contract import FileSource
from kpi_warehouse.errors import GateRejected, KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.deliveries import receipts_for_inbox

BRIEFING, SUPPORT = "migration_briefing", "vacant_house_support"


def states(feed: str) -> list[str]:
    return [receipt["state"] for receipt in reversed(receipts_for_inbox(feed=feed))]


def test_a_lost_digit_is_sent_back_with_its_cell_and_the_correction_is_taken(
    warehouse: str, drop: Drop
) -> None:
    drop(demo("移住定住の状況"))
    with pytest.raises(GateRejected) as refused:
        load.run(BRIEFING)
    assert "F16）：16 → 165。最後の 5 が落ちた打ち間違いと考えられます" in refused.value.message_ja
    assert "計 1,831 と一致" in refused.value.message_ja
    assert rows(warehouse, f"select count(*) from raw.{BRIEFING}") == [(0,)]
    assert rows(warehouse, "select kind, found, proposed::text from ops.repair_proposal") == [
        ("one", "16", "165")
    ]

    (slip,) = (settings().home / "returned").rglob("*差し戻し.xlsx")
    workbook = load_workbook(slip)
    cell = workbook["移住定住（R6）"]["F16"]
    assert cell.fill.start_color.rgb == "FFFF7C80"
    assert cell.comment is not None and "165" in cell.comment.text
    assert cell.value == 16

    drop(demo("訂正", DEMO / "corrected"))
    published = load.run(BRIEFING)
    assert (published.state, published.opened_rows) == ("published", 54)
    assert states(BRIEFING) == ["rejected", "loaded"]
    assert rows(
        warehouse,
        f"select value::text, source_cell from raw.{BRIEFING} where period = '2024-05-01'"
        " and counterpart_code = 'osaka_bloc' and direction_code = 'in'",
    ) == [("165", "移住定住（R6）!F16")]


def test_a_proposal_is_confirmed_by_the_source_the_figures_come_from(
    drop: Drop, use_estat: Callable[[Simulator], None], tmp_path: Path
) -> None:
    with Simulator([published.moves(), published.flow()]) as estat:
        use_estat(estat)
        load.run("estat_migration_flow_monthly")
    drop(demo("移住定住の状況"))
    with pytest.raises(GateRejected, match=r"16 → 165.*e-Statの 165 と一致"):
        load.run(BRIEFING)

    # I04: two months that changed places leave every total as it was; only the second source sees it.
    book = load_workbook(demo("訂正", DEMO / "corrected"))
    sheet = book.worksheets[0]
    sheet["B7"], sheet["C7"] = sheet["C7"].value, sheet["B7"].value
    book.save(tmp_path / "入れ替わり.xlsx")
    drop(tmp_path / "入れ替わり.xlsx", "移住定住の状況（R6.9月末）（訂正）.xlsx")
    assert load.run(BRIEFING).held_rows == 2
    assert {held.source_ref.partition("!")[2] for held in holds.held_rows(BRIEFING)} == {"B7", "C7"}


def test_the_same_bytes_and_the_same_values_change_nothing(
    warehouse: str, drop: Drop, tmp_path: Path
) -> None:
    file = demo("空家対策")
    drop(file)
    assert load.run(SUPPORT).state == "published"
    drop(file, "空家対策総合支援事業の実績（R6）（最終）.xlsx")
    assert load.run(SUPPORT).state == "unchanged"
    saved_again = tmp_path / "again.xlsx"
    workbook = load_workbook(file)
    workbook.properties.title = "開いて保存した"
    workbook.save(saved_again)
    drop(saved_again, "空家対策総合支援事業の実績（R6）（最終2）.xlsx")
    assert load.run(SUPPORT).state == "unchanged"
    assert states(SUPPORT) == ["loaded", "duplicate", "unchanged"]
    assert rows(warehouse, f"select count(*) from raw.{SUPPORT}") == [(17,)]


def test_a_changed_actual_value_waits_for_its_owner(warehouse: str, drop: Drop, tmp_path: Path) -> None:
    drop(demo("空家対策"))
    load.run(SUPPORT)
    before = rows(
        warehouse,
        f"select period::text, measure_code, value::integer, source_cell from raw.{SUPPORT}"
        " where value_status = 'actual' and value = 42",
    )
    ((period, measure, _, cell),) = before
    changed = tmp_path / "changed.xlsx"
    workbook = load_workbook(demo("空家対策"))
    sheet, _, coordinate = str(cell).rpartition("!")
    written = str(workbook[sheet][coordinate].value)
    workbook[sheet][coordinate].value = written.replace("42", "43")
    workbook.save(changed)
    drop(changed, "空家対策総合支援事業の実績（R6）（訂正）.xlsx")
    published = load.run(SUPPORT)
    assert published.held_rows == 1

    def current() -> list[tuple[object, ...]]:
        return rows(
            warehouse,
            f"select value::integer from raw.{SUPPORT} where known_to = 'infinity'"
            f" and period = '{period}' and measure_code = '{measure}'",
        )

    assert current() == [(42,)]
    (held,) = holds.held_rows(SUPPORT)
    assert (held.expectation, held.source_ref) == ("accepted_value_kept", cell)
    with pytest.raises(KpiError, match="理由"):
        holds.release(held.held_id, " ")
    holds.release(held.held_id, "土木部に確認した")
    assert current() == [(43,)]
    assert holds.held_rows(SUPPORT) == []
    assert rows(warehouse, f"select count(*) from raw.{SUPPORT} where known_to < 'infinity'") == [(1,)]
    with pytest.raises(KpiError, match="保留中ではありません"):
        holds.release(held.held_id, "もう一度")


def test_a_cell_that_cannot_be_read_sends_the_whole_file_back(
    warehouse: str, drop: Drop, tmp_path: Path
) -> None:
    workbook = load_workbook(demo("空家対策"))
    sheet = workbook.worksheets[0]
    sheet.cell(sheet.max_row + 3, 2).value = 19  # a page number
    workbook.save(tmp_path / "page.xlsx")
    drop(tmp_path / "page.xlsx", "空家対策総合支援事業の実績（R6）.xlsx")
    with pytest.raises(GateRejected, match="見つかったもの「19」") as refused:
        load.run(SUPPORT)
    assert refused.value.code == "file.cells"
    assert rows(warehouse, "select found, code from ops.cell_fault") == [("19", "stray_cell")]
    assert states(SUPPORT) == ["rejected"]


def test_every_division_s_demo_file_is_accepted(
    warehouse: str, drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in sorted(DEMO.iterdir()):
        if file.is_file() and "移住定住の状況" not in file.name:
            drop(file)
    feeds = [
        contract.feed
        for contract in load.feeds()
        if isinstance(contract.source, FileSource) and contract.feed not in (BRIEFING, "line_subscribers")
    ]
    assert len(feeds) == 11
    assert {feed: load.run(feed).state for feed in feeds} == dict.fromkeys(feeds, "published")
    # The target without a year waits; nothing else does.
    assert [(held.feed, held.expectation) for held in holds.held_rows()] == [
        ("internship_rate", "target_has_its_year")
    ]
