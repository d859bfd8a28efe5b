"""The outbox: takes what is owed, one at a time under a lease, and delivers it at least once.

A notification is claimed (`for update skip locked`), its attempt counted and committed, then sent, then marked. A sender that is
killed between the two leaves a lease that runs out, and the next one sends the same message under the same idempotency key.
A channel that fails five times in a row is left alone for a while (circuit breaker); a notification that failed three times on
one channel goes by the next; one that no channel takes is a dead letter, which is trouble of its own and is told by another
channel. Dead letters are taken up again when their channel works again, and before anything later of the same incident: nothing
owed is ever dropped. A message whose facts cannot be read is sent without them.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from kpi_warehouse.alerts.channels import Channel, ChannelFailed, Message, channels_for, every_channel
from kpi_warehouse.alerts.incidents import Incident, Trouble, find, report
from kpi_warehouse.alerts.messages import bare_message, key_of, message_of
from kpi_warehouse.alerts.office_hours import JAPAN, is_open, next_opening
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

log = logging.getLogger(__name__)
TRIES_A_CHANNEL = 3
TRIES = 12
BREAKER_OPENS_AFTER = 5
LONGEST_PAUSE_TIMES = 120
# A recovery, or that a publication was taken back, waits this long for the marts, to say which KPI changed from what to what.
WAIT_FOR_BUILD_MINUTES = 15
# More than 30–50 messages a week and channel, and people stop reading them (vendors' own surveys).
BUDGET_A_WEEK = 30

_CLAIM = """
update ops.notification set attempts = attempts + 1, lapses = lapses + (leased_until is not null)::int,
    leased_until = clock_timestamp() + make_interval(secs => %(lease)s)
where notification_id = (
    select n.notification_id from ops.notification as n left join ops.incident as i using (incident_id)
    where n.state = 'waiting' and n.next_try_at <= clock_timestamp()
        and (n.leased_until is null or n.leased_until < clock_timestamp())
        and not exists (
            select from ops.notification as earlier where earlier.incident_id = n.incident_id
            and earlier.notification_id < n.notification_id and earlier.state in ('waiting', 'dead')
        )
        and (
            not n.after_build or coalesce(i.resolved_at, i.opened_at) < clock_timestamp() - make_interval(mins => %(wait)s)
            or exists (
                select from ops.build as b where b.state = 'published' and b.as_of is null
                    and b.started_at > case n.kind when 'resolve' then i.resolved_at else i.opened_at end
            )
        )
    order by n.next_try_at, n.notification_id for update of n skip locked limit 1
)
returning *
"""


@dataclass
class Delivered:
    """What one round of the sender did, in notifications."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    put_off: int = 0


def deliver(limit: int = 1000) -> Delivered:
    """Send what is due, at most `limit` notifications.

    Raises:
        KpiError: `KPI_ALERT_URLS` is wrong, or the database cannot be reached.
    """
    done = Delivered()
    with connect(autocommit=True) as connection:
        for _ in range(limit):
            notification = _claim(connection)
            if notification is None:
                break
            _deliver_one(connection, notification, done)
    return done


def _claim(connection: psycopg.Connection) -> dict[str, Any] | None:
    wanted = {"lease": settings().alert_lease_seconds, "wait": WAIT_FOR_BUILD_MINUTES}
    return connection.cursor(row_factory=dict_row).execute(_CLAIM, wanted).fetchone()


