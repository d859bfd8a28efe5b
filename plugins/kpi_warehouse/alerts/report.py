"""Proof that alerts work: what was owed, delivered, doubled, lost, and how long it took; by channel and by month."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from kpi_warehouse.alerts.incidents import Incident
from kpi_warehouse.alerts.messages import FEEDS, RUNBOOK
from kpi_warehouse.errors import KpiError
from kpi_warehouse.warehouse.connection import connect


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


def feed_facts(connection: psycopg.Connection, incident: Incident) -> list[str]:
    """What, whose, the last good value and how to do it again, of each feed of an incident, in Japanese."""
    rows = connection.execute(
        "select f.feed, f.title_ja, f.owner_ja, good.load_id, good.published_at, good.period_from, good.period_to"
        " from ops.feed as f left join lateral (select * from ops.load as l where l.feed = f.feed and l.state = 'published'"
        " order by l.load_id desc limit 1) as good on true where f.feed = any(%s) order by f.feed",
        [list(dict.fromkeys([*([incident.feed] if incident.feed else []), *incident.feeds]))],
    ).fetchall()
    lines = []
    for feed, title, owner, load_id, published_at, first, last in rows:
        good = (
            f"取込番号 {load_id}（{first:%Y-%m}〜{last:%Y-%m}、{published_at:%Y-%m-%d %H:%M} 公表）"
            if load_id and first and last
            else "まだありません"
        )
        lines.append(f"　{feed}　{title}　所管 {owner}　最後に受け入れた値：{good}　{FEEDS}#{feed}")
    if incident.load_id is not None:
        lines.append(f"　やり直し：kpi replay {incident.load_id}　手引き：{RUNBOOK}#{incident.cause}")
    return lines


def monthly_report(first: datetime) -> str:
    """The month's figures from `mart_alert_ledger`, in Japanese. `first` is its first instant, with a zone.

    Raises:
        KpiError: the marts have not been built yet.
    """
    with connect("kpi_transformer") as connection:
        try:
            row = (
                connection.cursor(row_factory=dict_row)
                .execute("select * from marts.mart_alert_ledger where month = %s", [first.date()])
                .fetchone()
            )
        except psycopg.errors.UndefinedTable:
            raise KpiError(
                "マートがまだありません。`kpi build` を実行してください。", "marts.not_built"
            ) from None
        if row is None:
            return f"通知の月次報告　{first:%Y年%-m月}\n\n失敗した取込も異常もありません。"
        causes = connection.execute(
            "select c.title_ja, count(*) from ops.incident as i join ops.cause as c using (cause)"
            " where i.opened_at >= %(first)s and i.opened_at < %(first)s + interval '1 month'"
            " group by 1 order by 2 desc, 1",
            {"first": first},
        ).fetchall()
    lines = [
        f"通知の月次報告　{first:%Y年%-m月}",
        "",
        f"失敗した取込　　　　{row['failed_loads']:>6} 件（うち異常として記録されなかったもの {row['unnoticed_loads']} 件）",
        f"異常　　　　　　　　{row['incidents']:>6} 件",
        f"　知らせた　　　　　{row['told_incidents']:>6} 件",
        f"　知らせる前に復旧　{row['passed_incidents']:>6} 件",
        f"　まとめ・停止中　　{row['digested_incidents']:>6} 件",
        f"　まだ届いていない　{row['owed_incidents']:>6} 件",
        f"復旧　　　　　　　　{row['resolved_incidents']:>6} 件（知らせた {row['told_recoveries']} 件）",
        f"確認済み　　　　　　{row['acknowledged_incidents']:>6} 件",
        f"知らせるまで（中央値）{_minutes(row['median_minutes_to_tell'])}",
        f"直るまで（中央値）　　{_minutes(row['median_minutes_to_end'])}",
        f"重複のおそれ　　　　{row['repeated_notices']:>6} 通",
        "",
        "原因別",
        *(f"　{title}　{count} 件" for title, count in causes),
    ]
    return "\n".join(lines)


def _minutes(value: Any) -> str:
    return "—" if value is None else f"{float(value):.1f} 分"
