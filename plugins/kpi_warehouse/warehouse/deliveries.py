"""The book of deliveries: which files have been seen, which of them were taken, and what became of each.

A delivery has its number as soon as its file is seen, and it is written down before anything is done with the file, so
a process that is killed anywhere is followed by one that goes on. Its states:

    settling ──► received ──► loaded / unchanged / held / asked / rejected    (decided by the load; loaded may be undone)
        └──────► duplicate / unmatched / refused_personal / unreadable (decided on reception; nothing was landed)

`received` means: its bytes are in landing. Who takes deliveries in turn asks `next_delivery`; who starts runs asks
`claim_announcement`, which answers yes once for each delivery, whoever asks and however often.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from kpi_warehouse.errors import KpiError
from kpi_warehouse.warehouse.connection import connect

State = Literal[
    "settling",
    "received",
    "duplicate",
    "unmatched",
    "refused_personal",
    "unreadable",
    "loaded",
    "rejected",
    "held",
    "asked",
    "unchanged",
    "undone",
]
REFUSED = ("unmatched", "refused_personal", "unreadable")
# Loads have said no to these: handed in again, they are looked at again.
SENT_BACK = ("rejected", "undone")
ACCEPTED = ("received", "loaded", "held", "asked", "unchanged")
OUTCOMES = ("loaded", "rejected", "held", "asked", "unchanged", "undone")
# First half of the advisory lock key of a feed's deliveries; the second is hashed from its name.
FEED_LOCK = 0x4B5046
COLUMNS = (
    "delivery_id, feed, file_name, location, bytes, sha256, values_digest, mtime, state, load_id, message_ja, attempts,"
    " seen_at, received_at, announced_at, settled_at"
)


@dataclass(frozen=True)
class Delivery:
    """A row of `ops.delivery`: one state of one file. `bytes` is its size, `feed` None while it is not known."""

    delivery_id: int
    feed: str | None
    file_name: str
    location: str
    bytes: int
    sha256: str | None
    values_digest: str | None
    mtime: datetime | None
    state: State
    load_id: int | None
    message_ja: str | None
    attempts: int
    seen_at: datetime
    received_at: datetime | None
    announced_at: datetime | None
    settled_at: datetime | None


def read_delivery(delivery_id: int) -> Delivery:
    """One delivery.

    Raises:
        KpiError: no such delivery.
    """
    with connect() as connection:
        return find_delivery(connection, delivery_id)


def find_delivery(connection: psycopg.Connection, delivery_id: int) -> Delivery:
    """The same, on a connection at hand."""
    row = (
        connection.cursor(row_factory=class_row(Delivery))
        .execute(f"select {COLUMNS} from ops.delivery where delivery_id = %s", [delivery_id])
        .fetchone()
    )
    if row is None:
        raise KpiError(f"受付番号 {delivery_id} はありません。", "delivery.unknown")
    return row


def latest_delivery(location: str) -> Delivery | None:
    """The newest state of the file at a place of the inbox; None where none was seen."""
    with connect() as connection:
        return (
            connection.cursor(row_factory=class_row(Delivery))
            .execute(
                f"select {COLUMNS} from ops.delivery where location = %s order by delivery_id desc limit 1",
                [location],
            )
            .fetchone()
        )


def accepted_with(connection: psycopg.Connection, feed: str, sha256: str) -> Delivery | None:
    """The delivery of the feed by which these bytes were accepted; None when none was."""
    return (
        connection.cursor(row_factory=class_row(Delivery))
        .execute(
            f"select {COLUMNS} from ops.delivery where feed = %s and sha256 = %s and state = any(%s)",
            [feed, sha256, list(ACCEPTED)],
        )
        .fetchone()
    )


def next_delivery(feed: str, load_id: int | None = None) -> Delivery | None:
    """The delivery of the feed to load next, in the order of arrival; None when none waits.

    Args:
        load_id: the load that will take it. The delivery is then that load's, also when it asks again, and no other
            load gets it unless this one fails or is given up.
    """
    with connect() as connection:
        cursor = connection.cursor(row_factory=class_row(Delivery))
        own = cursor.execute(
            f"select {COLUMNS} from ops.delivery where load_id = %s order by delivery_id limit 1", [load_id]
        ).fetchone()
        if own is not None:
            return own
        connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", [FEED_LOCK, feed])
        waiting = cursor.execute(
            f"select {COLUMNS} from ops.delivery as d where feed = %s and state = 'received'"
            " and (d.load_id is null or exists (select 1 from ops.load as l where l.load_id = d.load_id"
            " and l.state in ('failed', 'abandoned'))) order by received_at, delivery_id limit 1",
            [feed],
        ).fetchone()
        if waiting is None or load_id is None:
            return waiting
        connection.execute(
            "update ops.delivery set load_id = %s where delivery_id = %s", [load_id, waiting.delivery_id]
        )
        return find_delivery(connection, waiting.delivery_id)


def left_by_hand(connection: psycopg.Connection, feed: str) -> int | None:
    """The load by hand that has a file of the feed in hand and was not ended, oldest file first; None where there is none.

    It is left by a killed command where the caller alone may load this feed by hand.
    """
    row = connection.execute(
        "select l.load_id from ops.delivery as d join ops.load as l using (load_id) where d.feed = %s"
        " and d.state = 'received' and l.run_ref is null and l.state in ('open', 'fetched', 'staged', 'gated', 'rejected')"
        " order by d.received_at, d.delivery_id limit 1",
        [feed],
    ).fetchone()
    return int(row[0]) if row else None


def settle(
    delivery_id: int,
    state: Literal["loaded", "rejected", "held", "asked", "unchanged", "undone"],
    message_ja: str,
    *,
    load_id: int | None = None,
    values_digest: str | None = None,
    on: psycopg.Connection | None = None,
) -> Delivery:
    """Write down what the load made of a delivery. May be said again, and otherwise (a hold that is released).

    Args:
        on: the connection whose transaction says the same of the load, so that the two books never differ.

    Raises:
        KpiError: the delivery was never received, or the outcome is none.
    """
    if state not in OUTCOMES:
        raise KpiError(f"受付の結果は {'、'.join(OUTCOMES)} のいずれかです（{state}）。", "delivery.outcome")
    with nullcontext(on) if on is not None else connect() as connection:
        try:
            with connection.transaction():
                row = connection.execute(
                    "update ops.delivery set state = %s, message_ja = %s, load_id = coalesce(%s, load_id),"
                    " values_digest = coalesce(%s, values_digest), settled_at = clock_timestamp()"
                    " where delivery_id = %s and state = any(%s) returning delivery_id",
                    [state, message_ja, load_id, values_digest, delivery_id, ["received", *OUTCOMES]],
                ).fetchone()
        except psycopg.errors.UniqueViolation:
            raise KpiError(
                f"受付番号 {delivery_id} と同じ内容が、別の受付番号で受け付け済みです。",
                "delivery.taken_again",
            ) from None
        if row is None:
            found = find_delivery(connection, delivery_id)
            raise KpiError(
                f"受付番号 {delivery_id} は受け取っていません（状態：{found.state}）。",
                "delivery.not_received",
            )
        return find_delivery(connection, delivery_id)


def same_values(feed: str, values_digest: str, delivery_id: int) -> Delivery | None:
    """The last accepted delivery of the feed before this one, when it said the same values (saved again, sanitised)."""
    with connect() as connection:
        last = (
            connection.cursor(row_factory=class_row(Delivery))
            .execute(
                f"select {COLUMNS} from ops.delivery where feed = %s and state in ('loaded', 'unchanged')"
                " and delivery_id <> %s order by received_at desc limit 1",
                [feed, delivery_id],
            )
            .fetchone()
        )
    return last if last is not None and last.values_digest == values_digest else None


def reopen(delivery_id: int) -> Delivery:
    """Look at a refused or rejected file again as it lies (after the contract or a reader was corrected).

    Raises:
        KpiError: it was not refused.
    """
    with connect() as connection:
        row = connection.execute(
            "update ops.delivery set state = 'settling', message_ja = null, settled_at = null, attempts = 0,"
            " load_id = null, announced_at = null where delivery_id = %s and state = any(%s) returning delivery_id",
            [delivery_id, [*REFUSED, *SENT_BACK]],
        ).fetchone()
        found = find_delivery(connection, delivery_id)
        if row is None:
            raise KpiError(
                f"受付番号 {delivery_id} は断ったファイルではありません（状態：{found.state}）。",
                "delivery.not_refused",
            )
        return found


def unannounced() -> dict[str, int]:
    """By feed, the delivery to tell it of next: the oldest that waits for a load, one at a time.

    While one that was told of waits for its load, the next is not told: Airflow would make one run of both, and a run
    takes one file. After an hour without a load the feed's own sweep has been, and telling goes on.
    """
    with connect() as connection:
        rows = connection.execute(
            "select distinct on (feed) feed, delivery_id from ops.delivery as d"
            " where state = 'received' and announced_at is null and load_id is null and not exists ("
            "select 1 from ops.delivery as told where told.feed = d.feed and told.state = 'received'"
            " and told.announced_at > clock_timestamp() - interval '1 hour')"
            " order by feed, received_at, delivery_id"
        ).fetchall()
    return {str(feed): int(delivery_id) for feed, delivery_id in rows}


def claim_announcement(delivery_id: int) -> bool:
    """Whether the caller is the one who tells of this delivery: true once, over all processes and restarts."""
    with connect() as connection:
        row = connection.execute(
            "update ops.delivery set announced_at = clock_timestamp()"
            " where delivery_id = %s and announced_at is null and state = 'received' returning delivery_id",
            [delivery_id],
        ).fetchone()
    return row is not None


def receipts_for_inbox(*, feed: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """What became of the files handed in, newest first: number, file, feed, state, message, times."""
    with connect() as connection:
        cursor = connection.execute(
            "select delivery_id, file_name, feed, state, message_ja, bytes, sha256, load_id, seen_at, received_at,"
            " settled_at from ops.delivery where %(feed)s::text is null or feed = %(feed)s"
            " order by delivery_id desc limit %(limit)s",
            {"feed": feed, "limit": limit},
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
