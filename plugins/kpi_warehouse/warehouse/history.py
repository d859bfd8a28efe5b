"""Accepted history: what changed, and how a delivery becomes part of it.

`raw.<feed>` is bitemporal. A delivery that changes nothing writes nothing; a changed value closes the old row
(`known_to`) and opens a new one; nothing is updated in place or deleted. Changes are found per period: an order-independent
digest tells the periods that differ from what was last accepted, and a set difference tells the rows inside them.

A period is told by its first and its last day: sums from one start to ever later ends are periods of their own. Where a
source says the start alone (the months of e-Stat), the end is written down as the same day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Column, Contract, FileSource
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.warehouse import embargo
from kpi_warehouse.warehouse.tables import (
    analyze,
    create_current_index,
    current_index,
    names,
    raw_table,
    stage_table,
)

# Condition that a held row `h` is of a load whose source was read before that of another.
READ_BEFORE = (
    "exists (select from ops.load as theirs, ops.load as mine where theirs.load_id = h.load_id and mine.load_id = {}"
    " and (theirs.read_at, theirs.load_id) < (mine.read_at, mine.load_id))"
)


@dataclass(frozen=True)
class PeriodDigest:
    """One period of a delivery: its rows, their digest, and whether that differs from what was last accepted."""

    period: date
    period_end: date
    rows: int
    digest: str
    changed: bool


@dataclass(frozen=True)
class Written:
    """What a publish wrote: rows opened and closed, and the instant from which they are known."""

    opened: int
    closed: int
    known_from: datetime


def digest_periods(connection: psycopg.Connection, contract: Contract, load_id: int) -> list[PeriodDigest]:
    """Digest every period of a stage table and compare with what was last accepted. One scan of the stage table.

    The sum of a 64-bit hash of every row, and the count: independent of order, and unlike XOR not blind to a row that
    comes twice. Periods accepted under another text of the contract count as changed: what a new
    rule would say of them is not known.
    """
    period, period_end = contract.period_names
    axes = [column for column in contract.key if column.name not in contract.period_names]
    rows = connection.execute(
        sql.SQL(
            "select d.period, d.period_end, d.rows, d.digest,"
            " (p.rows, p.digest, l.contract_sha256) is distinct from (d.rows, d.digest, {contract}) from ("
            " select {period} as period, {end} as period_end, count(*) as rows, sum({hash})::text as digest"
            " from {stage} group by {by}"
            ") as d left join ops.period_digest as p"
            " on p.feed = %s and (p.period, p.period_end) = (d.period, d.period_end)"
            " left join ops.load as l on l.load_id = p.load_id order by d.period, d.period_end"
        ).format(
            contract=sql.Literal(contract.sha256),
            period=sql.Identifier(period),
            end=sql.Identifier(period_end),
            by=names(sorted({period, period_end})),
            hash=_row_hash([*axes, *contract.said_columns]),
            stage=stage_table(contract, load_id),
        ),
        [contract.feed],
    ).fetchall()
    return [PeriodDigest(*row) for row in rows]


# A value that no cell can hold stands for "none", so that rows can be compared by hash (nulls are equal to nothing).
_NONE = {
    "integer": sql.SQL("-2147483648"),
    "bigint": sql.SQL("-9223372036854775808"),
    "numeric": sql.SQL("'NaN'"),
    "date": sql.SQL("'infinity'"),
    "boolean": sql.SQL("null"),
    "text": sql.SQL("''"),
}
# The hash functions of the types' own hash indexes, by seed; chained they cost a quarter of hashing a record.
_HASH = {
    "integer": sql.SQL("hashint4extended({value}, {seed})"),
    "bigint": sql.SQL("hashint8extended({value}, {seed})"),
    "numeric": sql.SQL("hash_numeric_extended({value}, {seed})"),
    "date": sql.SQL("hashtextextended({value}::text, {seed})"),
    "boolean": sql.SQL("hashtextextended(coalesce({value}::text, ''), {seed})"),
    "text": sql.SQL("hashtextextended({value}, {seed})"),
}


def _row_hash(columns: list[Column]) -> sql.Composable:
    """A 64-bit hash over columns: each one's hash is the seed of the next."""
    hashed: sql.Composable = sql.SQL("0")
    for column in columns:
        value = sql.SQL("coalesce({}, {})").format(sql.Identifier(column.name), _NONE[column.sql_type])
        hashed = _HASH[column.sql_type].format(value=value, seed=hashed)
    return hashed


