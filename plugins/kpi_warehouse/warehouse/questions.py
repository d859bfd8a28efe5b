"""The book of questions: deliveries of which nothing is published until a person answers, and what was answered.

One question is open about one content: the same delivery again adds no second one, and a delivery that covers what an open
question is about takes its place, whether it raises a question itself or is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract
from kpi_warehouse.warehouse.history import covers_whole_periods
from kpi_warehouse.warehouse.tables import stage_name, stage_table

Answer = Literal["released", "rejected"]


@dataclass(frozen=True)
class Question:
    """An open question: the load that waits, and the question as it was put."""

    load_id: int
    text_ja: str


def same_question(connection: psycopg.Connection, load_id: int) -> Question | None:
    """The open question about exactly what this load says (the same changed periods and values, under the same contract)."""
    row = connection.execute(
        "select l.load_id, l.error_ja from ops.load as l join ops.load as mine on mine.load_id = %(me)s"
        " where l.feed = mine.feed and l.state = 'asked' and l.load_id <> mine.load_id"
        " and l.contract_sha256 = mine.contract_sha256"
        " and (select array_agg((p.period, p.period_end, p.digest) order by p.period, p.period_end) from ops.load_period as p"
        " where p.load_id = l.load_id and p.changed)"
        " = (select array_agg((p.period, p.period_end, p.digest) order by p.period, p.period_end) from ops.load_period as p"
        " where p.load_id = mine.load_id and p.changed)"
        " order by l.load_id desc limit 1",
        {"me": load_id},
    ).fetchone()
    return Question(*row) if row else None


def supersede_questions(connection: psycopg.Connection, contract: Contract, load_id: int) -> list[int]:
    """End the open questions about deliveries read before this one that it covers whole; returns their loads.

    Must run under the feed's `lock_history`, in the transaction that settles this load, before its own state is written.
    """
    ended = []
    for (older,) in connection.execute(
        "select q.load_id from ops.load as q join ops.load as mine on mine.load_id = %s"
        " where q.feed = mine.feed and q.state = 'asked' and q.load_id <> mine.load_id and q.read_at <= mine.read_at"
        " order by q.load_id for update of q",
        [load_id],
    ).fetchall():
        covered = (
            _covers_periods(connection, older, load_id)
            if covers_whole_periods(contract)
            else _covers_rows(connection, contract, older, load_id)
        )
        if covered:
            connection.execute("update ops.load set state = 'superseded' where load_id = %s", [older])
            connection.execute(
                "insert into ops.answer (load_id, answer, later_load_id) values (%s, 'superseded', %s)",
                [older, load_id],
            )
            connection.execute(
                "update ops.delivery set state = 'rejected', settled_at = clock_timestamp(), message_ja = %s"
                " where load_id = %s and state = 'asked'",
                [f"後から届いたもの（取込番号 {load_id}）に置き換わりました。", older],
            )
            ended.append(int(older))
    return ended


def _covers_periods(connection: psycopg.Connection, older: int, newer: int) -> bool:
    row = connection.execute(
        "select not exists (select from ops.load_period as o where o.load_id = %s and o.changed and not exists ("
        "select from ops.load_period as n where n.load_id = %s"
        " and (n.period, n.period_end) = (o.period, o.period_end)))",
        [older, newer],
    ).fetchone()
    return bool(row and row[0])


def _covers_rows(connection: psycopg.Connection, contract: Contract, older: int, newer: int) -> bool:
    """Where a delivery speaks of its own rows alone: whether each of the older one's rows is in the newer one too."""
    stages = [f'stage."{stage_name(contract, load)}"' for load in (older, newer)]
    there = connection.execute(
        "select to_regclass(%s) is not null and to_regclass(%s) is not null", stages
    ).fetchone()
    if not (there and there[0]):
        return False
    same_key = sql.SQL(" and ").join(
        sql.SQL("n.{0} = o.{0}").format(sql.Identifier(name)) for name in contract.key_names
    )
    row = connection.execute(
        sql.SQL(
            "select exists (select from {old}) and not exists ("
            "select from {old} as o where not exists (select from {new} as n where {same_key}))"
        ).format(old=stage_table(contract, older), new=stage_table(contract, newer), same_key=same_key)
    ).fetchone()
    return bool(row and row[0])


def note_answer(connection: psycopg.Connection, load_id: int, answer: Answer, reason_ja: str) -> None:
    """Write down what a person answered, for ever; in the transaction that does it."""
    connection.execute(
        "insert into ops.answer (load_id, answer, reason_ja) values (%s, %s, %s)",
        [load_id, answer, reason_ja],
    )
