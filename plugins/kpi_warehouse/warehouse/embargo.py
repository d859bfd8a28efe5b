"""Embargo: rows that are accepted before they may be seen.

A row is *known* from `known_from` to `known_to`, and *shown* from `public_from` to `public_to`; where the two are empty, it is
shown as long as it is known. A row under embargo leaves the one that it replaces on show until its own instant, so that readers
go from one figure to the next without a gap. The marts are made of what is shown (`known_at_as_of` in dbt): nothing that is
built can hold what is not. `ops.embargo` lists the instants, so that a build knows when one has passed.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract, FileSource
from kpi_warehouse.warehouse.tables import names, raw_table

# The condition of the marts (`known_at_as_of` in dbt), for who follows a published number back to its rows `r`.
SHOWN = sql.SQL(
    "((r.known_to = 'infinity' and r.public_to is null) or r.public_to > now())"
    " and (r.public_from is null or r.public_from <= now())"
)
# Without one the row is shown as soon as it is known.
NONE = sql.SQL("null::timestamptz")


def public_from(contract: Contract, row: str, known_from: sql.Composable) -> sql.Composable:
    """SQL of the instant from which a row that becomes known is shown; NULL where nothing delays it.

    Args:
        row: alias of the row, with the columns of the contract.
    """
    embargo = contract.embargo
    if embargo is None:
        return NONE
    is_file = isinstance(contract.source, FileSource)
    day: sql.Composable = sql.SQL("null::date")
    if embargo.months_after is not None:
        month = sql.SQL("(date_trunc('month', {end}) + make_interval(months => {months}))").format(
            end=sql.Identifier(row, "period_end" if is_file else contract.period.name),
            months=sql.Literal(embargo.months_after),
        )
        day = sql.SQL("least({month}::date + {day} - 1, ({month} + interval '1 month')::date - 1)").format(
            month=month, day=sql.Literal(embargo.day)
        )
    if is_file:
        day = sql.SQL("coalesce({}, {})").format(sql.Identifier(row, "public_on"), day)
    instant = sql.SQL("(({day} + {time}::time) at time zone 'Asia/Tokyo')").format(
        day=day, time=sql.Literal(embargo.time)
    )
    return sql.SQL("nullif(greatest({instant}, {known}), {known})").format(instant=instant, known=known_from)


def is_delayed(connection: psycopg.Connection, contract: Contract, known_from: sql.Composable) -> bool:
    """Whether what becomes known now is, or replaces what is, under embargo."""
    if contract.embargo is not None:
        return True
    row = connection.execute(
        sql.SQL(
            "select exists (select from ops.embargo as e join ops.load as l using (load_id) where e.feed = %s"
            " and e.public_from > {known_from} and coalesce(l.published_at, l.opened_at) <= {known_from})"
        ).format(known_from=known_from),
        [contract.feed],
    ).fetchone()
    return bool(row and row[0])


def give_way(
    connection: psycopg.Connection, contract: Contract, opening: sql.Composable, known_from: sql.Composable
) -> None:
    """Rows on show, or waiting to be, end for readers where their successors in `opening` begin; before these are written."""
    raw = raw_table(contract)
    same_key = sql.SQL(" and ").join(
        sql.SQL("r.{0} = c.{0}").format(sql.Identifier(column)) for column in contract.key_names
    )
    connection.execute(
        sql.SQL(
            "update {raw} as r set public_to = coalesce(c.public_from, {known_from}) from {opening} as c"
            " where {same_key} and (r.known_to = 'infinity' or r.public_to > {known_from})"
            " and coalesce(r.public_to, 'infinity') > coalesce(c.public_from, {known_from})"
        ).format(raw=raw, opening=opening, same_key=same_key, known_from=known_from)
    )


def note(connection: psycopg.Connection, contract: Contract, load_id: sql.Composable) -> None:
    """Write down the instants for which rows of a load wait."""
    if contract.embargo is None:
        return
    connection.execute(
        sql.SQL(
            "insert into ops.embargo ({columns}) select {load_id}, %s, public_from, count(*) from {raw}"
            " where load_id = {load_id} and public_from is not null group by public_from"
            " on conflict (load_id, public_from) do update set rows = excluded.rows"
        ).format(
            columns=names(("load_id", "feed", "public_from", "rows")),
            load_id=load_id,
            raw=raw_table(contract),
        ),
        [contract.feed],
    )