def changed_periods(connection: psycopg.Connection, contract: Contract, load_id: int) -> list[PeriodDigest]:
    """The load's periods that differ from what is accepted now; cheap, from the digests the gate recorded.

    Between gate and publish another load may have been accepted, so the comparison is made again under the lock.
    """
    rows = connection.execute(
        "select d.period, d.period_end, d.rows, d.digest, true from ops.load_period as d"
        " left join ops.period_digest as p"
        " on p.feed = %s and (p.period, p.period_end) = (d.period, d.period_end)"
        " left join ops.load as l on l.load_id = p.load_id"
        " where d.load_id = %s and not d.overtaken"
        " and (p.rows, p.digest, l.contract_sha256) is distinct from (d.rows, d.digest, %s)"
        " order by d.period, d.period_end",
        [contract.feed, load_id, contract.sha256],
    ).fetchall()
    return [PeriodDigest(*row) for row in rows]


def in_periods(contract: Contract, row: str, periods: Sequence[PeriodDigest]) -> sql.Composable:
    """Condition that the row of an alias is of one of these periods."""
    start, end = contract.period_names
    starts = sql.Literal([entry.period for entry in periods])
    if start == end:
        return sql.SQL("{} = any({}::date[])").format(sql.Identifier(row, start), starts)
    return sql.SQL("({}, {}) in (select * from unnest({}::date[], {}::date[]))").format(
        sql.Identifier(row, start),
        sql.Identifier(row, end),
        starts,
        sql.Literal([entry.period_end for entry in periods]),
    )


def lock_history(connection: psycopg.Connection, contract: Contract) -> None:
    """Take the feed's publish lock until the end of the transaction: one publish at a time, the others wait."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('publish ' || %s, 0))", [contract.feed])


def give_way(
    connection: psycopg.Connection, contract: Contract, load_id: int
) -> tuple[tuple[date, ...], int]:
    """Mark the load's periods that were read later by another load and accepted since: older bytes must not undo newer ones.

    Where deliveries speak of their own rows alone (`covers: rows`), it is rows that give way (`_write_difference`), and where
    somebody sets figures back (`ops.load.set_back_ja`), none. Must run after `lock_history`.

    Returns:
        First days of the periods that give way, and how many do not.
    """
    if not covers_whole_periods(contract):
        return (), 1
    rows = connection.execute(
        "update ops.load_period as p set overtaken = mine.set_back_ja is null and exists ("
        " select from ops.load as newer where newer.feed = mine.feed and newer.load_id <> mine.load_id"
        " and newer.state in ('published', 'unchanged') and newer.read_at > mine.read_at and ("
        "  exists (select from ops.load_period as q where q.load_id = newer.load_id and not q.overtaken"
        "   and (q.period, q.period_end) = (p.period, p.period_end))"
        # The very bytes of the load before it: accepted without a look at its rows.
        "  or p.period between newer.period_from and newer.period_to"
        "   and exists (select from ops.load_page as page where page.load_id = newer.load_id)"
        "   and not exists (select from ops.load_period as q where q.load_id = newer.load_id)))"
        " from ops.load as mine where mine.load_id = %s and p.load_id = mine.load_id returning p.period, p.overtaken",
        [load_id],
    ).fetchall()
    overtaken = tuple(sorted(period for period, is_overtaken in rows if is_overtaken))
    return overtaken, len(rows) - len(overtaken)


def older_rows(
    connection: psycopg.Connection, contract: Contract, load_id: int
) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Staged rows that differ from the current ones although those were read later: period, the staged row, the current one."""
    connection.rollback()
    give_way(connection, contract, load_id)
    later = (
        "exists (select from ops.load_period as p where p.load_id = {load}"
        " and p.overtaken and (p.period, p.period_end) = ({ends}))"
        if covers_whole_periods(contract)
        else "theirs.read_at > mine.read_at"
    )
    start, end = contract.period_names
    rows = connection.execute(
        sql.SQL(
            "select c.{start}::text, to_jsonb(c), to_jsonb(r) from {stage} as c join {raw} as r"
            " on r.known_to = 'infinity' and {same_key} and not ({same_said})"
            " join ops.load as theirs on theirs.load_id = r.load_id join ops.load as mine on mine.load_id = {load}"
            " where c.held_by is null and " + later + " order by {key}"
        ).format(
            start=sql.Identifier(start),
            ends=sql.SQL("c.{}, c.{}").format(sql.Identifier(start), sql.Identifier(end)),
            stage=stage_table(contract, load_id),
            raw=raw_table(contract),
            same_key=_same_key(contract),
            same_said=sql.SQL(" and ").join(_same(column) for column in contract.said_columns),
            load=sql.Literal(load_id),
            key=names(contract.key_names, "c"),
        )
    ).fetchall()
    connection.rollback()
    return rows


