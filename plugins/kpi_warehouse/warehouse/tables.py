"""Tables made from a contract: `raw.<feed>` (accepted history) and `stage.<feed>_<load>` (one delivery, unlogged)."""

from __future__ import annotations

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract
from kpi_warehouse.errors import ContractError, HistoryLost

# Bitemporal bookkeeping beside the contract's own columns. `public_from` and `public_to` stand only where an embargo makes
# readers see a row later than it was known (`warehouse/embargo.py`).
HISTORY_COLUMNS = {
    "load_id": "bigint not null",
    "known_from": "timestamptz not null",
    "known_to": "timestamptz not null default 'infinity'",
    "public_from": "timestamptz",
    "public_to": "timestamptz",
}


def raw_table(contract: Contract) -> sql.Identifier:
    """`raw.<feed>`."""
    return sql.Identifier("raw", contract.feed)


def current_index(contract: Contract) -> str:
    """Name of the unique index that allows one current row per key."""
    return f"{contract.feed}_current"


def stage_name(contract: Contract, load_id: int) -> str:
    """Name of a load's table in the schema `stage`."""
    return f"{contract.feed}_{load_id}"


def stage_table(contract: Contract, load_id: int) -> sql.Identifier:
    """`stage.<feed>_<load>`."""
    return sql.Identifier("stage", stage_name(contract, load_id))


def names(columns: tuple[str, ...] | list[str], prefix: str = "") -> sql.Composed:
    """Column names for a statement: ``a, b`` or ``p.a, p.b``."""
    return sql.SQL(", ").join(sql.Identifier(*([prefix] if prefix else []), column) for column in columns)


def ensure_raw(connection: psycopg.Connection, contract: Contract) -> None:
    """Create `raw.<feed>` with its index and comments, or check that it still has the contract's columns.

    Raises:
        ContractError: the table exists with other columns; history is never rebuilt silently.
        HistoryLost: the table is gone or empty although deliveries were accepted. Its incident is then open, and what the
            caller's transaction had done is rolled back.
    """
    wanted = {column.name: column.sql_type for column in contract.columns}
    found: dict[str, str] = dict(
        connection.execute(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'raw' and table_name = %s",
            [contract.feed],
        ).fetchall()
    )
    if found:
        differing: dict[str, tuple[str | None, str | None]] = {
            name: (found.get(name), kind) for name, kind in wanted.items() if found.get(name) != kind
        }
        ours = {**wanted, **contract.source.place_columns, **HISTORY_COLUMNS}
        differing |= {name: (kind, None) for name, kind in found.items() if name not in ours}
        if differing:
            shown = "、".join(
                f"{name}（表：{have or 'なし'}、契約：{want or 'なし'}）"
                for name, (have, want) in differing.items()
            )
            raise ContractError(
                f"{contract.path.name}: 履歴の表 raw.{contract.feed} と契約の列が違います：{shown}。"
                "履歴を保ったまま列を変えるには、移行（warehouse/migrations）を書いてください。",
                "contract.raw_differs",
            )
    if contract.feed in lost_histories(connection, contract.feed):
        raise report_lost(connection, contract.feed)
    if not found:
        create_raw(connection, contract)


def lost_histories(connection: psycopg.Connection, feed: str | None = None) -> list[str]:
    """Feeds (or this one, if it is) of which rows were accepted and whose history table is gone or empty."""
    accepted = connection.execute(
        "select feed, to_regclass(format('raw.%%I', feed)) is null from ops.load"
        " where published_at is not null and opened_rows > 0 and (%(feed)s::text is null or feed = %(feed)s)"
        " and exists (select from ops.load_period as p where p.load_id = load.load_id)"
        " group by feed order by feed",
        {"feed": feed},
    ).fetchall()
    return [
        name
        for name, is_gone in accepted
        if is_gone
        or connection.execute(
            sql.SQL("select not exists (select from {})").format(sql.Identifier("raw", name))
        ).fetchone()
        == (True,)
    ]


def report_lost(connection: psycopg.Connection, feed: str) -> HistoryLost:
    """Open the incident of a lost history, in a transaction of its own; returns the error to raise."""
    message = lost_ja(feed)
    connection.rollback()
    with connection.transaction():
        connection.execute(
            "select ops.report_trouble('history_lost', %s, null, 'history.lost', %s)", [feed, message]
        )
    return HistoryLost(message, "history.lost")


def lost_ja(feed: str) -> str:
    """What is said of a lost history."""
    return (
        f"履歴の表 raw.{feed} がないか空です。受け付けた取込の記録（ops）は残っています。空の表は作り直しません。"
        f"`kpi rebuild {feed}` で、保存したバイト列から作り直してください。"
    )