def _deliver_one(connection: psycopg.Connection, notification: dict[str, Any], done: Delivered) -> None:
    number, incident, now = notification["notification_id"], None, datetime.now(UTC)
    if notification["incident_id"] is not None:
        incident = find(connection, notification["incident_id"])
        if (state := _not_to_be_sent(connection, notification, incident)) is not None:
            _end(connection, number, state)
            done.put_off += 1
            return
    candidates = _candidates(notification, incident, now)
    channel = _working(connection, candidates, notification)
    if channel is None:
        _put_off(connection, number, _soonest(connection, candidates, now))
        done.put_off += 1
        return
    rings = incident is not None and channel.disturbs and incident.severity != "重大"
    if rings and settings().alert_quiet_hours and not is_open(now):
        _put_off(connection, number, next_opening(now))
        done.put_off += 1
        return
    if incident is not None and _for_digest(connection, channel, incident, notification):
        _end(connection, number, "digested")
        done.put_off += 1
        return
    message = _message(connection, notification, incident)
    try:
        channel.send(message)
    except Exception as error:
        # A message that a channel chokes on must not keep the others waiting.
        failure = (
            error if isinstance(error, ChannelFailed) else ChannelFailed(type(error).__name__, passing=False)
        )
        _failed(connection, notification, incident, channel, candidates, failure, done)
        return
    with connection.transaction():
        if notification["kind"] == "resolve":
            connection.execute(
                "update ops.incident set values_after = ops.kpi_values(kpis) where incident_id = %s",
                [notification["incident_id"]],
            )
        connection.execute(
            "update ops.notification set state = 'sent', sent_at = clock_timestamp(), leased_until = null, channel = %s,"
            " subject_ja = %s, body_ja = %s, last_error = null where notification_id = %s",
            [channel.name, message.subject, message.body, number],
        )
        connection.execute(
            "insert into ops.channel_state (channel, last_sent_at) values (%s, clock_timestamp()) on conflict (channel)"
            " do update set failures = 0, open_until = null, last_sent_at = excluded.last_sent_at",
            [channel.name],
        )
    done.sent += 1


def _not_to_be_sent(
    connection: psycopg.Connection, notification: dict[str, Any], incident: Incident
) -> str | None:
    """The state of a notification that is not sent: its feed or cause is muted, or it is for the digest."""
    if notification["kind"] != "resolve":
        muted = connection.execute(
            "select exists (select from ops.mute where until > clock_timestamp()"
            " and (cause is null or cause = %s) and (feed is null or feed = any(%s)))",
            [incident.cause, [incident.feed, *incident.feeds]],
        ).fetchone()
        if muted and muted[0]:
            return "muted"
    # A drill must arrive to prove that messages do.
    return "digested" if incident.severity == "情報" and incident.cause != "drill" else None


def _candidates(notification: dict[str, Any], incident: Incident | None, now: datetime) -> list[Channel]:
    today = now.astimezone(JAPAN).date()
    if incident is not None and incident.cause == "sender_failing":
        return [
            channel for channel in every_channel(today) if channel.name != incident.subject
        ] or every_channel(today)
    audience = "escalation" if notification["kind"] == "escalate" else str(notification["audience"])
    return channels_for(incident.owner_ja if incident else None, audience, today)


