"""One transaction makes `marts_next` the `marts` that BI reads, with its grants and its Japanese names.

`marts_ja` holds a view of each mart whose name and headings are Japanese, for Excel over ODBC. A view keeps to the table it was made
on, so the views are made anew in every swap and go away with the tables they read.
"""

from __future__ import annotations

import re

import psycopg
from psycopg import sql

MARTS = "marts"
JAPANESE = "marts_ja"
NEXT = "marts_next"
RETIRED = "marts_retired_"
READER = "kpi_reader"
# A BI query may still read the retired tables: it is not waited for, the next build drops them.
WAIT_FOR_READERS = "2s"
# What a comment says before any of these is the heading; the rest explains it.
OLD_VERSION = re.compile(r"_v\d+$")
HEADING_ENDS = re.compile("[：（。]")


def swap(connection: psycopg.Connection, build_id: int) -> None:
    """`marts_next` becomes `marts`, readable by BI; runs inside the caller's transaction.

    The retired schemas are dropped after the commit: a drop waits for running queries, and new ones would wait behind it.
    """
    for schema, retired in ((MARTS, f"{RETIRED}{build_id}"), (JAPANESE, f"{RETIRED}{build_id}_ja")):
        if schemas(connection, schema):
            connection.execute(
                sql.SQL("alter schema {} rename to {}").format(
                    sql.Identifier(schema), sql.Identifier(retired)
                )
            )
    connection.execute(
        sql.SQL("alter schema {} rename to {}").format(sql.Identifier(NEXT), sql.Identifier(MARTS))
    )
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(JAPANESE)))
    _make_views(connection)
    _grant(
        connection,
        MARTS,
        f"BI が読む表（構築番号 {build_id}）。検査に合格したものだけが入る。",
        "revoke execute on all functions in schema {schema} from public",
        "grant execute on all functions in schema {schema} to {reader}",
    )
    _grant(connection, JAPANESE, f"表と列の名前が日本語の同じ表（構築番号 {build_id}）。Excel・ODBC 用。")


def keep_beside(connection: psycopg.Connection, name: str) -> None:
    """`marts_next` becomes the schema `name`, in place of one of that name; BI does not see it. Runs inside the caller's transaction."""
    drop_schemas(connection, name)
    connection.execute(
        sql.SQL("alter schema {} rename to {}").format(sql.Identifier(NEXT), sql.Identifier(name))
    )


def heading(comment: str) -> str:
    """The Japanese name of a relation or column: the head of its comment."""
    return HEADING_ENDS.split(comment, maxsplit=1)[0]


def schemas(connection: psycopg.Connection, pattern: str) -> list[str]:
    """Names of the schemas that are like `pattern`, in order."""
    rows = connection.execute("select nspname from pg_namespace where nspname like %s order by 1", [pattern])
    return [name for (name,) in rows]


def drop_schemas(connection: psycopg.Connection, *names: str) -> None:
    """Drop schemas with all that is in them; those that are not there are none."""
    for name in names:
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name)))


def drop_retired(connection: psycopg.Connection) -> None:
    """Drop what swaps retired, except what is still being read."""
    for name in schemas(connection, RETIRED.replace("_", r"\_") + "%"):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("set local lock_timeout = {}").format(WAIT_FOR_READERS))
                drop_schemas(connection, name)
        except psycopg.errors.LockNotAvailable:
            continue


def _grant(connection: psycopg.Connection, schema: str, comment: str, *also: str) -> None:
    for statement in (
        "comment on schema {schema} is {comment}",
        "grant usage on schema {schema} to {reader}",
        "grant select on all tables in schema {schema} to {reader}",
        "alter default privileges in schema {schema} grant select on tables to {reader}",
        *also,
    ):
        connection.execute(
            sql.SQL(statement).format(
                schema=sql.Identifier(schema),
                reader=sql.Identifier(READER),
                comment=sql.Literal(comment),
            )
        )


def _make_views(connection: psycopg.Connection) -> None:
    """A view of every mart under the heads of its comments, with the comments themselves.

    It reads with the rights of who asks: with its owner's it would show all rows of a mart that shows each reader its own.
    """
    marts = connection.execute(
        "select c.relname, obj_description(c.oid), array_agg(a.attname::text order by a.attnum),"
        " array_agg(col_description(c.oid, a.attnum) order by a.attnum)"
        " from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        r" where c.relnamespace = %s::regnamespace and c.relname like 'mart\_%%' and c.relkind in ('r', 'v')"
        " group by c.relname, c.oid order by c.relname",
        [MARTS],
    ).fetchall()
    for mart, about, columns, comments in marts:
        # A version that has a successor says the same of itself and stays beside it.
        old = OLD_VERSION.search(mart)
        view = sql.Identifier(JAPANESE, heading(about) + (old[0] if old else ""))
        named = sql.SQL(", ").join(
            sql.SQL("{} as {}").format(sql.Identifier(column), sql.Identifier(heading(comment)))
            for column, comment in zip(columns, comments, strict=True)
        )
        connection.execute(
            sql.SQL("create view {} with (security_invoker = true) as select {} from {}").format(
                view, named, sql.Identifier(MARTS, mart)
            )
        )
        connection.execute(
            sql.SQL("comment on view {} is {}").format(view, sql.Literal(f"{about}（{MARTS}.{mart}）"))
        )
        for comment in comments:
            connection.execute(
                sql.SQL("comment on column {}.{} is {}").format(
                    view, sql.Identifier(heading(comment)), sql.Literal(comment)
                )
            )
