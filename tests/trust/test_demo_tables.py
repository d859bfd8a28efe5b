"""The published tables that the demo serves pass as a first load: Kumamoto alone since 2018, all prefectures for two years."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from demo.estat import Simulator
from demo.estat.published import flow, moves
from kpi_warehouse import load


def test_the_demo_tables_pass_as_a_first_load(warehouse: str, use_estat: Callable[[Simulator], None]) -> None:
    with Simulator([moves(), flow()]) as served:
        use_estat(served)
        for feed in ("estat_migration_monthly", "estat_migration_flow_monthly"):
            assert load.run(feed).state == "published"
    with psycopg.connect(warehouse) as connection:
        broken = connection.execute(
            "select l.feed, g.expectation from ops.gate_result as g join ops.load as l using (load_id) where not g.success"
        ).fetchall()
    assert broken == []
