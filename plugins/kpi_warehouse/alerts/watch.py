"""The watcher: reconcile, escalate, digest, send, and show that it is alive. One round after the other, outside Airflow.

Whatever part of a round fails, what is owed is sent. A round that fails is tried again; from the third on the watcher says so
itself, without the database, until a channel takes it. Each good round pings the dead-man address, whose silence is the alarm for
the watcher's own death, and for messages that no channel takes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import requests
from psycopg.rows import class_row

from kpi_warehouse.alerts.channels import ChannelFailed, Message, channels_for
from kpi_warehouse.alerts.incidents import COLUMNS, FROM, Incident
from kpi_warehouse.alerts.messages import DAYS, digest
from kpi_warehouse.alerts.office_hours import JAPAN, add_business_days, business_days_between, is_open
from kpi_warehouse.alerts.reconcile import reconcile
from kpi_warehouse.alerts.sender import Delivered, deliver, revive
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

FAILED_ROUNDS = 3
MEETING_DAYS = 5
UNHEARD_MINUTES = 30
PING_SECONDS = 10
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """What one round found and did."""

    troubles: int
    delivered: Delivered


def watch_once() -> Round:
    """One round.

    Raises:
        KpiError, psycopg.Error: the warehouse or Airflow's database cannot be reached, or a setting is wrong.
    """
    failures: list[Exception] = []
    troubles = 0
    try:
        troubles = reconcile()
    except Exception as error:
        failures.append(error)
    now = datetime.now(UTC)
    parts: tuple[Callable[[], object], ...] = (
        lambda: raise_before_meetings(now),
        lambda: escalate(now),
        lambda: write_digest(now),
        revive,
    )
    for part in parts:
        try:
            part()
        except Exception as error:
            failures.append(error)
    delivered = deliver()
    if failures:
        raise failures[0]
    _beat()
    return Round(troubles, delivered)


def watch(stop: threading.Event) -> None:
    """Rounds until `stop` is set; errors are logged and told, never raised."""
    failures, told_at = 0, None
    while not stop.is_set():
        try:
            done = watch_once()
            if told_at is not None:
                _tell_directly("監視は再び働いています。", told_at, over=True)
            failures, told_at = 0, None
            if done.troubles or done.delivered.sent or done.delivered.failed:
                log.info("troubles=%d delivered=%s", done.troubles, done.delivered)
        except Exception as error:
            failures += 1
            told = error.message_ja if isinstance(error, KpiError) else type(error).__name__
            defect = not isinstance(error, KpiError | psycopg.Error | OSError)
            log.warning("round failed (%d): %s", failures, told, exc_info=defect)
            if failures >= FAILED_ROUNDS and told_at is None:
                now = datetime.now(UTC)
                told_at = now if _tell_directly(f"監視が働いていません：{told}", now) else None
        stop.wait(settings().watch_seconds)


def raise_before_meetings(now: datetime) -> int:
    """Five 開庁日 before a meeting of the 推進本部, what keeps a figure of the board from being right is 重大; returns how many."""
    today = now.astimezone(JAPAN).date()
    if not any(today <= day <= add_business_days(today, MEETING_DAYS) for day in settings().meeting_days):
        return 0
    with connect() as connection:
        return connection.execute(
            "update ops.incident set severity = '重大' where resolved_at is null and severity = '要対応' and kpis <> '{}'"
        ).rowcount


def escalate(now: datetime) -> int:
    """Owe an escalation for each grave incident that was told and that nobody acknowledged in time; returns how many."""
    owed = 0
    with connect() as connection:
        rows = connection.execute(
            "select i.incident_id, i.severity, n.sent_at, n.audience from ops.incident as i"
            " join ops.notification as n on n.incident_id = i.incident_id and n.kind = 'open' and n.state = 'sent'"
            " where i.resolved_at is null and i.acknowledged_at is null and i.severity in ('重大', '要対応')"
            " and not exists (select from ops.notification as e where e.incident_id = i.incident_id and e.kind = 'escalate')"
        ).fetchall()
        for number, severity, sent_at, audience in rows:
            days = business_days_between(sent_at.astimezone(JAPAN).date(), now.astimezone(JAPAN).date())
            if (now - sent_at).total_seconds() > 3600 if severity == "重大" else days > DAYS[severity]:
                owed += connection.execute(
                    "insert into ops.notification (incident_id, kind, audience, idempotency_key)"
                    " values (%s, 'escalate', %s, %s) on conflict do nothing",
                    [number, audience, f"INC-{number}/escalate"],
                ).rowcount
    return owed


def write_digest(now: datetime) -> bool:
    """Once a 開庁日: what nobody was rung for since the last digest. False when it is written, closed, or there is nothing."""
    if not is_open(now):
        return False
    day = now.astimezone(JAPAN).date()
    with connect() as connection:
        connection.execute(
            "insert into ops.watch (name, beat_at) values ('digest', 'epoch') on conflict do nothing"
        )
        row = connection.execute("select beat_at from ops.watch where name = 'digest' for update").fetchone()
        assert row is not None
        since = row[0]
        if since.astimezone(JAPAN).date() >= day:
            return False
        incidents = (
            connection.cursor(row_factory=class_row(Incident))
            .execute(
                f"select {COLUMNS} from {FROM} where i.incident_id in (select incident_id from ops.notification"
                " where state = 'digested' and digest_id is null) order by i.incident_id"
            )
            .fetchall()
        )
        flagged = connection.execute(
            "select coalesce(f.title_ja, l.feed), r.reason_ja, sum(r.unexpected_count) from ops.load as l"
            " join ops.gate_result as r using (load_id) left join ops.feed as f on f.feed = l.feed"
            " where l.verdict = 'flagged' and not r.success and l.finished_at > %s group by 1, 2 order by 1, 2 limit 50",
            [since],
        ).fetchall()
        connection.execute("update ops.watch set beat_at = %s where name = 'digest'", [now])
        if not incidents and not flagged:
            return False
        marks = [f"{title}：{reason}（{count:,} 件）" for title, reason, count in flagged]
        ended = [(i, "復旧" if i.resolved_at else "継続中") for i in incidents]
        subject, body = digest(ended, marks, day)
        # Taken into this one by name, not by time: some are put off into the digest only after it was written.
        connection.execute(
            "with digest as (insert into ops.notification (kind, audience, idempotency_key, subject_ja, body_ja)"
            " values ('digest', 'engineer', %s, %s, %s) returning notification_id)"
            " update ops.notification as n set digest_id = digest.notification_id from digest"
            " where n.state = 'digested' and n.digest_id is null and n.incident_id = any(%s)",
            [f"digest/{day}", subject, body, [incident.incident_id for incident in incidents]],
        )
    return True


def _beat() -> None:
    with connect() as connection:
        connection.execute(
            "insert into ops.watch (name, beat_at) values ('watch', clock_timestamp())"
            " on conflict (name) do update set beat_at = excluded.beat_at"
        )
    address = settings().deadman_url
    if address is None or _nobody_hears():
        return
    try:
        requests.get(address.get_secret_value(), timeout=PING_SECONDS).raise_for_status()
    except requests.RequestException as error:
        # Only the kind: the text repeats the address, which is a secret. The other side notices the silence.
        log.warning("dead-man ping failed: %s", type(error).__name__)


def _nobody_hears() -> bool:
    """Whether a message that no channel takes is all that could say so: then our silence must."""
    with connect() as connection:
        row = connection.execute(
            "select exists (select from ops.notification where state in ('waiting', 'dead') and attempts > 0"
            " and last_error is not null and created_at < clock_timestamp() - make_interval(mins => %s))",
            [UNHEARD_MINUTES],
        ).fetchone()
    return row == (True,)


def _tell_directly(text: str, began: datetime, *, over: bool = False) -> bool:
    """Without the database there is no outbox: one message at once, by the first channel that takes it; whether one did."""
    now = datetime.now(UTC)
    message = Message(
        key=f"watch/{'resolve' if over else 'open'}/{began:%Y%m%dT%H%M%SZ}",
        thread="watch",
        kind="resolve" if over else "open",
        severity="重大",
        subject=f"【KPI監視／{'復旧' if over else '重大'}】{' '.join(text.split())[:60]}",
        body=text,
        created_at=now,
        facts={"cause": "watch", "opened_at": began.isoformat()},
        resolved_at=now if over else None,
        started_at=began,
    )
    try:
        channels = channels_for(None, "engineer", now.astimezone(JAPAN).date())
    except KpiError as error:
        log.warning("%s", error.message_ja)
        return False
    for channel in channels:
        try:
            channel.send(message)
        except Exception as error:
            log.warning(
                "%s: %s", channel.name, error if isinstance(error, ChannelFailed) else type(error).__name__
            )
        else:
            return True
    return False
