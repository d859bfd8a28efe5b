"""Two sound months of both e-Stat tables, edits of them, and what a warehouse holds after a load."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from demo.estat import Table, edits
from demo.estat.synthetic import synthetic_flow_months, synthetic_migration

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
FIRST, SECOND = "2024-01", "2024-02"
ROWS = 3 * 3 * 3 * 48
HEADLINE = {"cat01": "0", "cat02": "60000", "area": "43000"}
INFLOW, OUTFLOW, NET = ({**HEADLINE, "tab": tab} for tab in ("02", "03", "04"))
GOOD = synthetic_migration([FIRST, SECOND])
FLOW = synthetic_flow_months([FIRST, SECOND])
Broken = dict[str, int]


def later(table: Table, days: int = 1) -> Table:
    """The same table, published some days after."""
    return replace(table, updated_on=table.updated_on + timedelta(days=days))


def with_texts(table: Table, period: str, *cells: tuple[dict[str, str], str | None]) -> Table:
    for where, text in cells:
        table = edits.set_text(table, period, where, text)
    return table


def plus_one(table: Table, *cells: dict[str, str]) -> Table:
    for where in cells:
        table = edits.add_persons(table, SECOND, where)
    return table


class Warehouse:
    """What a test looks at: history, the book of loads, results of the gate."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def history(self, feed: str = MOVES) -> tuple[Any, ...]:
        """Everything accepted: each row ever opened or closed, and the digests."""
        rows = self.rows(
            f"select md5(string_agg(r::text, '|' order by r::text)), count(*) from raw.{feed} as r"
        )
        digests = self.rows(
            "select period, rows, digest, load_id from ops.period_digest where feed = %s", feed
        )
        return rows[0], sorted(digests)

    def book(self) -> tuple[Any, ...]:
        """State, verdict and error of the newest load."""
        return self.rows("select state, verdict, error_code from ops.load order by load_id desc limit 1")[0]

    def broken(self) -> dict[str, tuple[int, list[dict[str, Any]]]]:
        """Rules that the newest load breaks, with count and examples."""
        found = self.rows(
            "select expectation, unexpected_count, observed from ops.gate_result where not success"
            " and load_id = (select max(load_id) from ops.load)"
        )
        return {name: (count, examples) for name, count, examples in found}

    def held(self, state: str = "held") -> list[tuple[Any, ...]]:
        return self.rows(
            "select load_id, expectation, source_ref, row ->> 'persons_mark', row ->> 'persons' from ops.held_row"
            " where state = %s order by held_id",
            state,
        )

    def value(self, indicator: str, period: str = SECOND) -> list[tuple[Any, ...]]:
        """Current number and mark of one of Kumamoto's cells."""
        return self.rows(
            "select persons, persons_mark from raw.estat_migration_monthly where known_to = 'infinity'"
            " and (indicator_code, sex_code, nationality_code, area_code, period)"
            " = (%s, '0', '60000', '43000', %s::date)",
            indicator,
            f"{period}-01",
        )