def _same_key(contract: Contract) -> sql.Composable:
    """Condition that a row `r` of history and a row `c` are about the same thing."""
    return sql.SQL(" and ").join(
        sql.SQL("r.{0} = c.{0}").format(sql.Identifier(column)) for column in contract.key_names
    )


def settle_held(
    connection: psycopg.Connection, contract: Contract, load_id: int, *, own: bool = False
) -> None:
    """A delivery that was let through settles what those read before it left waiting of its periods; its own where it gave way.

    Where a delivery speaks of its own rows alone (`covers: rows`), a row is settled by a later one about the same thing: of
    the same twelve months, or of any where the one that waits lay ahead. Next year's row leaves this year's question open.
    """
    rows = not covers_whole_periods(contract)
    connection.execute(
        sql.SQL(
            "update ops.held_row as h set state = 'superseded', settled_at = clock_timestamp() from {said}"
            " and h.feed = {feed} and h.state = 'held' and {whose}"
        ).format(
            said=_same_rows(contract, load_id) if rows else _same_periods(load_id, overtaken=own),
            feed=sql.Literal(contract.feed),
            whose=sql.SQL("h.load_id = {}" if own else READ_BEFORE).format(sql.Literal(load_id)),
        )
    )


def _same_periods(load_id: int, *, overtaken: bool) -> sql.Composable:
    return sql.SQL(
        "ops.load_period as p where p.load_id = {} and p.overtaken = {}"
        " and (h.period, h.period_end) = (p.period, p.period_end)"
    ).format(sql.Literal(load_id), sql.Literal(overtaken))


def _same_rows(contract: Contract, load_id: int) -> sql.Composable:
    axes = [name for name in contract.key_names if name not in (*contract.period_names, "period_kind")]
    return sql.SQL(
        "{stage} as s where {same_axes} and ({held} && {said} or h.period_end > h.held_at::date)"
    ).format(
        stage=stage_table(contract, load_id),
        same_axes=sql.SQL(" and ").join(
            sql.SQL("h.row ->> {} = s.{}").format(sql.Literal(name), sql.Identifier(name)) for name in axes
        ),
        held=_last_year("h", "period", "period_end"),
        said=_last_year("s", *contract.period_names),
    )


def _last_year(row: str, start: str, end: str) -> sql.Composable:
    """The days of a period that lie in the twelve months before its end."""
    return sql.SQL("daterange(greatest({s}, ({e} - interval '1 year')::date + 1), {e}, '[]')").format(
        s=sql.Identifier(row, start), e=sql.Identifier(row, end)
    )


def write_history(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    periods: list[PeriodDigest],
    *,
    held: bool,
    page_borders: Sequence[int] = (),
) -> Written:
    """Make the staged rows of these periods current. Rows held back by the gate keep their last accepted value.

    `held` says whether the gate held any row of the load; without, no time is spent on looking for them. `page_borders` are
    the last pages of each run of pages but the last one, where several were staged side by side: in an empty history the
    runs are laid one behind the other.

    Must run inside the transaction that took `lock_history`. Writes `ops.period_digest` for every period without held
    rows, so that a period with held rows is looked at again next time.
    """
    known_from: datetime = connection.execute("select clock_timestamp()").fetchone()[0]  # type: ignore[index]
    written = write_rows(
        connection, contract, load_id, periods, held=held, page_borders=page_borders, known_from=known_from
    )
    stage = stage_table(contract, load_id)
    start, end = contract.period_names
    embargo.note(connection, contract, sql.Literal(load_id))
    connection.execute(
        sql.SQL(
            "insert into ops.period_digest (feed, period, period_end, rows, digest, load_id)"
            " select {feed}, p.period, p.period_end, p.rows, p.digest, {load_id} from ops.load_period as p"
            " where p.load_id = {load_id} and (p.period, p.period_end) in (select * from unnest(%s::date[], %s::date[]))"
            " and not ({held} and exists (select 1 from {stage} as s"
            " where (s.{start}, s.{end}) = (p.period, p.period_end) and s.held_by is not null))"
            " and not exists (select from {stage} as c where (c.{start}, c.{end}) = (p.period, p.period_end){overtaken})"
            " on conflict (feed, period, period_end) do update set rows = excluded.rows, digest = excluded.digest,"
            " load_id = excluded.load_id, accepted_at = clock_timestamp()"
        ).format(
            feed=sql.Literal(contract.feed),
            held=sql.Literal(held),
            overtaken=sql.SQL(" and false")
            if covers_whole_periods(contract)
            else sql.SQL(" and ") + _read_later(contract, load_id),
            start=sql.Identifier(start),
            end=sql.Identifier(end),
            load_id=sql.Literal(load_id),
            stage=stage,
        ),
        [[entry.period for entry in periods], [entry.period_end for entry in periods]],
    )
    return written


