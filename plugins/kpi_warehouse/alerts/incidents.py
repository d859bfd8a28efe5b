"""The book of incidents: what is wrong, since when, who is told, and what a person decided about it.

Incidents of loads, builds, held rows and refused files are opened and settled by the database in the transaction that
records what happened (migration 0006). What nobody could record (a dead scheduler, a file that never came) is reported
here by whoever notices it; reporting the same again changes nothing but the time it was last seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row, dict_row

from kpi_warehouse.errors import KpiError
from kpi_warehouse.warehouse.connection import connect

Severity = Literal["重大", "要対応", "注意", "情報"]
COLUMNS = (
    "i.incident_id, i.cause, c.title_ja, i.severity, i.feed, f.title_ja as feed_ja, i.period, i.subject, i.code, i.summary_ja,"
    " i.owner_ja, i.kpis, i.values_before, i.occurrences, i.opened_at, i.last_seen_at, i.acknowledged_at, i.acknowledged_by,"
    " i.resolved_at, i.resolution_ja, i.resolved_load_id, c.guess_ja, c.steps_ja, c.ends_with,"
    " (select max(load_id) from ops.incident_load as l where l.incident_id = i.incident_id) as load_id,"
    " (select max(l.period_to) from ops.incident_load as k join ops.load as l using (load_id)"
    " where k.incident_id = i.incident_id and l.feed = i.feed) as period_to,"
    " (select coalesce(array_agg(distinct l.feed order by l.feed), '{}') from ops.incident_load as l"
    " where l.incident_id = i.incident_id) as feeds"
)
FROM = "ops.incident as i join ops.cause as c using (cause) left join ops.feed as f on f.feed = i.feed"


@dataclass(frozen=True)
class Incident:
    """An incident with what is known of its cause and feed. `feed` is None for the system and for shared trouble;
    `feeds` are those whose loads are part of it; `values_before` holds each affected KPI's value when it opened."""

    incident_id: int
    cause: str
    title_ja: str
    severity: Severity
    feed: str | None
    feed_ja: str | None
    period: date | None
    subject: str | None
    code: str | None
    summary_ja: str
    owner_ja: str | None
    kpis: list[str]
    values_before: dict[str, str] | None
    occurrences: int
    opened_at: datetime
    last_seen_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolution_ja: str | None
    resolved_load_id: int | None
    guess_ja: str
    steps_ja: list[str]
    ends_with: str
    load_id: int | None
    period_to: date | None
    feeds: list[str]

    @property
    def reference(self) -> str:
        """What people quote: `INC-12`."""
        return f"INC-{self.incident_id}"


@dataclass(frozen=True)
class Trouble:
    """Something a watcher noticed. `subject` tells it from others of the same cause when no feed does."""

    cause: str
    summary_ja: str
    feed: str | None = None
    period: date | None = None
    subject: str | None = None
    code: str | None = None
    load_id: int | None = None


