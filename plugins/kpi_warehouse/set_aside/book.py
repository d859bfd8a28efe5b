"""`ops.set_aside`: what is left out of the marts, tried out, in force and ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from kpi_warehouse.errors import KpiError
from kpi_warehouse.set_aside.steps import Step, newest_instants
from kpi_warehouse.warehouse.connection import connect


@dataclass(frozen=True)
class Standing:
    """A step in force. `feeds`, `code` and `history`: what the last try in vain was made of."""

    step: Step
    feeds: tuple[str, ...]
    code: str | None
    history: Mapping[str, str] = field(hash=False)
    asked_ja: str | None


@dataclass(frozen=True)
class Shown:
    """What readers are told of a feed of which steps are left out, and up to when its figures speak (None: there are none)."""

    said_ja: str
    until: datetime | None


@dataclass(frozen=True)
class Entry:
    """Why a step is set aside. `checks`: name, words and example rows of each failing check; `feeds`: what these checks read."""

    summary_ja: str
    checks: list[dict[str, Any]]
    feeds: tuple[str, ...]


def standing(connection: psycopg.Connection) -> list[Standing]:
    """What is in force, oldest step first. What a killed build left half-tried is first put back."""
    with connection.transaction():
        connection.execute("delete from ops.set_aside where state = 'proposed'")
        connection.execute("update ops.set_aside set state = 'in_force' where state = 'retrying'")
    rows = connection.execute(
        "select known_from, feed, load_id, feeds, tried_code, tried_history, asked_ja from ops.set_aside"
        " where state = 'in_force' order by known_from, feed"
    ).fetchall()
    return [
        Standing(Step(instant, feed, load_id), tuple(feeds), code, history or {}, asked)
        for instant, feed, load_id, feeds, code, history, asked in rows
    ]


def left_out_at(connection: psycopg.Connection, instant: datetime) -> frozenset[Step]:
    """The steps that are left out of a build as of an instant: those set aside in the end, unless that had ended by then."""
    rows = connection.execute(
        "select known_from, feed, load_id from ops.set_aside where state <> 'proposed' and known_from <= %(at)s"
        " and coalesce(ended_at, 'infinity') > %(at)s",
        {"at": instant},
    ).fetchall()
    return frozenset(Step(*row) for row in rows)


def worth_another_try(connection: psycopg.Connection, one: Standing, code_version: str) -> bool:
    """Whether something has changed since the last try that may let the build pass: the code, a feed that the failing checks
    read, or a person's word."""
    return (
        one.asked_ja is not None
        or one.code != code_version
        or newest_instants(connection, one.feeds) != dict(one.history)
    )


def propose(
    connection: psycopg.Connection,
    left_out: Iterable[Step],
    shown: Mapping[str, Shown],
    entries: Mapping[Step, Entry],
) -> None:
    """Note what the next try leaves out, for the models that say so."""
    steps = sorted(left_out)
    with connection.transaction():
        connection.execute("delete from ops.set_aside where state = 'proposed'")
        kept = {(step.feed, step.known_from) for step in steps}
        known: set[tuple[str, datetime]] = set()
        for number, feed, instant in connection.execute(
            "select set_aside_id, feed, known_from from ops.set_aside where state in ('in_force', 'retrying')"
        ).fetchall():
            known.add((feed, instant))
            connection.execute(
                "update ops.set_aside set state = %s where set_aside_id = %s",
                ["in_force" if (feed, instant) in kept else "retrying", number],
            )
        for step in steps:
            if (step.feed, step.known_from) not in known:
                connection.execute(
                    "insert into ops.set_aside (feed, load_id, known_from, state) values (%s, %s, %s, 'proposed')",
                    [step.feed, step.load_id, step.known_from],
                )
        for feed, said in shown.items():
            connection.execute(
                "update ops.set_aside set shown_ja = %s, shown_until = %s where feed = %s and state <> 'ended'",
                [said.said_ja, said.until, feed],
            )
        for step, entry in entries.items():
            connection.execute(
                "update ops.set_aside set summary_ja = %s, checks = %s, feeds = %s"
                " where feed = %s and known_from = %s and state <> 'ended'",
                [entry.summary_ja, Jsonb(entry.checks), list(entry.feeds), step.feed, step.known_from],
            )


def conclude(connection: psycopg.Connection, build_id: int, code_version: str) -> None:
    """What was proposed is in force, what was retried has ended; runs inside the transaction that swaps."""
    if connection.execute("select from ops.set_aside where state <> 'ended' limit 1").fetchone() is None:
        return
    connection.execute(
        "update ops.set_aside set state = 'ended', ended_at = clock_timestamp(), ended_build_id = %s,"
        " ended_ja = case when asked_ja is not null then format('確認のうえ、除かずに作り直しました（%%s）。', asked_ja)"
        " when tried_code is distinct from %s then '検査または計算の定義が改まり、除いていた取込を含めて構築できました。'"
        " else '訂正の取込があり、除いていた取込を含めて構築できました。' end"
        " where state = 'retrying'",
        [build_id, code_version],
    )
    connection.execute(
        "update ops.set_aside set state = 'in_force', build_id = %s where state = 'proposed'", [build_id]
    )


def note_try(
    connection: psycopg.Connection, code_version: str, steps: Iterable[Step], began: datetime
) -> None:
    """Note what these steps were tried with, in vain, by a build that began then: until something of it changes, they are not
    tried again."""
    for step in steps:
        row = connection.execute(
            "select feeds from ops.set_aside where feed = %s and known_from = %s and state <> 'ended'",
            [step.feed, step.known_from],
        ).fetchone()
        feeds = row[0] if row else []
        connection.execute(
            "update ops.set_aside set tried_code = %s, tried_history = %s, asked_ja = null"
            " where feed = %s and known_from = %s and state <> 'ended'",
            [code_version, Jsonb(newest_instants(connection, feeds, began)), step.feed, step.known_from],
        )


def set_aside_loads() -> list[dict[str, Any]]:
    """What is left out of the marts in use: one dict per step, keyed by column of `ops.set_aside`."""
    with connect("kpi_transformer") as connection:
        return (
            connection.cursor(row_factory=dict_row)
            .execute(
                "select * from ops.set_aside where state in ('in_force', 'retrying') order by known_from, feed"
            )
            .fetchall()
        )


def ask_again(load_id: int, reason_ja: str) -> None:
    """A person's word: the next build tries to do with this load. It stays left out if the build then still fails.

    Raises:
        KpiError: the load is not set aside, or no reason is given.
    """
    if not reason_ja.strip():
        raise KpiError(
            "除かずに作り直す理由（--reason）を書いてください。個人名は書かないでください。",
            "set_aside.no_reason",
        )
    with connect("kpi_transformer") as connection:
        found = connection.execute(
            "update ops.set_aside set asked_ja = %s where load_id = %s and state in ('in_force', 'retrying')",
            [reason_ja.strip(), load_id],
        ).rowcount
    if not found:
        raise KpiError(
            f"取込番号 {load_id} はマートから除かれていません。`kpi marts aside` で確認してください。",
            "set_aside.unknown",
        )
