"""Loads and builds written the way the verbs write them, without the work between: what alerts follow is the book."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from kpi_warehouse.contract import Contract
from kpi_warehouse.errors import KpiError
from kpi_warehouse.load import contract_of
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import open_load, step

EXPO, MOVES, FLOWS = "expo", "estat_migration_monthly", "estat_migration_flow_monthly"


def begin(
    feed: str, period: date | None = None, *, run_ref: str | None = None, version: str | None = None
) -> int:
    """Open a load."""
    contract: Contract = contract_of(feed)
    if version is not None:
        contract = replace(contract, version=version)
    return open_load(contract, period=period, trigger="test", run_ref=run_ref, forced=False)


def fail(load_id: int, error: Exception, verb: str = "fetch") -> int:
    """End a step of it with an error; returns the load."""
    try:
        with step(load_id, verb):
            raise error
    except Exception as raised:
        if raised is not error:
            raise
    return load_id


def page(load_id: int, content: str) -> None:
    """Give it bytes."""
    with connect() as connection:
        connection.execute(
            "insert into ops.landed (sha256, bytes, location, media_type) values (%s, 1, 'x', 'x') on conflict do nothing",
            [content],
        )
        connection.execute(
            "insert into ops.load_page (load_id, page, part, sha256, url, params) values (%s, 1, 1, %s, 'x', '{}')",
            [load_id, content],
        )


def publish(load_id: int, month: date | None = None, held: int = 0) -> None:
    """End it well."""
    with step(load_id, "publish") as current:
        if month is not None:
            current.update(period_from=month, period_to=month)
        current.update(state="published", opened_rows=1, closed_rows=0, held_rows=held)


def state(load_id: int, name: str) -> None:
    """Set its state, as a verb does."""
    with step(load_id, "fetch") as current:
        current.update(state=name)


def build(name: str, error: str | None = None) -> int:
    """A build of the marts that ended so."""
    with connect("kpi_transformer") as connection:
        row = connection.execute(
            "insert into ops.build (state, schema_name, code_version) values ('building', 'marts', 'test') returning build_id"
        ).fetchone()
        assert row is not None
        connection.execute(
            "update ops.build set state = %s, error = %s, finished_at = clock_timestamp() where build_id = %s",
            [name, error, row[0]],
        )
    return int(row[0])


def rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query says."""
    with connect() as connection:
        return connection.execute(query, list(values)).fetchall()


def owed() -> list[tuple[str, str]]:
    """Kind and state of every notification, in order."""
    return [tuple(row) for row in rows("select kind, state from ops.notification order by notification_id")]


def failed(code: str, message: str = "だめでした。") -> KpiError:
    """An error with a code."""
    return KpiError(message, code)
