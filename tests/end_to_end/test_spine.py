"""From the (simulated) e-Stat API to the board, by the functions that DAGs and command line call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from demo.estat import Simulator, Table, edits, published
from kpi_warehouse import load, marts
from kpi_warehouse.errors import KpiError
from kpi_warehouse.receipt import trail
from kpi_warehouse.receipt_page import receipt_page
from kpi_warehouse.receipt_proof import verify
from kpi_warehouse.replay import replay as replay_load

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
PUBLISHED_YEARS = {2018: -3575, 2019: -3900, 2020: -3393, 2021: -650, 2022: -377, 2023: -1624, 2024: -1542}


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def corrected(table: Table) -> Table:
    """One more person moved to Kumamoto in 2025-02: the inflow and the net change, published a day later."""
    for indicator in ("02", "04"):
        table = edits.add_persons(table, "2025-02", {"area": "43000", "tab": indicator})
    return replace(table, updated_on=table.updated_on + timedelta(days=1))


@pytest.mark.nightly
def test_published_figures_reach_the_board_with_their_receipt(
    warehouse: str, use_estat: Callable[[Simulator], None]
) -> None:
    with Simulator([published.moves(), published.flow()]) as estat:
        use_estat(estat)
        assert load.run(MOVES).opened_rows == 12_384
        assert load.run(FLOWS).opened_rows == 53_016
        assert all(request["_key_sent"] for request in estat.requests)

    built = marts.build()
    assert built.state == "published"
    board = {row["kpi_id"]: row for row in marts.board()}
    assert len(board) == 32
    assert (board["K12"]["actual_value"], board["K12"]["judgement_ja"]) == (-1542, "維持")
    assert board["K12"]["in_progress_coverage"] == "2/12"
    assert board["T04"]["actual_ja"] == "対象外"

    for year, net in PUBLISHED_YEARS.items():
        receipt = trail("K12", str(year))
        assert receipt.value == net
        assert len(receipt.rows) == 12
        assert all(len(row.sha256) == 64 for row in receipt.rows)
        assert all("appId" not in page.url for source in receipt.loads for page in source.pages)
    for year in ("2020年度", "R2年度", "令和２年度", "FY2020"):
        assert trail("K12", year).value == -1806
    assert trail("K12", "R6年").value == trail("K12", "2024年").value == -1542
    with pytest.raises(KpiError, match="期間「去年」を読めません"):
        trail("K12", "去年")
    receipt = trail("K12", "2024")
    assert verify(receipt) == 12
    page = receipt_page(receipt, 12)
    assert "-1,542人" in page and "原本の 12 セルと一致" in page and receipt.rows[0].sha256 in page
    by_sql = rows(
        warehouse,
        "select distinct kpi, n, published_value from (select kpi_id as kpi, published_value,"
        " count(*) over () as n from marts.receipt('K12', '2024')) as r",
    )
    assert by_sql == [("K12", 12, -1542)]
    for year in ("令和6年", "2024年", "CY2024"):
        assert rows(warehouse, f"select count(*) from marts.receipt('K12', '{year}')") == [(12,)]
    altered = replace(receipt, rows=[replace(receipt.rows[0], value=0), *receipt.rows[1:]])
    with pytest.raises(KpiError, match=r"2024-01：保存した原本.*「-106」.*「0」"):
        verify(altered)


def test_the_same_again_writes_nothing(warehouse: str, use_estat: Callable[[Simulator], None]) -> None:
    with Simulator([published.moves()]) as estat:
        use_estat(estat)
        load.run(MOVES)
        before = rows(warehouse, "select count(*), max(known_from) from raw.estat_migration_monthly")
        asked = len(estat.requests)

        assert load.run(MOVES).state == "unchanged"
        assert {request["_function"] for request in estat.requests[asked:]} == {"getMetaInfo"}

        assert load.run(MOVES, force=True).state == "unchanged"
        assert rows(warehouse, "select count(*), max(known_from) from raw.estat_migration_monthly") == before


def test_a_revised_month_closes_the_old_row_and_opens_the_new(
    warehouse: str, use_estat: Callable[[Simulator], None]
) -> None:
    table = published.moves()
    with Simulator([table]) as estat:
        use_estat(estat)
        load.run(MOVES)
        estat.publish(corrected(table))
        revised = load.run(MOVES)
    assert (revised.state, revised.opened_rows, revised.closed_rows) == ("published", 2, 2)
    assert rows(
        warehouse,
        "select count(*) filter (where known_to = 'infinity'), count(*) filter (where known_to < 'infinity')"
        " from raw.estat_migration_monthly where period = '2025-02-01'",
    ) == [(144, 2)]


def test_a_month_that_is_not_published_is_waited_for(
    warehouse: str, use_estat: Callable[[Simulator], None]
) -> None:
    with Simulator([published.moves()]) as estat:
        use_estat(estat)
        fetched = load.fetch(MOVES, "2025-03")
    assert fetched.state == "waiting"
    assert "2025-03 はまだ公表されていません（提供元の最新は 2025-02）" in fetched.message_ja
    assert rows(warehouse, "select state from ops.load") == [("waiting",)]


def test_a_load_is_replayed_from_landing_without_network(
    warehouse: str, use_estat: Callable[[Simulator], None]
) -> None:
    with Simulator([published.moves()]) as estat:
        use_estat(estat)
        first = load.run(MOVES)
    before = rows(warehouse, "select count(*), max(known_from) from raw.estat_migration_monthly")
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("delete from ops.period_digest")
    replayed = replay_load(first.load_id)
    assert (replayed.state, replayed.opened_rows) == ("unchanged", 0)
    assert rows(warehouse, "select count(*), max(known_from) from raw.estat_migration_monthly") == before
