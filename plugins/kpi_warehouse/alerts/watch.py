"""The watcher: reconcile, escalate, digest, send, and show that it is alive. One round after the other, outside Airflow.

A round that fails is tried again; after the third the watcher says so itself, without the database, to the engineers'
channel. Each good round pings the dead-man address: its silence is the alarm for the watcher's own death.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import requests
from psycopg.rows import class_row

from kpi_warehouse.alerts.channels import ChannelFailed, Message, channels_for
from kpi_warehouse.alerts.incidents import COLUMNS, FROM, Incident
from kpi_warehouse.alerts.messages import DAYS, digest
from kpi_warehouse.alerts.office_hours import JAPAN, business_days_between, is_open
from kpi_warehouse.alerts.reconcile import reconcile
from kpi_warehouse.alerts.sender import Delivered, deliver, revive
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

FAILED_ROUNDS = 3
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
    troubles = reconcile()
    escalate()
    write_digest(datetime.now(UTC))
    revive()
    delivered = deliver()
    _beat()
    return Round(troubles, delivered)


def watch(stop: threading.Event) -> None:
    """Rounds until `stop` is set; errors are logged and told, never raised."""
    failures = 0
    while not stop.is_set():
        try:
            done = watch_once()
            if failures >= FAILED_ROUNDS:
                _tell_directly("復旧", "監視は再び働いています。")
            failures = 0
            if done.troubles or done.delivered.sent or done.delivered.failed:
                log.info("troubles=%d delivered=%s", done.troubles, done.delivered)
        except (KpiError, psycopg.Error, OSError) as error:
            failures += 1
            told = error.message_ja if isinstance(error, KpiError) else type(error).__name__
            log.warning("round failed (%d): %s", failures, told)
            if failures == FAILED_ROUNDS:
                _tell_directly("重大", f"監視が働いていません：{told}")
        stop.wait(settings().watch_seconds)


def escalate() -> int:
    """Owe an escalation for each grave incident that was told and that nobody acknowledged in time; returns how many."""
    now, owed = datetime.now(UTC), 0
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
                " where state = 'digested' and created_at > %s) order by i.incident_id",
                [since],
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
        connection.execute(
            "insert into ops.notification (kind, audience, idempotency_key, subject_ja, body_ja)"
            " values ('digest', 'engineer', %s, %s, %s) on conflict do nothing",
            [f"digest/{day}", subject, body],
        )
    return True


def _beat() -> None:
    with connect() as connection:
        connection.execute(
            "insert into ops.watch (name, beat_at) values ('watch', clock_timestamp())"
            " on conflict (name) do update set beat_at = excluded.beat_at"
        )
    address = settings().deadman_url
    if address is None:
        return
    try:
        requests.get(address.get_secret_value(), timeout=PING_SECONDS).raise_for_status()
    except requests.RequestException as error:
        # Only the kind: the text repeats the address, which is a secret. The other side notices the silence.
        log.warning("dead-man ping failed: %s", type(error).__name__)


def _tell_directly(severity: str, text: str) -> None:
    """Without the database there is no outbox: one message at once, by the first channel that takes it."""
    now = datetime.now(UTC)
    key = f"watch/{now:%Y%m%dT%H%M%S}"
    shown = "情報" if severity == "復旧" else severity
    message = Message(key, "watch", "open", shown, f"【KPI監視／{severity}】{text[:60]}", text, now)
    for channel in channels_for(None, "engineer", now.astimezone(JAPAN).date()):
        try:
            channel.send(message)
        except ChannelFailed as error:
            log.warning("%s: %s", channel.name, error)
        else:
            return
