"""Past deliveries again, from their landed bytes, with no network: one load, or a feed's since a day.

A replay reads what was read long ago: where something was read and published since, that stays, unless a reason is given for setting
figures back. What a feed stands on is the deliveries that its accepted periods came from, and those refused since: these are replayed, in their
order, through the contract of today. A preview does it in a database of its own, made for it and dropped afterwards, so that the
warehouse is not touched at all: same verbs, same gate, nothing told to anybody.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from kpi_warehouse.contract import Contract, contracts
from kpi_warehouse.errors import KpiError
from kpi_warehouse.load import Published, contract_of, gate, publish, stage
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.history import older_rows
from kpi_warehouse.warehouse.ledger import open_load, read_load, step
from kpi_warehouse.warehouse.scratch import elsewhere, scratch_database
from kpi_warehouse.warehouse.tables import ensure_raw, raw_table

# What the verbs read of the past, in the order of its references. Rows of the feed alone, except what all share.
BOOKS = (
    ("ops.landed", "true"),
    ("ops.load", "true"),
    ("ops.load_page", "load_id in (select load_id from ops.load where feed = {feed})"),
    ("ops.load_period", "load_id in (select load_id from ops.load where feed = {feed})"),
    ("ops.period_digest", "true"),
    ("ops.delivery", "feed = {feed}"),
    ("ops.repair_proposal", "feed = {feed}"),
    ("ops.correction", "feed = {feed}"),
    ("ops.held_row", "feed = {feed}"),
)

NUMBERED = {
    "ops.load": "load_id",
    "ops.delivery": "delivery_id",
    "ops.repair_proposal": "proposal_id",
    "ops.correction": "correction_id",
    "ops.held_row": "held_id",
}


@dataclass(frozen=True)
class Change:
    """A value that a replay would open, close or both. `before` None: new; `after` None: gone."""

    period: str
    label: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Replayed:
    """What one past load would become, or became: its own number, the state, what was said, and what changed.

    `older` are values that were read again since: `before` is current, `after` is what this load says. They are set back only
    with a reason.
    """

    load_id: int
    file_name: str | None
    state: str
    message_ja: str
    opened_rows: int = 0
    closed_rows: int = 0
    held_rows: int = 0
    changes: list[Change] = field(default_factory=list)
    older: list[Change] = field(default_factory=list)
    error: KpiError | None = None


def replay(load_id: int, set_back_ja: str | None = None) -> Published:
    """Stage, gate and publish a past load again from its landed bytes, with no network, as a new load.

    Args:
        set_back_ja: why figures that were read later are to give way to these; None leaves them as they are.
    """
    again = _judged_again(load_id, set_back_ja)
    return publish(again)


def _judged_again(load_id: int, set_back_ja: str | None) -> int:
    """A new load that has passed the gate with the bytes of a past one; returns its number."""
    past = read_load(load_id)
    contract = contract_of(past["feed"])
    if past["state"] in ("open", "waiting") or not _has_pages(load_id):
        raise KpiError(
            f"取込番号 {load_id} には保存したページがないため、やり直せません（状態：{past['state']}）。",
            "load.no_pages",
        )
    again = open_load(contract, period=past["requested_period"], trigger="replay", run_ref=None, forced=True)
    with step(again, "fetch") as current:
        current.connection.execute(
            "insert into ops.load_page"
            " (load_id, page, part, sha256, url, params, first_row, last_row, total_rows, fetched_at)"
            " select %s, page, part, sha256, url, params, first_row, last_row, total_rows, fetched_at from ops.load_page"
            " where load_id = %s",
            [again, load_id],
        )
        copied = (
            "requested_period",
            "period_from",
            "period_to",
            "source_updated_on",
            "declared_rows",
            "read_at",
        )
        current.update(state="fetched", set_back_ja=set_back_ja, **{name: past[name] for name in copied})
        current.detail = {"replay_of": load_id}
    stage(again)
    gate(again)
    return again


def _has_pages(load_id: int) -> bool:
    with connect() as connection:
        row = connection.execute(
            "select exists (select 1 from ops.load_page where load_id = %s)", [load_id]
        ).fetchone()
    return bool(row and row[0])


def past_loads(feed: str, since: date) -> list[int]:
    """Numbers of the loads that the feed's accepted periods came from, and of those refused after them, since a day (Japan
    time), in their order.

    Raises:
        KpiError: the feed is unknown, or nothing of it was delivered since.
    """
    contract_of(feed)
    with connect() as connection:
        rows = connection.execute(
            "with accepted as (select distinct load_id from ops.period_digest where feed = %(feed)s)"
            " select l.load_id from ops.load as l where l.feed = %(feed)s and l.opened_at >= %(since)s::timestamptz"
            " and exists (select from ops.load_page as p where p.load_id = l.load_id)"
            " and (l.load_id in (select load_id from accepted) or (l.state in ('rejected', 'failed')"
            " and l.read_at > coalesce((select max(a.read_at) from ops.load as a join accepted using (load_id)),"
            " '-infinity')))"
            " order by l.read_at, l.load_id",
            {"feed": feed, "since": since},
        ).fetchall()
    if not rows:
        raise KpiError(f"{feed} には、{since} 以降にやり直せる取込がありません。", "replay.nothing")
    return [int(load_id) for (load_id,) in rows]


def publish_since(feed: str, since: date, set_back_ja: str | None = None) -> Iterator[Replayed]:
    """Replay for good, one load after the other; done again after a kill, what was done already changes nothing.

    Raises:
        KpiError: see `past_loads`. A load that is refused is yielded as such, and the next goes on.
    """
    for load_id in past_loads(feed, since):
        yield replayed(load_id, set_back_ja)


def preview_since(feed: str, since: date, set_back_ja: str | None = None) -> list[Replayed]:
    """What `publish_since` would do, found out in a database of its own.

    Raises:
        KpiError: see `past_loads`; or this login may not create databases.
    """
    numbers = past_loads(feed, since)
    with scratch_database() as url, tempfile.TemporaryDirectory(prefix="kpi-preview-") as returned:
        environment = os.environ | {"KPI_DATABASE_URL": url, "KPI_RETURNS": f"file://{returned}"}
        _copy(contract_of(feed), url)
        return elsewhere(environment, _all, numbers, set_back_ja)


def _all(numbers: list[int], set_back_ja: str | None) -> list[Replayed]:
    return [replayed(number, set_back_ja) for number in numbers]


def replayed(load_id: int, set_back_ja: str | None = None) -> Replayed:
    """Replay one load and say what came of it; a refusal is an answer here."""
    past = read_load(load_id)
    contract = contract_of(past["feed"])
    name = _file_name(load_id)
    try:
        again = _judged_again(load_id, set_back_ja)
        older = _older(contract, again)
        done = publish(again)
    except KpiError as error:
        return Replayed(load_id, name, error.code, error.message_ja, error=error)
    changes = _changes(contract, done.load_id) if done.opened_rows or done.closed_rows else []
    message = "変わりません。" if done.state in ("unchanged", "superseded") else "取り込めます。"
    return Replayed(
        load_id, name, done.state, message, done.opened_rows, done.closed_rows, done.held_rows, changes, older
    )


def _older(contract: Contract, load_id: int) -> list[Change]:
    """Values of a judged load whose current ones were read later; none of them is set back without a reason."""
    with connect() as connection:
        rows = older_rows(connection, contract, load_id)
    return [
        Change(period, _label(contract, staged), _said(contract, current), _said(contract, staged))
        for period, staged, current in rows
    ]


def _file_name(load_id: int) -> str | None:
    with connect() as connection:
        row = connection.execute(
            "select params ->> 'file_name' from ops.load_page where load_id = %s order by page limit 1",
            [load_id],
        ).fetchone()
    return row[0] if row else None


def _changes(contract: Contract, load_id: int) -> list[Change]:
    """Values that a load opened and closed, by key."""
    key = list(contract.key_names)
    query = sql.SQL(
        "select coalesce(o.period, c.period) as _period, coalesce(o.key, c.key) as _key, c.row as before, o.row as after from"
        " (select {period}::text as period, jsonb_build_object({pairs}) as key, to_jsonb(r) as row from {raw} as r"
        " where r.load_id = %(load)s) as o full join"
        " (select {period}::text as period, jsonb_build_object({pairs}) as key, to_jsonb(r) as row from {raw} as r"
        " where r.known_to = (select published_at from ops.load where load_id = %(load)s)) as c using (key)"
        " order by 1, 2"
    ).format(
        period=sql.Identifier(contract.period.name),
        pairs=sql.SQL(", ").join(sql.SQL("{}, {}").format(sql.Literal(n), sql.Identifier(n)) for n in key),
        raw=raw_table(contract),
    )
    with connect() as connection:
        rows = connection.cursor(row_factory=dict_row).execute(query, {"load": load_id}).fetchall()
    return [
        Change(
            row["_period"],
            _label(contract, row["_key"]),
            _said(contract, row["before"]),
            _said(contract, row["after"]),
        )
        for row in rows
    ]


def _label(contract: Contract, key: dict[str, Any]) -> str:
    columns = {column.name: column for column in contract.axes}
    return "／".join(
        columns[name].codes.get(str(code), str(code)) for name, code in key.items() if name in columns
    )


def _said(contract: Contract, row: dict[str, Any] | None) -> str | None:
    """A value as people read it: as it was written, else the number, else its mark."""
    if row is None:
        return None
    for name in ("value_text", contract.value.name, contract.mark.name):
        if row.get(name) is not None:
            return str(row[name])
    return ""


def _copy(contract: Contract, url: str) -> None:
    """What the verbs need of the past: the books of the feed, and the accepted rows of every feed (rules compare feeds)."""
    with connect() as source, psycopg.connect(url) as target:
        source.execute("set transaction isolation level repeatable read, read only")
        target.execute("set role kpi_loader")
        for each in contracts(settings().contracts):
            ensure_raw(target, each)
        for table in ("ops.load", "ops.delivery"):
            target.execute(sql.SQL("alter table {} disable trigger user").format(_name(table)))
        for table, condition in BOOKS:
            _copy_rows(source, target, table, condition.format(feed=f"'{contract.feed}'"))
        for each in contracts(settings().contracts):
            if source.execute("select to_regclass(%s)", [f"raw.{each.feed}"]).fetchone() != (None,):
                _copy_rows(source, target, f"raw.{each.feed}", "known_to = 'infinity'")
        for table in ("ops.load", "ops.delivery"):
            target.execute(sql.SQL("alter table {} enable trigger user").format(_name(table)))
        for table, column in NUMBERED.items():
            target.execute(
                sql.SQL(
                    "select setval(pg_get_serial_sequence({}, {}), coalesce(max({}), 0) + 1) from {}"
                ).format(sql.Literal(table), sql.Literal(column), sql.Identifier(column), _name(table))
            )


def _copy_rows(source: psycopg.Connection, target: psycopg.Connection, table: str, condition: str) -> None:
    columns = [
        str(name)
        for (name,) in source.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
            [table],
        )
    ]
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    out = sql.SQL("copy (select {} from {} where {}) to stdout (format binary)").format(
        listed, _name(table), sql.SQL(condition)
    )
    into = sql.SQL("copy {} ({}) from stdin (format binary)").format(_name(table), listed)
    with source.cursor().copy(out) as reading, target.cursor().copy(into) as writing:
        for block in reading:
            writing.write(block)


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
