"""Reception: what happens to a file between the first look at it and its place in the book of deliveries.

Every change is written down before the next step, under a lock of the inbox (what was seen), of the delivery (who has it
in hand) or of its feed (are these bytes new). So two scanners at once make one delivery, and a kill leaves nothing undone
that the next look would not do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.deliveries import (
    ACCEPTED,
    COLUMNS,
    FEED_LOCK,
    REFUSED,
    SENT_BACK,
    Delivery,
    accepted_with,
    find_delivery,
)
from kpi_warehouse.warehouse.landing import Landed

INBOX_LOCK = 0x4B50_4942
# First half of the advisory lock key of a delivery in hand; the second is its number.
DELIVERY_LOCK = 0x4B5044


@dataclass(frozen=True)
class Seen:
    """A file as a listing shows it. `location` tells it from every other; `file_name` is for people.

    `put_at` is when it was put there, which copying does not carry along; None where the place does not know.
    """

    file_name: str
    location: str
    bytes: int
    mtime: datetime | None
    put_at: datetime | None = None


def note_seen(inbox: str, files: Sequence[Seen], settle_seconds: float, listed_at: float) -> list[Delivery]:
    """Write down what a look into an inbox found; returns the deliveries that wait for reception.

    These are the files that an earlier look, at least `settle_seconds` before this one, saw with the same size and time, in
    the order of their arrival, and those that matched no contract when they were looked at before (a contract may have come since).
    A file that was refused and is put there again is a new look at it, though its bytes and its time of writing are the same.

    Args:
        inbox: the address that all locations begin with. Files of it that are gone before they were taken are forgotten.
        listed_at: `time.monotonic()` when this look began. However long the database then takes, a first look is no second one
            (with 0 `settle_seconds` the first is enough).
    """
    with connect() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [INBOX_LOCK])
        seen_before = connection.execute(
            "select clock_timestamp() - make_interval(secs => %s)",
            [settle_seconds + time.monotonic() - listed_at],
        ).fetchone()
        assert seen_before is not None
        locations = [file.location for file in files]
        known = {
            (row[0], row[1], row[2])
            for row in connection.execute(
                "select location, mtime, bytes from ops.delivery where location = any(%s)", [locations]
            )
        }
        connection.execute(
            "delete from ops.delivery where state = 'settling' and starts_with(location, %s)"
            " and location <> all(%s)",
            [f"{inbox}/", locations],
        )
        for file in files:
            if (file.location, file.mtime, file.bytes) not in known:
                connection.execute(
                    "insert into ops.delivery (file_name, location, bytes, mtime, put_at, state)"
                    " values (%s, %s, %s, %s, %s, 'settling')"
                    " on conflict (location) where state = 'settling' do update set bytes = excluded.bytes,"
                    " mtime = excluded.mtime, put_at = excluded.put_at, seen_at = clock_timestamp(), attempts = 0",
                    [file.file_name, file.location, file.bytes, file.mtime, file.put_at],
                )
        # A file that went back to an earlier state of itself leaves a row of the state in between.
        connection.execute(
            "delete from ops.delivery as d using unnest(%s::text[], %s::timestamptz[], %s::bigint[]) as f(location, mtime, bytes)"
            " where d.state = 'settling' and d.location = f.location"
            " and (d.mtime is distinct from f.mtime or d.bytes <> f.bytes)",
            [locations, [file.mtime for file in files], [file.bytes for file in files]],
        )
        _put_again(connection, files)
        return (
            connection.cursor(row_factory=class_row(Delivery))
            .execute(
                f"select {COLUMNS} from ops.delivery as d"
                " join unnest(%s::text[], %s::timestamptz[], %s::bigint[]) as f(l, m, b)"
                " on d.location = f.l and d.mtime is not distinct from f.m and d.bytes = f.b"
                " where state = 'unmatched' or (state = 'settling'"
                " and (%s or seen_at <= %s)) order by delivery_id",
                [
                    locations,
                    [file.mtime for file in files],
                    [file.bytes for file in files],
                    settle_seconds == 0,
                    *seen_before,
                ],
            )
            .fetchall()
        )


def _put_again(connection: psycopg.Connection, files: Sequence[Seen]) -> None:
    """Open the refusals of files that were put to their place once more; the clock is that of the place alone."""
    connection.execute(
        "update ops.delivery as d set put_at = f.put_at, state = case when again then 'settling' else state end,"
        " seen_at = case when again then clock_timestamp() else seen_at end,"
        " message_ja = case when again then null else message_ja end,"
        " load_id = case when again then null else load_id end,"
        " announced_at = case when again then null else announced_at end,"
        " settled_at = case when again then null else settled_at end, attempts = case when again then 0 else attempts end"
        " from (select f.*, d.delivery_id, d.put_at is not null and d.state = any(%s) as again"
        " from unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::timestamptz[]) as f(location, mtime, bytes, put_at)"
        " join ops.delivery as d on d.location = f.location and d.mtime is not distinct from f.mtime and d.bytes = f.bytes"
        " where f.put_at is not null and d.put_at is distinct from f.put_at"
        " and not exists (select 1 from ops.delivery as newer where newer.location = d.location"
        " and newer.delivery_id > d.delivery_id)) as f where d.delivery_id = f.delivery_id",
        [
            [*REFUSED, *SENT_BACK],
            [file.location for file in files],
            [file.mtime for file in files],
            [file.bytes for file in files],
            [file.put_at for file in files],
        ],
    )


def note_pulled(feed: str, seen: Seen, sha256: str, validators: dict[str, str]) -> Delivery:
    """Write down what was pulled from an address; the same bytes as the last time are the same delivery."""
    with connect() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [INBOX_LOCK])
        cursor = connection.cursor(row_factory=class_row(Delivery))
        last = cursor.execute(
            f"select {COLUMNS} from ops.delivery where location = %s order by delivery_id desc limit 1",
            [seen.location],
        ).fetchone()
        if last is not None and last.sha256 == sha256:
            connection.execute(
                "update ops.delivery set validators = %s where delivery_id = %s",
                [Jsonb(validators), last.delivery_id],
            )
            return last
        made = cursor.execute(
            "insert into ops.delivery (feed, file_name, location, bytes, mtime, sha256, validators, state)"
            " values (%s, %s, %s, %s, clock_timestamp(), %s, %s, 'settling')"
            " on conflict (location) where state = 'settling' do update set bytes = excluded.bytes,"
            " mtime = excluded.mtime, sha256 = excluded.sha256, validators = excluded.validators, attempts = 0"
            f" returning {COLUMNS}",
            [feed, seen.file_name, seen.location, seen.bytes, sha256, Jsonb(validators)],
        ).fetchone()
        assert made is not None
        return made


def validators_of(location: str) -> dict[str, str]:
    """ETag and Last-Modified of what was last taken from an address; empty when the last answer was of no use."""
    with connect() as connection:
        row = connection.execute(
            "select validators, state from ops.delivery where location = %s order by delivery_id desc limit 1",
            [location],
        ).fetchone()
    return dict(row[0]) if row and row[1] not in ("settling", *REFUSED) else {}


@contextmanager
def receiving(delivery_id: int) -> Iterator[psycopg.Connection | None]:
    """Take a delivery into hand: a connection that holds its lock, or None when there is nothing (left) to do.

    The try is counted before it begins, so that a file which kills its reader is known by that.
    """
    connection = connect()
    try:
        locked = connection.execute(
            "select pg_try_advisory_lock(%s, %s::integer)", [DELIVERY_LOCK, delivery_id]
        ).fetchone()
        counted = (
            locked
            and locked[0]
            and connection.execute(
                "update ops.delivery set attempts = attempts + 1 where delivery_id = %s and state in ('settling', 'unmatched')"
                " returning delivery_id",
                [delivery_id],
            ).fetchone()
        )
        connection.commit()
        yield connection if counted else None
    finally:
        connection.close()


def unsettle(connection: psycopg.Connection, delivery_id: int) -> Delivery:
    """The file moved while it was read: nothing was taken, the next look sees how it is now."""
    connection.execute(
        "update ops.delivery set seen_at = clock_timestamp(), attempts = attempts - 1 where delivery_id = %s",
        [delivery_id],
    )
    connection.commit()
    return find_delivery(connection, delivery_id)


def refuse(
    connection: psycopg.Connection,
    delivery_id: int,
    state: Literal["unmatched", "refused_personal", "unreadable"],
    message_ja: str,
    *,
    feed: str | None,
    sha256: str | None,
) -> Delivery:
    """Write down that a file was not taken, and why. Nothing of it is kept but its digest, name and size."""
    connection.execute(
        "update ops.delivery set state = %s, message_ja = %s, feed = %s, sha256 = coalesce(%s, sha256), attempts = 0,"
        " settled_at = clock_timestamp() where delivery_id = %s",
        [state, message_ja, feed, sha256, delivery_id],
    )
    connection.commit()
    return find_delivery(connection, delivery_id)


def accept(
    connection: psycopg.Connection, delivery_id: int, feed: str, landed: Landed, media_type: str
) -> Delivery:
    """Write down that the landed bytes are a delivery of the feed; `duplicate` when the feed has them already."""
    connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", [FEED_LOCK, feed])
    earlier = accepted_with(connection, feed, landed.sha256)
    if earlier is None:
        connection.execute(
            "insert into ops.landed (sha256, bytes, location, media_type) values (%s, %s, %s, %s) on conflict do nothing",
            [landed.sha256, landed.bytes, landed.location, media_type],
        )
    connection.execute(
        "update ops.delivery set state = %s, feed = %s, sha256 = %s, message_ja = %s, attempts = 0,"
        " received_at = clock_timestamp(), settled_at = case when %s then clock_timestamp() end where delivery_id = %s",
        [
            "received" if earlier is None else "duplicate",
            feed,
            landed.sha256,
            "受け付けました。取り込みを待っています。"
            if earlier is None
            else _same_bytes(connection, earlier),
            earlier is not None,
            delivery_id,
        ],
    )
    connection.commit()
    return find_delivery(connection, delivery_id)


def _same_bytes(connection: psycopg.Connection, earlier: Delivery) -> str:
    """The duplicate in words; it differs when something else came in between, because then somebody may want to go back."""
    message = (
        f"受付番号 {earlier.delivery_id}（{earlier.file_name}、{earlier.received_at:%Y-%m-%d %H:%M} 受付）と"
        "同じ内容のため、何もしていません。"
    )
    later = connection.execute(
        "select max(delivery_id) from ops.delivery where feed = %s and state = any(%s) and received_at > %s",
        [earlier.feed, list(ACCEPTED), earlier.received_at],
    ).fetchone()
    if later and later[0] is not None:
        message += f"その後に受付番号 {later[0]} を受け付けています。前の内容に戻す場合は、運用担当に再取込を依頼してください。"
    return message
