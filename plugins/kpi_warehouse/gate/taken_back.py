"""The same content as one that a person has taken back, or has said to be wrong: it may be right after all, but nobody may miss it."""

from __future__ import annotations

import psycopg

from kpi_warehouse.contract import Contract
from kpi_warehouse.gate.verdict import EXAMPLES, Finding
from kpi_warehouse.warehouse.history import PeriodDigest

NAME = "taken_back_before"


def taken_back_before(
    connection: psycopg.Connection, contract: Contract, changed: list[PeriodDigest]
) -> list[Finding]:
    """A question, where a changed period says exactly what a load said that was taken back or rejected; else nothing.

    Content that was released after that asks no more.
    """
    rows = connection.execute(
        "with said as (select load_id, '公表を取り消した' as what_ja, reason_ja, undone_at as at from ops.undo where feed = %(feed)s"
        " union all select a.load_id, '受け入れないと決めた', a.reason_ja, a.answered_at from ops.answer as a"
        " join ops.load as l using (load_id) where l.feed = %(feed)s and a.answer = 'rejected')"
        " select distinct on (p.period, p.period_end) p.period, s.load_id, s.what_ja, s.reason_ja, s.at from said as s"
        " join ops.load_period as p on p.load_id = s.load_id and p.changed"
        " join unnest(%(starts)s::date[], %(ends)s::date[], %(digests)s::text[]) as n (period, period_end, digest)"
        " on (n.period, n.period_end, n.digest) = (p.period, p.period_end, p.digest)"
        " where not exists (select from ops.answer as later join ops.load_period as q on q.load_id = later.load_id"
        "  where later.answer = 'released' and later.answered_at > s.at"
        "  and (q.period, q.period_end, q.digest) = (p.period, p.period_end, p.digest))"
        " order by p.period, p.period_end, s.at desc",
        {
            "feed": contract.feed,
            "starts": [entry.period for entry in changed],
            "ends": [entry.period_end for entry in changed],
            "digests": [entry.digest for entry in changed],
        },
    ).fetchall()
    if not rows:
        return []
    lines = [
        f"{period:%Y年%-m月}：取込番号 {load_id} とまったく同じ内容。{at:%Y-%m-%d} に{what}（理由：{reason}）"
        for period, load_id, what, reason, at in rows[:EXAMPLES]
    ]
    lines += [
        "考えられること：1 同じ誤った内容がもう一度提供された　2 確かめた結果、もとの値が正しかった",
    ]
    return [
        Finding(
            NAME,
            "question",
            "table",
            False,
            len(rows),
            "取り消した、または受け入れないと決めた内容が、もう一度届いていないこと。",
            [{"period": f"{period:%Y-%m}", "load_id": load_id} for period, load_id, *_ in rows[:EXAMPLES]],
            "\n".join(lines),
            tuple(sorted({period for period, *_ in rows})),
        )
    ]
