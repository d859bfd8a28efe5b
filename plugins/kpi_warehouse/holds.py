"""Rows that wait for a decision: which they are, and their release by the division that owns them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from kpi_warehouse.contract import Contract
from kpi_warehouse.errors import KpiError
from kpi_warehouse.gate.file_findings import FORM_HELD
from kpi_warehouse.load import contract_of
from kpi_warehouse.warehouse import embargo
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.history import lock_history
from kpi_warehouse.warehouse.tables import names, raw_table


@dataclass(frozen=True)
class Held:
    """A row that waits for a decision."""

    held_id: int
    load_id: int
    feed: str
    period: date
    period_end: date
    row: dict[str, Any]
    expectation: str
    reason_ja: str
    source_ref: str
    state: str


COLUMNS = "held_id, load_id, feed, period, period_end, row, expectation, reason_ja, source_ref, state"


def held_rows(feed: str | None = None) -> list[Held]:
    """Rows that wait, oldest first."""
    with connect() as connection:
        return (
            connection.cursor(row_factory=class_row(Held))
            .execute(
                f"select {COLUMNS} from ops.held_row"
                " where state = 'held' and (%(feed)s::text is null or feed = %(feed)s) order by held_id",
                {"feed": feed},
            )
            .fetchall()
        )


def release(held_id: int, reason_ja: str) -> Held:
    """Publish a held row after all: it becomes current as it was delivered, and the reason stays with it for ever.

    A delivery that waits because its form changed is released as a whole, by the number of any of its rows.

    Raises:
        KpiError: no such row, no reason, or it waits no more.
    """
    if not reason_ja.strip():
        raise KpiError("公表を認める理由（--reason）を書いてください。", "hold.no_reason")
    with connect() as connection:
        feed = connection.execute("select feed from ops.held_row where held_id = %s", [held_id]).fetchone()
        if feed is None:
            raise KpiError(
                f"保留番号 {held_id} はありません。`kpi hold list` で確認してください。", "hold.unknown"
            )
        # The lock of the history first, as a publish takes it: what is read after it stays true.
        contract = contract_of(feed[0])
        lock_history(connection, contract)
        held = (
            connection.cursor(row_factory=class_row(Held))
            .execute(f"select {COLUMNS} from ops.held_row where held_id = %s for update", [held_id])
            .fetchone()
        )
        if held is None or held.state != "held":
            state = held.state if held else "superseded"
            raise KpiError(f"保留番号 {held_id} はもう保留中ではありません（{state}）。", "hold.settled")
        for one in _together(connection, held):
            known_from = connection.execute("select clock_timestamp()").fetchone()
            assert known_from is not None
            _refuse_read_later(connection, contract, one)
            publish_held(connection, contract, one, known_from[0])
            connection.execute(
                "update ops.held_row set state = 'released', settled_at = %s where held_id = %s",
                [known_from[0], one.held_id],
            )
            connection.execute(
                "insert into ops.release (held_id, reason_ja) values (%s, %s)",
                [one.held_id, reason_ja.strip()],
            )
        return held


def _together(connection: psycopg.Connection, held: Held) -> list[Held]:
    """The rows that are released with a row: of a changed form the whole delivery, in one transaction, else the row."""
    if held.expectation != FORM_HELD:
        return [held]
    return (
        connection.cursor(row_factory=class_row(Held))
        .execute(
            f"select {COLUMNS} from ops.held_row where load_id = %s and expectation = %s and state = 'held'"
            " order by held_id for update",
            [held.load_id, FORM_HELD],
        )
        .fetchall()
    )


def _refuse_read_later(connection: psycopg.Connection, contract: Contract, held: Held) -> None:
    row = connection.execute(
        sql.SQL(
            "select r.load_id from {raw} as r join ops.load as theirs using (load_id),"
            " ops.load as mine, jsonb_populate_record(null::{raw}, {row}) as n"
            " where r.known_to = 'infinity' and mine.load_id = {load} and {same_key}"
            " and (theirs.read_at, theirs.load_id) > (mine.read_at, mine.load_id) limit 1"
        ).format(
            raw=raw_table(contract),
            row=sql.Literal(Jsonb(held.row)),
            load=sql.Literal(held.load_id),
            same_key=_same_key(contract),
        )
    ).fetchone()
    if row is not None:
        raise KpiError(
            f"保留番号 {held.held_id} の後に読んだ値を、取込番号 {row[0]} で公表しています。何も変えていません。"
            f"古い値に戻す必要があるときは `kpi replay {held.load_id} --set-back 理由` を使ってください。",
            "hold.overtaken",
        )


def _same_key(contract: Contract) -> sql.Composable:
    return sql.SQL(" and ").join(
        sql.SQL("r.{0} = n.{0}").format(sql.Identifier(name)) for name in contract.key_names
    )


def publish_held(
    connection: psycopg.Connection, contract: Contract, held: Held, now: datetime, *, anew: bool = False
) -> None:
    """Make a held row current, known from an instant on; `anew` where the books say so already. Must run after `lock_history`."""
    raw, columns = raw_table(contract), contract.stage_columns
    same_key = _same_key(contract)
    known_from, load_id = sql.Literal(now), sql.Literal(held.load_id)
    row = sql.SQL("jsonb_populate_record(null::{}, {})").format(raw, sql.Literal(Jsonb(held.row)))
    public_from = embargo.public_from(contract, "n", known_from)
    released = sql.SQL("(select {}, {} as public_from from {} as n)").format(
        names(columns, "n"), public_from, row
    )
    if embargo.is_delayed(connection, contract, known_from):
        embargo.give_way(connection, contract, released, known_from)
    connection.execute(
        sql.SQL("update {} as r set known_to = {} from {} as n where r.known_to = 'infinity' and {}").format(
            raw, known_from, released, same_key
        )
    )
    connection.execute(
        sql.SQL(
            "insert into {} ({}, load_id, known_from, public_from) select {}, {}, {}, n.public_from from {} as n"
        ).format(raw, names(columns), names(columns, "n"), load_id, known_from, released)
    )
    if anew:
        return
    embargo.note(connection, contract, load_id)
    # What is accepted is no longer what was delivered as a whole, so the period is looked at again next time.
    connection.execute(
        "delete from ops.period_digest where feed = %s and period = %s and period_end = %s",
        [held.feed, held.period, held.period_end],
    )
