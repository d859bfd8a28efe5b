"""What the KPI marts showed at any instant: written in the transaction that swaps, so that it is what readers saw.

Only rows that changed are written. The board is kept whole, because it is shown again as it was; the history without
the columns that every load moves, because a new load alone is no change of a figure.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

# Relation, its key, and the columns whose change alone is none.
REMEMBERED = (
    ("mart_kpi_board", ("kpi_id",), ()),
    (
        "mart_kpi_history",
        ("kpi_id", "period_id"),
        ("data_as_of", "loaded_at", "source_updated_on", "gate_status", "gate_status_ja", "held_rows"),
    ),
)

_CLOSE = """
update ops.published_row as shown set published_to = transaction_timestamp()
where shown.relation = {name} and shown.published_to = 'infinity' and not exists (
    select from {table} as built where {key} = shown.row_key and to_jsonb(built) - {ignored} = shown.row
)
"""
_OPEN = """
insert into ops.published_row (relation, row_key, published_from, build_id, row)
select {name}, {key}, transaction_timestamp(), {build_id}, to_jsonb(built) - {ignored}
from {table} as built
where not exists (
    select from ops.published_row as shown
    where shown.relation = {name} and shown.row_key = {key} and shown.published_to = 'infinity'
)
"""


def remember(connection: psycopg.Connection, schema: str, build_id: int) -> None:
    """Note what `schema` shows from now on; runs inside the caller's transaction."""
    for name, key, ignored in REMEMBERED:
        parts = {
            "name": sql.Literal(name),
            "table": sql.Identifier(schema, name),
            "key": sql.SQL(" || ' ' || ").join(sql.Identifier("built", column) for column in key),
            "ignored": sql.SQL("{}::text[]").format(sql.Literal(list(ignored))),
            "build_id": sql.Literal(build_id),
        }
        connection.execute(sql.SQL(_CLOSE).format(**parts))
        connection.execute(sql.SQL(_OPEN).format(**parts))