def report(connection: psycopg.Connection, trouble: Trouble) -> int:
    """Open the incident of this trouble, or note that it is still there; returns its number. In the caller's transaction."""
    row = connection.execute(
        "select ops.report_trouble(%s, %s, %s, %s, %s, %s, %s)",
        [
            trouble.cause,
            trouble.feed,
            trouble.period,
            trouble.code,
            trouble.summary_ja,
            trouble.load_id,
            trouble.subject,
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def settle(connection: psycopg.Connection, incident_id: int, resolution_ja: str) -> bool:
    """Resolve an incident, which owes its readers a notice; False when it was resolved before."""
    row = connection.execute("select ops.settle_trouble(%s, %s)", [incident_id, resolution_ja]).fetchone()
    return bool(row and row[0])


def tell_now(run_ref: str) -> int:
    """A run has used up its tries: what waited to see whether it passes by itself is due now. Returns how many."""
    with connect() as connection:
        return connection.execute(
            "update ops.notification as n set next_try_at = clock_timestamp() from ops.incident_load as l"
            " join ops.load using (load_id) where n.incident_id = l.incident_id and ops.load.run_ref = %s"
            " and n.kind = 'open' and n.state = 'waiting' and n.next_try_at > clock_timestamp()",
            [run_ref],
        ).rowcount


def find(connection: psycopg.Connection, incident_id: int) -> Incident:
    """One incident.

    Raises:
        KpiError: no such incident.
    """
    found = (
        connection.cursor(row_factory=class_row(Incident))
        .execute(f"select {COLUMNS} from {FROM} where i.incident_id = %s", [incident_id])
        .fetchone()
    )
    if found is None:
        raise KpiError(
            f"INC-{incident_id} はありません。`kpi incident list` で確認してください。", "incident.unknown"
        )
    return found


def incidents(*, resolved: bool = False, limit: int = 100) -> list[Incident]:
    """Open incidents, the gravest first; with `resolved` all, newest first."""
    order = (
        "i.incident_id desc"
        if resolved
        else "array_position(array['重大', '要対応', '注意', '情報'], i.severity), i.incident_id"
    )
    where = "true" if resolved else "i.resolved_at is null"
    with connect() as connection:
        return (
            connection.cursor(row_factory=class_row(Incident))
            .execute(f"select {COLUMNS} from {FROM} where {where} order by {order} limit %s", [limit])
            .fetchall()
        )


def notifications(incident_id: int) -> list[dict[str, Any]]:
    """What was, is and will be sent about an incident, in order: one dict per row of `ops.notification`."""
    with connect() as connection:
        return (
            connection.cursor(row_factory=dict_row)
            .execute(
                "select * from ops.notification where incident_id = %s order by notification_id",
                [incident_id],
            )
            .fetchall()
        )


def acknowledge(incident_id: int, who: str) -> Incident:
    """Note that somebody has it in hand: it is not escalated any more. Said again, the first stands.

    Args:
        who: a department or a desk, never a person's name.

    Raises:
        KpiError: no such incident, it is resolved already, or `who` is empty.
    """
    if not who.strip():
        raise KpiError("確認した課・担当を書いてください（個人名は書かない）。", "incident.nobody")
    with connect() as connection:
        found = find(connection, incident_id)
        if found.resolved_at is not None:
            raise KpiError(
                f"{found.reference} は復旧済みです（{found.resolution_ja}）。", "incident.resolved"
            )
        connection.execute(
            "update ops.incident set acknowledged_at = clock_timestamp(), acknowledged_by = %s"
            " where incident_id = %s and acknowledged_at is null",
            [who.strip(), incident_id],
        )
        return find(connection, incident_id)


def close(incident_id: int, reason_ja: str) -> Incident:
    """Resolve by hand what nothing else will end.

    Raises:
        KpiError: no such incident, it is resolved already, no reason is given, or the watcher would open it again at once.
    """
    if not reason_ja.strip():
        raise KpiError("終わりとする理由を書いてください。", "incident.no_reason")
    with connect() as connection:
        found = find(connection, incident_id)
        if found.ends_with == "watch" and found.cause != "not_delivered":
            raise KpiError(
                f"INC-{incident_id} は、監視が正常を確認すると自動で終わります。それまで知らせを止めるには `kpi incident mute`"
                " を使ってください。",
                "incident.watched",
            )
        if not settle(connection, incident_id, reason_ja.strip()):
            raise KpiError(f"INC-{incident_id} は復旧済みです。", "incident.resolved")
        connection.execute(
            "update ops.incident set closed_by_hand = true where incident_id = %s", [incident_id]
        )
        return find(connection, incident_id)


def mute(feed: str | None, cause: str | None, until: datetime, reason_ja: str) -> None:
    """Send nothing about a feed or a cause until then, except that it is over.

    Args:
        until: with a time zone.

    Raises:
        KpiError: neither is given, the cause is unknown, no reason, or the time is past.
    """
    if feed is None and cause is None:
        raise KpiError("止めるフィードか原因を指定してください。", "mute.everything")
    if not reason_ja.strip():
        raise KpiError("止める理由を書いてください。", "mute.no_reason")
    if until <= datetime.now(until.tzinfo):
        raise KpiError(f"{until:%Y-%m-%d %H:%M} は過ぎています。", "mute.past")
    with connect() as connection:
        known = [name for (name,) in connection.execute("select cause from ops.cause order by 1")]
        if cause is not None and cause not in known:
            raise KpiError(
                f"原因「{cause}」はありません。{'、'.join(known)} のいずれかです。", "mute.unknown_cause"
            )
        connection.execute(
            "insert into ops.mute (feed, cause, until, reason_ja) values (%s, %s, %s, %s)",
            [feed, cause, until, reason_ja.strip()],
        )
