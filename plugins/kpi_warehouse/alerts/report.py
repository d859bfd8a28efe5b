"""Proof that alerts work: what was owed, delivered, doubled, lost, and how long it took; by channel and by month."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from kpi_warehouse.warehouse.connection import connect

_MONTH = """
with opened as (
    select * from ops.incident where opened_at >= %(first)s and opened_at < %(first)s + interval '1 month'
),
told as (
    select
        i.incident_id, i.opened_at, i.resolved_at, i.acknowledged_at,
        min(n.sent_at) filter (where n.kind = 'open') as told_at,
        bool_or(n.kind = 'open' and n.state in ('waiting', 'dead')) as owed,
        bool_or(n.kind = 'open' and n.state = 'sent') as sent,
        bool_or(n.kind = 'open' and n.state = 'cancelled') as passed,
        bool_or(n.kind = 'resolve' and n.state = 'sent') as recovery_sent
    from opened as i left join ops.notification as n using (incident_id) group by 1, 2, 3, 4
)
select
    count(*) as incidents,
    count(*) filter (where sent) as told,
    count(*) filter (where passed) as passed,
    count(*) filter (where owed) as owed,
    count(*) filter (where resolved_at is not null) as resolved,
    count(*) filter (where recovery_sent) as recoveries_told,
    count(*) filter (where acknowledged_at is not null) as acknowledged,
    percentile_cont(0.5) within group (order by extract(epoch from told_at - opened_at) / 60) as minutes_to_tell,
    percentile_cont(0.5) within group (order by extract(epoch from resolved_at - opened_at) / 60) as minutes_to_end,
    (select count(*) from ops.load where state in ('failed', 'rejected')
        and opened_at >= %(first)s and opened_at < %(first)s + interval '1 month') as failed_loads,
    (select count(*) from ops.load as l where state in ('failed', 'rejected')
        and opened_at >= %(first)s and opened_at < %(first)s + interval '1 month'
        and not exists (select from ops.incident_load as k where k.load_id = l.load_id)
        and not exists (select from ops.cause_code as c where c.cause is null and c.code_pattern = l.error_code)) as unnoticed
from told
"""


def channel_use() -> dict[str, dict[str, Any]]:
    """By channel: messages in the last seven days (`week`), `last_sent_at`, `failures` in a row, `open_until`, `last_error`."""
    with connect() as connection:
        rows = (
            connection.cursor(row_factory=dict_row)
            .execute(
                "select channel, (select count(*) from ops.notification as n where n.channel = s.channel"
                " and sent_at > clock_timestamp() - interval '7 days') as week, last_sent_at, failures, open_until,"
                " last_error from ops.channel_state as s order by channel"
            )
            .fetchall()
        )
    return {row["channel"]: row for row in rows}


def monthly_report(first: datetime) -> str:
    """The month's figures in Japanese. `first` is its first instant, with a zone."""
    with connect() as connection:
        row = connection.cursor(row_factory=dict_row).execute(_MONTH, {"first": first}).fetchone()
        causes = connection.execute(
            "select c.title_ja, count(*) from ops.incident as i join ops.cause as c using (cause)"
            " where i.opened_at >= %(first)s and i.opened_at < %(first)s + interval '1 month'"
            " group by 1 order by 2 desc, 1",
            {"first": first},
        ).fetchall()
    assert row is not None
    lines = [
        f"通知の月次報告　{first:%Y年%-m月}",
        "",
        f"失敗した取込　　　　{row['failed_loads']:>6} 件（うち異常として記録されなかったもの {row['unnoticed']} 件）",
        f"異常　　　　　　　　{row['incidents']:>6} 件",
        f"　知らせた　　　　　{row['told']:>6} 件",
        f"　知らせる前に復旧　{row['passed']:>6} 件",
        f"　まだ届いていない　{row['owed']:>6} 件",
        f"復旧　　　　　　　　{row['resolved']:>6} 件（知らせた {row['recoveries_told']} 件）",
        f"確認済み　　　　　　{row['acknowledged']:>6} 件",
        f"知らせるまで（中央値）{_minutes(row['minutes_to_tell'])}",
        f"直るまで（中央値）　　{_minutes(row['minutes_to_end'])}",
        "",
        "原因別",
        *(f"　{title}　{count} 件" for title, count in causes),
    ]
    return "\n".join(lines)


def _minutes(value: Any) -> str:
    return "—" if value is None else f"{float(value):.1f} 分"