def write_rows(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    periods: list[PeriodDigest],
    *,
    held: bool,
    page_borders: Sequence[int],
    known_from: datetime,
) -> Written:
    """The part of `write_history` that writes history, known from an instant; the books are left as they are."""
    raw, stage = raw_table(contract), stage_table(contract, load_id)
    key = contract.key_names
    occupied = _exists(
        connection,
        sql.SQL("{} as r where {} and known_to = 'infinity'").format(raw, in_periods(contract, "r", periods)),
    )
    parts = {
        "raw": raw,
        "stage": stage,
        "raw_periods": in_periods(contract, "r", periods),
        "staged_periods": in_periods(contract, "c", periods),
        "key": names(key),
        "same_key": _same_key(contract),
        "columns": names((*contract.stage_columns, "load_id", "known_from", "public_from")),
        "staged": names(contract.stage_columns, "c"),
        "same_said": sql.SQL(" and ").join(_same(column) for column in contract.said_columns),
        "not_overtaken": sql.SQL("")
        if covers_whole_periods(contract)
        else sql.SQL(" and not ") + _read_later(contract, load_id),
        "load_id": sql.Literal(load_id),
        "known_from": sql.Literal(known_from),
        "public_from": embargo.public_from(contract, "c", sql.Literal(known_from)),
    }
    if occupied:
        opened, closed = _write_difference(connection, contract, parts, periods, held=held)
    else:
        opened, closed = _write_all(connection, contract, parts, page_borders), 0
        analyze(connection, raw)
    return Written(opened, closed, known_from)


def _read_later(contract: Contract, load_id: int) -> sql.Composable:
    """Condition that the current row of a staged row's key comes from a load whose source was read after this one's."""
    return sql.SQL(
        "exists (select from {raw} as r join ops.load as theirs on theirs.load_id = r.load_id, ops.load as mine"
        " where r.known_to = 'infinity' and {same_key} and mine.load_id = {load} and mine.set_back_ja is null"
        " and theirs.read_at > mine.read_at)"
    ).format(
        raw=raw_table(contract),
        same_key=_same_key(contract),
        load=sql.Literal(load_id),
    )


def _write_all(
    connection: psycopg.Connection,
    contract: Contract,
    parts: dict[str, sql.Composable],
    page_borders: Sequence[int],
) -> int:
    """Periods never seen before: insert as they arrived. Into an empty history the index is built afterwards (3× faster).

    An empty table is also given a new file: where nothing follows the server (`wal_level = minimal`), rows of a file that
    the transaction itself made are written once, not to the log as well.
    """
    empty = not _exists(connection, sql.SQL("{raw}").format(**parts))
    if empty:
        connection.execute(sql.SQL("lock table {raw} in access exclusive mode").format(**parts))
        empty = not _exists(connection, sql.SQL("{raw}").format(**parts))
    if empty:
        connection.execute(sql.SQL("truncate {raw}").format(**parts))
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier("raw", current_index(contract))))
    rows = sql.SQL(
        "select {staged}, {load_id}, {known_from}, {public_from} from {stage} as c"
        " where {staged_periods} and c.held_by is null"
    ).format(**parts)
    runs = [rows + run for run in _page_runs(page_borders if empty else ())]
    opened = connection.execute(
        sql.SQL("insert into {raw} ({columns}) ").format(**parts) + sql.SQL(" union all ").join(runs)
    ).rowcount
    if empty:
        create_current_index(connection, contract)
    return opened