def rename_raw(connection: psycopg.Connection, contract: Contract, name: str) -> bool:
    """Set a feed's history table aside under another name, with its index; False where it is gone or empty."""
    found = connection.execute("select to_regclass(%s)", [f'raw."{contract.feed}"']).fetchone()
    if found is None or found[0] is None:
        return False
    if contract.feed in lost_histories(connection, contract.feed):
        connection.execute(sql.SQL("drop table {} cascade").format(raw_table(contract)))
        return False
    connection.execute(
        sql.SQL("alter table {} rename to {}").format(raw_table(contract), sql.Identifier(name))
    )
    connection.execute(
        sql.SQL("alter index if exists {} rename to {}").format(
            sql.Identifier("raw", current_index(contract)), sql.Identifier(f"{name}_current")
        )
    )
    return True


def create_raw(connection: psycopg.Connection, contract: Contract) -> None:
    """Create `raw.<feed>`, empty, with its index and comments."""
    # `create … if not exists` alone can still collide when two first loads start together.
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"raw.{contract.feed}"])
    columns = sql.SQL(", ").join(
        [
            *(
                sql.SQL("{} {} {}").format(
                    sql.Identifier(column.name),
                    sql.SQL(column.sql_type),
                    sql.SQL("not null" if column.required else ""),
                )
                for column in contract.columns
            ),
            *(
                sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
                for name, kind in (contract.source.place_columns | HISTORY_COLUMNS).items()
            ),
            sql.SQL("check (known_from < known_to)"),
        ]
    )
    table = raw_table(contract)
    connection.execute(sql.SQL("create table if not exists {} ({})").format(table, columns))
    create_current_index(connection, contract)
    connection.execute(sql.SQL("comment on table {} is {}").format(table, sql.Literal(contract.title_ja)))
    for column in contract.columns:
        connection.execute(
            sql.SQL("comment on column {} is {}").format(
                sql.Identifier("raw", contract.feed, column.name),
                sql.Literal(f"{column.label_ja}：{column.description_ja}"),
            )
        )


def create_current_index(connection: psycopg.Connection, contract: Contract) -> None:
    """One current row per key, kept by the database itself.

    In the order in which e-Stat serves, newest month first: rows that lie in the order of an index are sorted in a third of
    the time when it is built.
    """
    period, *axes = contract.key_names
    connection.execute(
        sql.SQL("create unique index if not exists {} on {} ({}) where known_to = 'infinity'").format(
            sql.Identifier(current_index(contract)),
            raw_table(contract),
            sql.SQL(", ").join([sql.SQL("{} desc").format(sql.Identifier(period)), names(axes)]),
        )
    )


def create_stage(connection: psycopg.Connection, contract: Contract, load_id: int) -> sql.Composed:
    """Make the load's empty stage table (dropping an earlier try) and return its COPY statement.

    Unlogged: it can be made again from landing at any time, so it costs no WAL; and no autovacuum, which would come
    between the verbs of a load. `held_by` names the rule that holds a row back, `held_note` says what it finds in the row.
    """
    defaults = stage_defaults(contract)
    kinds = {column.name: column.sql_type for column in contract.columns} | contract.source.place_columns
    columns = contract.stage_columns
    table = stage_table(contract, load_id)
    connection.execute(sql.SQL("drop table if exists {} cascade").format(table))
    connection.execute(
        sql.SQL(
            "create unlogged table {} ({}, held_by text, held_note text) with (autovacuum_enabled = off)"
        ).format(
            table,
            sql.SQL(", ").join(
                sql.SQL("{} {} default {}").format(
                    sql.Identifier(name), sql.SQL(kinds[name]), sql.Literal(defaults.get(name))
                )
                for name in columns
            ),
        )
    )
    return copy_statement(contract, load_id)


def stage_defaults(contract: Contract) -> dict[str, str]:
    """What stands in most rows of a file: a reader that has nothing else to say of a column leaves it out."""
    if "source_cell" not in contract.source.place_columns:
        return {}
    kinds = next((list(column.codes) for column in contract.key if column.name == "period_kind"), [])
    return {"source_page": "1", "value_status": "actual"} | (
        {"period_kind": kinds[0]} if len(kinds) == 1 else {}
    )


def copy_statement(contract: Contract, load_id: int) -> sql.Composed:
    """The COPY that takes `RowBlock.copy_text`."""
    return sql.SQL("copy {} ({}) from stdin").format(
        stage_table(contract, load_id), names(contract.stage_columns)
    )


def drop_stage(connection: psycopg.Connection, contract: Contract, load_id: int) -> None:
    """Drop a load's stage table, if it is there."""
    connection.execute(sql.SQL("drop table if exists {} cascade").format(stage_table(contract, load_id)))


def analyze(connection: psycopg.Connection, table: sql.Identifier) -> None:
    """Let the planner know a table that was just written; without it a join with it can take minutes.

    A sample of 3,000 rows tells sizes and spreads well enough, at a tenth of the usual cost.
    """
    connection.execute("set default_statistics_target = 10")
    connection.execute(sql.SQL("analyze {}").format(table))
    connection.execute("reset default_statistics_target")
