"""What is tidied up after loads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kpi_warehouse.load import feeds
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.ledger import LOAD_LOCK
from kpi_warehouse.warehouse.tables import drop_stage

STAGE_KEPT_DAYS = 7


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