def _page_runs(borders: Sequence[int]) -> list[sql.Composable]:
    """Conditions that cut the pages at the borders; every page meets exactly one."""
    page = sql.Identifier("c", "source_page")
    conditions = []
    for after, last in pairwise([None, *borders, None]):
        condition: sql.Composable = sql.SQL("")
        if after is not None:
            condition += sql.SQL(" and {} > {}").format(page, sql.Literal(after))
        if last is not None:
            condition += sql.SQL(" and {} <= {}").format(page, sql.Literal(last))
        conditions.append(condition)
    return conditions


def _same(column: Column) -> sql.Composed:
    name = sql.Identifier(column.name)
    if column.sql_type == "boolean":
        return sql.SQL("coalesce(r.{0}::text, '') = coalesce(c.{0}::text, '')").format(name)
    return sql.SQL("coalesce(r.{0}, {1}) = coalesce(c.{0}, {1})").format(name, _NONE[column.sql_type])


def _write_difference(
    connection: psycopg.Connection,
    contract: Contract,
    parts: dict[str, sql.Composable],
    periods: list[PeriodDigest],
    *,
    held: bool,
) -> tuple[int, int]:
    """Periods with accepted rows: open what is new, close what it replaces. Held rows replace nothing.

    One anti-join finds what is new; the unique index finds what that replaces. Counting then proves that no key went
    away: rows before, plus those opened, minus those closed, must be the rows delivered. A delivery that speaks of its
    own rows alone (`covers: rows`) leaves the others as they are.
    """
    connection.execute("drop table if exists pg_temp.opening")
    # A merge join would sort both sides; what the hash needs fits into memory.
    connection.execute("set local enable_mergejoin = off")
    connection.execute(
        sql.SQL(
            "create temporary table opening on commit drop as select c.*, {public_from} as public_from from {stage} as c"
            " where {staged_periods} and c.held_by is null and not exists (select 1 from {raw} as r"
            " where r.known_to = 'infinity' and {raw_periods} and {same_key} and {same_said}){not_overtaken}"
        ).format(**parts)
    )
    analyze(connection, sql.Identifier("opening"))
    before = _count(
        connection,
        sql.SQL("{raw} as r where known_to = 'infinity' and {raw_periods}").format(**parts),
    )
    if embargo.is_delayed(connection, contract, parts["known_from"]):
        embargo.give_way(connection, contract, sql.Identifier("opening"), parts["known_from"])
    closed = connection.execute(
        sql.SQL(
            "update {raw} as r set known_to = {known_from} from opening as c where r.known_to = 'infinity' and {same_key}"
        ).format(**parts)
    ).rowcount
    opened = connection.execute(
        sql.SQL(
            "insert into {raw} ({columns}) select {staged}, {load_id}, {known_from}, c.public_from from opening as c"
        ).format(**parts)
    ).rowcount
    held_new = 0
    if held:
        held_new = _count(
            connection,
            sql.SQL(
                "{stage} as c where {staged_periods} and held_by is not null"
                " and not exists (select 1 from {raw} as r where r.known_to = 'infinity' and {same_key})"
            ).format(**parts),
        )
    vanished = before + opened - closed - (sum(entry.rows for entry in periods) - held_new)
    if vanished and covers_whole_periods(contract):
        raise GateRejected(
            f"{contract.title_ja}：前回まであったセルが {vanished:,} 件、今回の提供から消えています。"
            "何も公表していません。提供元の表が変わっていないか確認してください。",
            "gate.cells_vanished",
        )
    return opened, closed


def covers_whole_periods(contract: Contract) -> bool:
    """Whether a delivery of the feed holds all that is known of its periods, so that what it leaves out has vanished."""
    return not (isinstance(contract.source, FileSource) and contract.source.covers == "rows")


def _exists(connection: psycopg.Connection, source: sql.Composable) -> bool:
    row = connection.execute(sql.SQL("select exists (select 1 from ") + source + sql.SQL(")")).fetchone()
    assert row is not None
    return bool(row[0])


def _count(connection: psycopg.Connection, source: sql.Composable) -> int:
    row = connection.execute(sql.SQL("select count(*) from ") + source).fetchone()
    assert row is not None
    return int(row[0])
