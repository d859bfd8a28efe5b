"""The history of a feed as it would be, had some of its steps never happened.

It is a table of the shape of `raw.<feed>`, bitemporal like it, so that whatever reads the one reads the other: rows opened by a
step that is left out are not in it, and rows that such a step closed stay known until the next step that is kept replaces them.
Later deliveries are in it; only what is left out is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import psycopg
from psycopg import sql

from kpi_warehouse.set_aside.steps import Step

# Their ends follow from what is kept.
ENDS = ("known_to", "public_to")


def make_history(
    connection: psycopg.Connection, schema: str, left_out: Iterable[Step]
) -> dict[str, datetime | None]:
    """Make `<schema>.<feed>` for every feed of which steps are left out; a schema of that name is replaced.

    Returns:
        Per feed the newest instant that is left, None when nothing is.
    """
    instants: dict[str, list[datetime]] = {}
    for step in left_out:
        instants.setdefault(step.feed, []).append(step.known_from)
    connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
    newest: dict[str, datetime | None] = {}
    if not instants:
        return newest
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    for feed, gone in instants.items():
        table = sql.Identifier(schema, feed)
        connection.execute(_without(connection, feed, table, gone))
        connection.execute(sql.SQL("analyze {}").format(table))
        row = connection.execute(sql.SQL("select max(known_from) from {}").format(table)).fetchone()
        newest[feed] = row[0] if row else None
    return newest


def _without(
    connection: psycopg.Connection, feed: str, table: sql.Identifier, gone: list[datetime]
) -> sql.Composed:
    raw = sql.Identifier("raw", feed)
    columns = [
        str(name)
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
            [f'raw."{feed}"'],
        )
    ]
    key = [
        str(name)
        for (name,) in connection.execute(
            "select a.attname from pg_index as i cross join unnest(i.indkey) as k (attnum)"
            " join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum"
            " where i.indrelid = %s::regclass and i.indisunique",
            [f'raw."{feed}"'],
        )
    ]
    return sql.SQL(
        "create unlogged table {table} as"
        " with kept as ("
        "  select *, lead(known_from) over in_key as next_from, lead(public_from) over in_key as next_public"
        "  from {raw} where known_from <> all({gone}) window in_key as (partition by {key} order by known_from)"
        " )"
        " select {columns},"
        "  case when known_to = any({gone}) then coalesce(next_from, 'infinity') else known_to end as known_to,"
        "  case when known_to = any({gone}) then next_public else public_to end as public_to"
        " from kept"
    ).format(
        table=table,
        raw=raw,
        gone=sql.SQL("{}::timestamptz[]").format(sql.Literal(gone)),
        key=sql.SQL(", ").join(map(sql.Identifier, key)),
        columns=sql.SQL(", ").join(sql.Identifier(name) for name in columns if name not in ENDS),
    )
