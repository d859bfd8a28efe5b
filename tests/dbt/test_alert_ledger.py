"""The ledger of alerts, in a copy of the warehouse of its own: it counts everything that ever failed."""

from __future__ import annotations

import psycopg

from kpi_warehouse.warehouse.connection import connect

INSERT = (
    "insert into ops.load (feed, contract_version, contract_sha256, code_version, trigger, forced, state, error_code, error_ja)"
    " values ('expo', '1', '', '', 'test', false, 'failed', %s, 'x')"
)


def test_the_alert_ledger_counts_what_was_told_and_what_was_not(loader: psycopg.Connection) -> None:
    loader.execute(INSERT, ["gate.rejected"])
    # Without the trigger a failure goes unnoticed; a load that only had to wait for another is nobody's failure.
    loader.execute("alter table ops.load disable trigger load_changed")
    for code in ("gate.rejected", "load.busy"):
        loader.execute(INSERT, [code])
    # A sender that went away while it sent: the message may have arrived twice.
    loader.execute("update ops.notification set lapses = 1")
    with connect("kpi_transformer") as reader:
        rows = reader.execute(
            "select failed_loads, unnoticed_loads, incidents, told_incidents, owed_incidents, repeated_notices"
            " from marts.mart_alert_ledger"
        ).fetchall()
    assert rows == [(3, 1, 1, 0, 1, 1)]
