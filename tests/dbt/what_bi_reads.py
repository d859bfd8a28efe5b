"""Everything that a BI role can read, found in the catalogue: a new mart or function is in it by itself."""

from __future__ import annotations

import psycopg
from psycopg import sql

# How each function is asked for all that it can tell.
FUNCTIONS = {
    "board_as_of": "select s from marts.board_as_of(now()) as s",
    "receipt": "select s from (select distinct kpi_id, period_id from marts.fct_kpi_value) as v"
    " cross join lateral marts.receipt(v.kpi_id, v.period_id) as s",
}


def relations(reader: psycopg.Connection) -> list[tuple[str, str]]:
    """Schema and name of every relation outside the system's that the session's role may select from."""
    return reader.execute(
        "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'v', 'm', 'f', 'p')"
        " and has_schema_privilege(n.oid, 'usage') and has_any_column_privilege(c.oid, 'select') order by 1, 2"
    ).fetchall()


def functions(reader: psycopg.Connection) -> list[str]:
    """Names of the functions outside the system's that the session's role may call."""
    rows = reader.execute(
        "select p.proname from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
        " and has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute') order by 1"
    )
    return [name for (name,) in rows]


def everything(reader: psycopg.Connection) -> dict[str, list[str]]:
    """Relation or function → its rows as text, in order."""
    found = {
        f"{schema}.{name}": _texts(
            reader, sql.SQL("select r::text from {} as r order by 1").format(sql.Identifier(schema, name))
        )
        for schema, name in relations(reader)
    }
    assert functions(reader) == sorted(FUNCTIONS)
    return found | {
        f"{name}()": _texts(
            reader, sql.SQL("select s::text from ({}) as f order by 1").format(sql.SQL(query))
        )
        for name, query in FUNCTIONS.items()
    }


def _texts(reader: psycopg.Connection, query: sql.Composable) -> list[str]:
    return [text for (text,) in reader.execute(query).fetchall()]