def _working(
    connection: psycopg.Connection, candidates: list[Channel], notification: dict[str, Any]
) -> Channel | None:
    """The channel to try: the first that is not left alone, further down after failed tries; None when all are."""
    resting = {
        name
        for (name,) in connection.execute(
            "select channel from ops.channel_state where open_until > clock_timestamp()"
        )
    }
    skip = min((notification["attempts"] - 1) // TRIES_A_CHANNEL, len(candidates) - 1)
    order = [*candidates[skip:], *candidates[:skip]]
    return next((channel for channel in order if channel.name not in resting), None)


def _soonest(connection: psycopg.Connection, candidates: list[Channel], now: datetime) -> datetime:
    row = connection.execute(
        "select min(open_until) from ops.channel_state where channel = any(%s)",
        [[channel.name for channel in candidates]],
    ).fetchone()
    return row[0] if row and row[0] else now + timedelta(seconds=settings().alert_retry_seconds)


def _for_digest(
    connection: psycopg.Connection, channel: Channel, incident: Incident, notification: dict[str, Any]
) -> bool:
    """Whether a channel has had its share of the week. A recovery goes the way its opening went."""
    if notification["kind"] == "resolve":
        row = connection.execute(
            "select state = 'digested' from ops.notification where incident_id = %s and kind = 'open'",
            [incident.incident_id],
        ).fetchone()
        return bool(row and row[0])
    if incident.severity not in ("注意", "情報") or not channel.disturbs:
        return False
    row = connection.execute(
        "select count(*) from ops.notification where channel = %s and sent_at > clock_timestamp() - interval '7 days'",
        [channel.name],
    ).fetchone()
    return row is not None and row[0] >= BUDGET_A_WEEK


def _message(
    connection: psycopg.Connection, notification: dict[str, Any], incident: Incident | None
) -> Message:
    if incident is not None:
        try:
            with connection.transaction():
                return message_of(connection, incident, notification)
        except Exception:
            log.exception("%s: facts cannot be read", notification["idempotency_key"])
            return bare_message(incident, notification)
    return Message(
        key=key_of(notification),
        thread=notification["idempotency_key"].replace("/", "-"),
        kind=notification["kind"],
        severity="情報",
        subject=notification["subject_ja"],
        body=notification["body_ja"],
        created_at=notification["created_at"],
    )


def _failed(
    connection: psycopg.Connection,
    notification: dict[str, Any],
    incident: Incident | None,
    channel: Channel,
    candidates: list[Channel],
    error: ChannelFailed,
    done: Delivered,
) -> None:
    """Note a failed try: again later, by the next channel, or a dead letter with an incident, all in one transaction."""
    attempts = int(notification["attempts"])
    if not error.passing:
        # This channel will never take it: what is left of its tries is given up.
        attempts += TRIES_A_CHANNEL - 1 - (attempts - 1) % TRIES_A_CHANNEL
    last = attempts >= min(TRIES, TRIES_A_CHANNEL * len(candidates))
    pause = _pause(attempts)
    with connection.transaction():
        row = connection.execute(
            "insert into ops.channel_state (channel, failures, last_error) values (%s, 1, %s) on conflict (channel)"
            " do update set failures = channel_state.failures + 1, last_error = excluded.last_error returning failures",
            [channel.name, str(error)],
        ).fetchone()
        assert row is not None
        if row[0] >= BREAKER_OPENS_AFTER:
            connection.execute(
                "update ops.channel_state set open_until = clock_timestamp() + make_interval(secs => %s)"
                " where channel = %s",
                [_pause(row[0]), channel.name],
            )
        connection.execute(
            "update ops.notification set state = %s, dead_at = case when %s then clock_timestamp() end, attempts = %s,"
            " next_try_at = clock_timestamp() + make_interval(secs => %s), leased_until = null, channel = %s,"
            " last_error = %s where notification_id = %s",
            [
                "dead" if last else "waiting",
                last,
                attempts,
                pause,
                channel.name,
                str(error),
                notification["notification_id"],
            ],
        )
        if last and (incident is None or incident.cause != "sender_failing"):
            told = f"通知経路「{channel.name}」へ届けられません：{error}"
            report(
                connection, Trouble("sender_failing", told, subject=channel.name, code="alerts.dead_letter")
            )
    done.failed += 1
    done.dead += last


def revive() -> int:
    """Owe dead letters again whose channel has worked since, and others after an hour; and what was muted when the mute has run
    out and the trouble has not. Returns how many."""
    with connect() as connection:
        woken = connection.execute(
            "update ops.notification as n set state = 'waiting', next_try_at = clock_timestamp() from ops.incident as i"
            " where i.incident_id = n.incident_id and n.state = 'muted' and n.kind = 'open' and i.resolved_at is null"
            " and not exists (select from ops.mute as m where m.until > clock_timestamp()"
            " and (m.cause is null or m.cause = i.cause) and (m.feed is null or m.feed = i.feed or m.feed in ("
            " select l.feed from ops.incident_load as l where l.incident_id = i.incident_id)))"
        ).rowcount
        return (
            woken
            + connection.execute(
                "update ops.notification as n set state = 'waiting', attempts = 0, dead_at = null,"
                " next_try_at = clock_timestamp() where state = 'dead' and (dead_at < clock_timestamp() - interval '1 hour'"
                " or exists (select from ops.channel_state as c where c.channel = n.channel and c.failures = 0"
                " and c.last_sent_at > n.dead_at))"
            ).rowcount
        )


def _end(connection: psycopg.Connection, number: int, state: str) -> None:
    connection.execute(
        "update ops.notification set state = %s, leased_until = null where notification_id = %s",
        [state, number],
    )


def _put_off(connection: psycopg.Connection, number: int, until: datetime) -> None:
    """Not now: that is no failed try."""
    connection.execute(
        "update ops.notification set attempts = attempts - 1, leased_until = null, next_try_at = %s"
        " where notification_id = %s",
        [until, number],
    )


def _pause(failures: int) -> float:
    """Seconds until the next try: doubling, with jitter, so that senders do not come back together."""
    longest: float = settings().alert_retry_seconds * min(2 ** min(failures - 1, 12), LONGEST_PAUSE_TIMES)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
