"""`kpi feed check` of the ledger of known failures: in force, and, asked for, still needed by what was loaded last."""

from __future__ import annotations

from kpi_warehouse import clock
from kpi_warehouse.errors import ContractError
from kpi_warehouse.known_failures import LEDGER, known_failures
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect


def check_known_failures(*, against_loads: bool) -> int:
    """Check the ledger; returns the number of its entries.

    Raises:
        ContractError: an entry is wrong or expired; or, against loads, its rule held when it was last asked.
    """
    entries = known_failures(settings().contracts, on=clock.today())
    if not against_loads or not entries:
        return len(entries)
    idle = []
    with connect() as connection:
        for entry in entries:
            row = connection.execute(
                "select r.success, l.load_id from ops.gate_result as r join ops.load as l using (load_id)"
                " where l.feed = %s and r.expectation = %s order by l.load_id desc limit 1",
                [entry.feed, entry.rule],
            ).fetchone()
            if row is not None and row[0]:
                idle.append(
                    f"{settings().contracts / LEDGER}: {entry.feed} の {entry.rule}：取込番号 {row[1]} では合っており、"
                    "この項目はもう要りません。消してください。"
                )
    if idle:
        raise ContractError("\n".join(idle), "ledger.idle")
    return len(entries)
