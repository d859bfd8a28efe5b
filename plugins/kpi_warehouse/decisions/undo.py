"""A publication that should never have been is taken back, as one more step of history.

What was known before becomes current again: rows of the load are closed, and of each cell the row before it is written once more,
known from now on, with the load and the place that it came from. Nothing is deleted, so the span in which the wrong figures were
current stays: receipts and boards as of then show what was published.

Cells that a later load has replaced stay as they are where a delivery speaks of its own rows alone. Where a delivery is whole
periods, whose cells add up, a period of which a later load has replaced a part is refused: that load has to be taken back first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract, FileSource
from kpi_warehouse.errors import KpiError
from kpi_warehouse.load import contract_of
from kpi_warehouse.warehouse import embargo
from kpi_warehouse.warehouse.deliveries import settle
from kpi_warehouse.warehouse.history import covers_whole_periods, lock_history
from kpi_warehouse.warehouse.ledger import load_in_hand, read_load, step
from kpi_warehouse.warehouse.tables import names, raw_table


@dataclass(frozen=True)
class Undone:
    """What taking a load back did, in rows of `raw.<feed>`. `kept_loads` are later loads whose cells stay; `is_new` is False
    where it had been taken back before."""

    load_id: int
    closed_rows: int
    restored_rows: int
    kept_loads: tuple[int, ...]
    is_new: bool


def undo(load_id: int, reason_ja: str) -> Undone:
    """Take a published load back; the reason stays for ever, and who is told of the feed is told of it.

    Raises:
        KpiError: no reason, it is not published, or later loads have replaced its cells, wholly or in a period that adds up.
        LoadConflict: somebody else works on it at this moment.
    """
    if not reason_ja.strip():
        raise KpiError("取り消す理由（--reason）を書いてください。", "undo.no_reason")
    with load_in_hand(load_id) as (connection, load):
        contract = contract_of(load["feed"])
        if load["state"] == "undone":
            return _before(connection, load_id)
        if load["state"] != "published":
            raise KpiError(
                f"取込番号 {load_id} は公表していません（状態：{load['state']}）。取り消すものはありません。",
                "undo.not_published",
            )
        with step(load_id, "undo", connection, keeps_load=True) as current:
            lock_history(connection, contract)
            kept = _replaced_since(connection, contract, load_id)
            now = _now(connection)
            closed, restored = take_back(connection, contract, load_id, now)
            _judge_anew(connection, contract, load_id, now)
            _write_down(
                connection, contract, read_load(load_id, connection), reason_ja.strip(), closed, restored, now
            )
            current.outcome = "undone"
            current.detail = {"closed_rows": closed, "restored_rows": restored}
    return Undone(load_id, closed, restored, kept, True)


def _before(connection: psycopg.Connection, load_id: int) -> Undone:
    row = connection.execute(
        "select closed_rows, restored_rows from ops.undo where load_id = %s", [load_id]
    ).fetchone()
    closed, restored = row or (0, 0)
    return Undone(load_id, closed, restored, (), False)


def _now(connection: psycopg.Connection) -> datetime:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    instant: datetime = row[0]
    return instant


def _same_key(contract: Contract, one: str, other: str) -> sql.Composable:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(one, name), sql.Identifier(other, name))
        for name in contract.key_names
    )


def _replaced_since(connection: psycopg.Connection, contract: Contract, load_id: int) -> tuple[int, ...]:
    """Later loads that have replaced cells of this one.

    Raises:
        KpiError: they leave nothing to take back, or a part of a period that adds up.
    """
    start, end = contract.period_names
    rows = connection.execute(
        sql.SQL(
            "with own as (select distinct {key} from {raw} as r where r.load_id = {load})"
            " select {start}, {end}, count(*) filter (where cur.load_id = {load}),"
            " array_agg(distinct cur.load_id) filter (where cur.load_id <> {load}) from own as r"
            " join {raw} as cur on cur.known_to = 'infinity' and {same} group by 1, 2 order by 1, 2"
        ).format(
            key=names(contract.key_names, "r"),
            raw=raw_table(contract),
            load=sql.Literal(load_id),
            start=sql.Identifier("r", start),
            end=sql.Identifier("r", end),
            same=_same_key(contract, "cur", "r"),
        )
    ).fetchall()
    later = tuple(sorted({number for *_, others in rows for number in others or ()}))
    listed = "、".join(str(number) for number in later)
    if not any(current for _, _, current, _ in rows):
        raise KpiError(
            f"取込番号 {load_id} の値は、後の取込がすべて置き換えています（取込番号 {listed or '—'}）。取り消すものはありません。",
            "undo.replaced",
        )
    mixed = [first for first, _, current, others in rows if current and others]
    if mixed and covers_whole_periods(contract):
        months = "、".join(f"{first:%Y年%-m月}" for first in mixed[:5])
        newest = later[-1]
        raise KpiError(
            f"取込番号 {load_id} の {months}分は、一部を後の取込（取込番号 {listed}）が置き換えています。片方だけ戻すと合計が"
            f"合わなくなるため、何も変えていません。新しいほうから取り消してください：\n"
            f"kpi load undo {newest} --reason '…'",
            "undo.partly_replaced",
        )
    return later


def take_back(
    connection: psycopg.Connection, contract: Contract, load_id: int, now: datetime
) -> tuple[int, int]:
    """Close the load's current rows and write once more what was known before them; rows closed and written. Must run after
    `lock_history`.

    Before the first row that the load ever gave a cell: what a load that was itself taken back had said is passed over.
    """
    raw, key = raw_table(contract), names(contract.key_names)
    parts: dict[str, sql.Composable] = {
        "raw": raw,
        "key": key,
        "own_key": names(contract.key_names, "r"),
        "load": sql.Literal(load_id),
        "feed": sql.Literal(contract.feed),
        "now": sql.Literal(now),
        "columns": names(contract.stage_columns),
        "before_columns": names(contract.stage_columns, "b"),
        "same": _same_key(contract, "p", "g"),
        "going": _same_key(contract, "r", "g"),
        "back": _same_key(contract, "r", "b"),
    }
    connection.execute(
        sql.SQL(
            "create temporary table going on commit drop as select {own_key},"
            " (select min(f.known_from) from {raw} as f where f.load_id = {load} and {first}) as first_from"
            " from {raw} as r where r.load_id = {load} and r.known_to = 'infinity'"
        ).format(first=_same_key(contract, "f", "r"), **parts)
        if _comes_twice(connection, contract, load_id)
        else sql.SQL(
            "create temporary table going on commit drop as select {own_key}, r.known_from as first_from"
            " from {raw} as r where r.load_id = {load} and r.known_to = 'infinity'"
        ).format(**parts)
    )
    connection.execute("analyze going")
    connection.execute(
        sql.SQL(
            "create temporary table coming on commit drop as select distinct on ({by}) p.*,"
            " case when p.public_from > {now} then p.public_from end as shown_from"
            " from going as g join {raw} as p on {same} and p.known_from < g.first_from and p.load_id <> {load}"
            " and p.load_id not in (select load_id from ops.undo where feed = {feed} and undone_at < {now})"
            " order by {by}, p.known_from desc"
        ).format(by=names(contract.key_names, "p"), **parts)
    )
    if embargo.is_delayed(connection, contract, parts["now"]):
        # Who is on show leaves where what comes back begins; what waited to be shown and is over never is.
        connection.execute(
            sql.SQL(
                "update {raw} as r set public_to = case when r.public_from > {now} then r.public_from"
                " else coalesce(b.shown_from, {now}) end from going as g left join coming as b on {coming}"
                " where {going} and r.known_to < 'infinity' and r.public_to > {now}"
            ).format(coming=_same_key(contract, "b", "g"), **parts)
        )
    closed = connection.execute(
        sql.SQL(
            "update {raw} as r set known_to = {now} from going as g where {going} and r.known_to = 'infinity'"
        ).format(**parts)
    ).rowcount
    restored = connection.execute(
        sql.SQL(
            "insert into {raw} ({columns}, load_id, known_from, public_from)"
            " select {before_columns}, b.load_id, {now}, b.shown_from from coming as b"
        ).format(**parts)
    ).rowcount
    connection.execute("drop table going, coming")
    return closed, restored


def _comes_twice(connection: psycopg.Connection, contract: Contract, load_id: int) -> bool:
    """Whether rows of the load were once taken over again, when a load after it was taken back."""
    row = connection.execute(
        sql.SQL(
            "select exists (select from {raw} as r join ops.undo as u on u.undone_at = r.known_from"
            " where r.load_id = %s and u.feed = %s)"
        ).format(raw=raw_table(contract)),
        [load_id, contract.feed],
    ).fetchone()
    return bool(row and row[0])


def _judge_anew(connection: psycopg.Connection, contract: Contract, load_id: int, now: datetime) -> None:
    """Of the periods that changed, what is accepted is known by its rows alone: whatever is delivered next is looked at again."""
    start, end = contract.period_names
    connection.execute(
        sql.SQL(
            "create temporary table anew on commit drop as"
            " select distinct r.{start} as period, r.{end} as period_end from {raw} as r where r.load_id = {load}"
            " and r.known_to = {now} union select period, period_end from ops.period_digest where load_id = {load}"
        ).format(
            start=sql.Identifier(start),
            end=sql.Identifier(end),
            raw=raw_table(contract),
            load=sql.Literal(load_id),
            now=sql.Literal(now),
        )
    )
    connection.execute(
        "delete from ops.period_digest as d using anew as a where d.feed = %s"
        " and (d.period, d.period_end) = (a.period, a.period_end)",
        [contract.feed],
    )
    connection.execute(
        sql.SQL(
            "insert into ops.period_digest (feed, period, period_end, rows, digest, load_id)"
            " select {feed}, a.period, a.period_end, count(*), '', max(r.load_id) from anew as a"
            " join {raw} as r on r.known_to = 'infinity' and (r.{start}, r.{end}) = (a.period, a.period_end)"
            " group by a.period, a.period_end"
        ).format(
            feed=sql.Literal(contract.feed),
            raw=raw_table(contract),
            start=sql.Identifier(start),
            end=sql.Identifier(end),
        )
    )


def _write_down(
    connection: psycopg.Connection,
    contract: Contract,
    load: dict[str, Any],
    reason_ja: str,
    closed: int,
    restored: int,
    now: datetime,
) -> None:
    """The books: the load, its rows that wait, its file, and through the load's row the incident."""
    load_id = load["load_id"]
    said = (
        f"{contract.title_ja}：取込番号 {load_id} の公表（{load['published_at']:%Y-%m-%d %H:%M}）を取り消し、前の値に戻しました。\n"
        f"・理由：{reason_ja}\n・閉じた値 {closed:,} 件、前の値に戻したもの {restored:,} 件"
    )
    connection.execute(
        "insert into ops.undo (load_id, feed, reason_ja, closed_rows, restored_rows, undone_at)"
        " values (%s, %s, %s, %s, %s, %s)",
        [load_id, contract.feed, reason_ja, closed, restored, now],
    )
    connection.execute(
        "update ops.held_row set state = 'superseded', settled_at = %s where load_id = %s and state = 'held'",
        [now, load_id],
    )
    connection.execute(
        "update ops.load set state = 'undone', error_code = 'load.undone', error_ja = %s,"
        " heartbeat_at = clock_timestamp() where load_id = %s",
        [said, load_id],
    )
    if isinstance(contract.source, FileSource):
        for (delivery_id,) in connection.execute(
            "select delivery_id from ops.delivery where load_id = %s and state in ('loaded', 'held', 'unchanged')",
            [load_id],
        ).fetchall():
            settle(delivery_id, "undone", said, load_id=load_id, on=connection)
