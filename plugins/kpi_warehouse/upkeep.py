"""What is done to loads afterwards: judge landed bytes again, and tidy up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kpi_warehouse.errors import KpiError
from kpi_warehouse.load import Published, contract_of, feeds, gate, publish, stage
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.ledger import LOAD_LOCK, open_load, read_load, step
from kpi_warehouse.warehouse.tables import drop_stage

STAGE_KEPT_DAYS = 7


def replay(load_id: int) -> Published:
    """Stage, gate and publish a past load again from its landed bytes, with no network, as a new load."""
    past = read_load(load_id)
    contract = contract_of(past["feed"])
    if past["state"] in ("open", "waiting") or not _has_pages(load_id):
        raise KpiError(
            f"取込番号 {load_id} には保存したページがないため、やり直せません（状態：{past['state']}）。",
            "load.no_pages",
        )
    again = open_load(contract, period=past["requested_period"], trigger="replay", run_ref=None, forced=True)
    with step(again, "fetch") as current:
        current.connection.execute(
            "insert into ops.load_page (load_id, page, part, sha256, url, params, first_row, last_row, total_rows)"
            " select %s, page, part, sha256, url, params, first_row, last_row, total_rows from ops.load_page"
            " where load_id = %s",
            [again, load_id],
        )
        copied = ("requested_period", "period_from", "period_to", "source_updated_on", "declared_rows")
        current.update(state="fetched", **{name: past[name] for name in copied})
        current.detail = {"replay_of": load_id}
    stage(again)
    gate(again)
    return publish(again)


def _has_pages(load_id: int) -> bool:
    with connect() as connection:
        row = connection.execute(
            "select exists (select 1 from ops.load_page where load_id = %s)", [load_id]
        ).fetchone()
    return bool(row and row[0])


def sweep() -> int:
    """Drop stage tables that no load needs any more and what killed processes left; returns the tables dropped."""
    dropped = 0
    known = {contract.feed: contract for contract in feeds()}
    with connect() as connection:
        connection.execute(
            "update ops.load set state = 'abandoned', finished_at = clock_timestamp()"
            " where state in ('open', 'fetched', 'staged', 'gated')"
            " and heartbeat_at < clock_timestamp() - make_interval(days => %s)"
            " and pg_try_advisory_xact_lock(%s, load_id::integer)",
            [STAGE_KEPT_DAYS, LOAD_LOCK],
        )
        tables = connection.execute(
            "select l.load_id, l.feed from ops.load as l join pg_tables as t"
            " on t.schemaname = 'stage' and t.tablename = l.feed || '_' || l.load_id"
            " where l.state in ('published', 'unchanged', 'superseded', 'abandoned') or (l.state in ('failed', 'rejected')"
            " and l.finished_at < clock_timestamp() - make_interval(days => %s))",
            [STAGE_KEPT_DAYS],
        ).fetchall()
        for load_id, feed in tables:
            if feed in known:
                drop_stage(connection, known[feed], load_id)
                dropped += 1
    Landing(settings().landing_url).sweep(datetime.now(UTC) - timedelta(days=1))
    return dropped
