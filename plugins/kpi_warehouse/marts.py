"""History → marts: dbt builds beside, tests there, and one transaction swaps.

`build` runs the dbt project in this process into the schema ``marts_next`` and, when every model and test
has passed, renames it to ``marts`` with its grants in one transaction. A failure leaves ``marts`` as it was.
An as-of build makes the same tables from what was known at an instant, in a schema that BI does not see.

Builds of one database wait for each other on an advisory lock. The process may be killed at any instruction:
the next build clears away what was left and starts again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from kpi_warehouse import clock
from kpi_warehouse.contract import feeds, find_contract
from kpi_warehouse.errors import BuildFailed, KpiError, LoadConflict, StorageFailed
from kpi_warehouse.marts_dbt import Node, build_into, feeds_behind
from kpi_warehouse.marts_inputs import Inputs, inputs_now, published_from
from kpi_warehouse.marts_memory import remember
from kpi_warehouse.marts_swap import MARTS, NEXT, drop_retired, drop_schemas, keep_beside, schemas, swap
from kpi_warehouse.set_aside.book import conclude
from kpi_warehouse.set_aside.published_figures import note_differences
from kpi_warehouse.set_aside.rounds import Outcome, Rounds
from kpi_warehouse.set_aside.steps import Step, seen_now
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import KILLED_BUILD_JA, WAIT_FOR_THE_LOST_SESSION
from kpi_warehouse.warehouse.tables import ensure_raw, lost_histories, report_lost

BUILD_LOCK = 0x4B50_4942
WAIT_FOR_OTHER_BUILD = "10min"
AS_OF_KEPT_DAYS = 7
SEEDS = f"{NEXT}_seeds"
HISTORY = f"{NEXT}_history"
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Built:
    """What `build` did. ``unchanged``: nothing is new since `build_id`, so nothing ran, `nodes` is empty. `left_out`: steps of
    history that are set aside, oldest first."""

    build_id: int
    state: Literal["published", "unchanged"]
    nodes: tuple[Node, ...]
    seconds: float
    schema_name: str
    left_out: tuple[Step, ...] = ()


def build(as_of: datetime | None = None, *, force: bool = False) -> Built:
    """Build and test the marts, then publish them.

    A load that makes a model or test fail is found out, set aside with an incident, and everything else is published
    (`kpi_warehouse.set_aside`).

    Args:
        as_of: build what was known at this instant (without a zone: Japan time) into a schema of its own,
            ``marts_asof_<UTC instant>``, which stays for analysis and is not granted to BI.
        force: build even when history, gate, catalogue and code are those of the published marts.

    Raises:
        BuildFailed: a model or test failed and no load explains it; the message names them and ``marts`` is unchanged.
        LoadConflict: another build held the warehouse for longer than ten minutes.
        StorageFailed: the database went away.
    """
    instant = _past_instant(as_of)
    with _alone() as connection:
        return _build(connection, instant, force=force)


def wait_for_embargo() -> datetime:
    """Sleep until the next embargo ends, if it does so within minutes; returns the instant by the clock of the database.

    Whoever calls this on time may be early: the clocks of two machines differ, and a build that comes a moment too soon would
    be the last of its day.
    """
    with connect("kpi_transformer", autocommit=True) as connection:
        while True:
            now, wait = connection.execute(
                "select clock_timestamp(), extract(epoch from min(public_from) - clock_timestamp())::float8"
                " from ops.embargo where public_from between clock_timestamp() and clock_timestamp() + %s",
                [CLOCKS_DIFFER],
            ).fetchone() or (None, None)
            if wait is None:
                assert isinstance(now, datetime)
                return now
            time.sleep(max(0.0, wait))


def board(as_of: datetime | None = None) -> list[dict[str, Any]]:
    """The rows of ``mart_kpi_board`` in display order: one dict per KPI, keyed by column; always every KPI.

    With `as_of` the board is built as of that instant, read, and its schema dropped again.

    Raises:
        KpiError: the marts have not been built yet.
        BuildFailed, LoadConflict, StorageFailed: see `build`.
    """
    instant = _past_instant(as_of)
    if instant is None:
        with connect("kpi_transformer") as connection:
            return _read_board(connection, MARTS)
    with _alone() as connection:
        built = _build(connection, instant, force=True)
        try:
            return _read_board(connection, built.schema_name)
        finally:
            drop_schemas(connection, built.schema_name)


def programme_values() -> list[dict[str, Any]]:
    """The newest figure of every measure of the departmental feeds: rows of ``mart_programme_value``, one dict each.

    Raises:
        KpiError: the marts have not been built yet.
    """
    query = sql.SQL(
        "select * from {} where is_newest order by feed, breakdown_ja, display_order, period_start"
    ).format(sql.Identifier(MARTS, "mart_programme_value"))
    with connect("kpi_transformer") as connection:
        return _read(connection, query)


def outlook() -> list[dict[str, Any]]:
    """Where K12 ends its year, seen from the end of each month, oldest first: rows of ``mart_migration_outlook``, one dict each.

    Raises:
        KpiError: the marts have not been built yet.
    """
    query = sql.SQL("select * from {} order by period_id").format(
        sql.Identifier(MARTS, "mart_migration_outlook")
    )
    with connect("kpi_transformer") as connection:
        return _read(connection, query)


def has_simulated_flows() -> bool:
    """Whether moves by partner come from the simulator and not from e-Stat.

    Raises:
        KpiError: the marts have not been built yet.
    """
    query = sql.SQL("select exists (select from {} where value_status = 'simulated') as found").format(
        sql.Identifier(MARTS, "mart_migration_by_bloc_monthly")
    )
    with connect("kpi_transformer") as connection:
        return bool(_read(connection, query)[0]["found"])


def _past_instant(as_of: datetime | None) -> datetime | None:
    if as_of is None:
        return None
    instant = (as_of if as_of.tzinfo else as_of.replace(tzinfo=ZoneInfo("Asia/Tokyo"))).astimezone(UTC)
    if instant > datetime.now(UTC):
        raise KpiError(
            f"時点 {as_of.isoformat()} は未来です。過去の日時を指定してください。", "marts.as_of_in_future"
        )
    return instant


@contextmanager
def _alone() -> Iterator[psycopg.Connection]:
    """A connection that is the only one building; a lost connection gives the lock back by itself."""
    with connect("kpi_transformer", autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("set lock_timeout = {}").format(WAIT_FOR_OTHER_BUILD))
            connection.execute("select pg_advisory_lock(%s)", [BUILD_LOCK])
            connection.execute("reset lock_timeout")
        except psycopg.errors.LockNotAvailable:
            raise LoadConflict(
                "別の構築が10分以上続いているため、待つのをやめました。終わってからもう一度実行してください。",
                "marts.busy",
            ) from None
        try:
            yield connection
        except psycopg.OperationalError as error:
            raise StorageFailed(
                f"構築の途中でデータベースとの接続が切れました：{error}。公開中の marts は変えていません。",
                "marts.database_lost",
            ) from error


def _build(connection: psycopg.Connection, as_of: datetime | None, *, force: bool) -> Built:
    started = time.monotonic()
    schema = f"marts_asof_{as_of:%Y%m%dt%H%M%S}" if as_of else MARTS
    _clear_away(connection)
    _ensure_sources()
    inputs = inputs_now(connection)
    published = None if force or as_of else published_from(connection, inputs)
    if published is not None:
        return Built(published, "unchanged", (), time.monotonic() - started, MARTS)

    build_id = _open(connection, as_of, schema, inputs)
    try:
        outcome = _rounds(connection, as_of, inputs.code_version, force=force)
        nodes = outcome.nodes
        _record(connection, build_id, nodes)
        _raise_failures(nodes)
        with connection.transaction():
            connection.execute(
                sql.SQL("comment on schema {} is {}").format(
                    sql.Identifier(SEEDS), sql.Literal(inputs.code_version)
                )
            )
            if as_of is None:
                remember(connection, NEXT, build_id)
                conclude(connection, build_id, inputs.code_version)
                note_differences(connection, NEXT)
                swap(connection, build_id)
            else:
                keep_beside(connection, schema)
            drop_schemas(connection, HISTORY)
            _close(connection, build_id, "published")
    except KpiError as error:
        _close(connection, build_id, "failed", error.message_ja)
        if as_of is not None:
            drop_schemas(connection, NEXT)
        raise
    except psycopg.OperationalError:
        if not _stands(build_id):
            raise
    else:
        drop_retired(connection)
    left_out = tuple(sorted(outcome.left_out))
    return Built(build_id, "published", nodes, time.monotonic() - started, schema, left_out)


def _rounds(
    connection: psycopg.Connection, as_of: datetime | None, code_version: str, *, force: bool
) -> Outcome:
    """Build into `marts_next`, as often as it takes to leave out what does not go with the rest."""
    seeded = _has_seeds(connection, code_version)

    def attempt(left_out: Iterable[str], only: Iterable[str]) -> tuple[Node, ...]:
        nonlocal seeded
        drop_schemas(connection, NEXT)
        nodes = build_into(NEXT, as_of, code_version, seeded=seeded, left_out=left_out, only=only)
        seeded = seeded or not any(node.kind == "seed" and node.status != "success" for node in nodes)
        return nodes

    rounds = Rounds(
        connection, HISTORY, code_version, attempt, lambda names: feeds_behind(NEXT, code_version, names)
    )
    return rounds.run(force=force) if as_of is None else rounds.as_of(as_of)


def _stands(build_id: int) -> bool:
    """Whether a build is in the books as published, asked once the session that was lost is gone.

    Raises:
        StorageFailed: the database does not answer; which marts are in use is not known.
    """
    try:
        with connect("kpi_transformer", autocommit=True) as connection:
            connection.execute(sql.SQL("set lock_timeout = {}").format(WAIT_FOR_THE_LOST_SESSION))
            connection.execute("select pg_advisory_lock(%s)", [BUILD_LOCK])
            row = connection.execute("select state from ops.build where build_id = %s", [build_id]).fetchone()
    except (KpiError, psycopg.Error) as error:
        raise StorageFailed(
            f"入れ替えの直前にデータベースとの接続が切れ、構築番号 {build_id} が公開されたか確かめられませんでした。"
            "サーバーを確認して、もう一度 `kpi build` を実行してください。",
            "marts.in_doubt",
        ) from error
    return row == ("published",)


def _ensure_sources() -> None:
    """Make the empty table of a feed that was never loaded: the marts show it as not published. One that is gone is none.

    Contracts whose table is there are not read: a load has compared the two, and reading all of them takes as long as a model.
    """
    with connect("kpi_loader") as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = 'raw'").fetchall()
        for feed in lost_histories(connection):
            raise report_lost(connection, feed)
        for feed in sorted(feeds(settings().contracts) - {name for (name,) in rows}):
            ensure_raw(connection, find_contract(settings().contracts, feed))


def _clear_away(connection: psycopg.Connection) -> None:
    """Remove what a killed build left. We hold the lock, so nobody is building."""
    with connection.transaction():
        connection.execute(
            "update ops.step set finished_at = clock_timestamp(), outcome = 'abandoned'"
            " where verb = 'build' and finished_at is null"
        )
        connection.execute(
            "update ops.build set state = 'failed', finished_at = clock_timestamp(), error = %s"
            " where state = 'building'",
            [KILLED_BUILD_JA],
        )
    drop_schemas(connection, NEXT, HISTORY)
    drop_retired(connection)


def _has_seeds(connection: psycopg.Connection, code_version: str) -> bool:
    """Whether the seeds of this very code are there, whole; what is there of another, or of a killed build, is dropped.

    They are the same for every build of one code, so that the first one to pass its tests leaves them, with that code's name.
    """
    row = connection.execute(
        "select obj_description(oid) from pg_namespace where nspname = %s", [SEEDS]
    ).fetchone()
    if row == (code_version,):
        return True
    drop_schemas(connection, SEEDS)
    return False


def _open(connection: psycopg.Connection, as_of: datetime | None, schema: str, inputs: Inputs) -> int:
    with connection.transaction():
        row = connection.execute(
            "insert into ops.build (as_of, state, schema_name, code_version, history_load_id, started_at)"
            " values (%s, 'building', %s, %s, %s, coalesce(%s, clock_timestamp())) returning build_id",
            [as_of, schema, inputs.code_version, inputs.newest_load_id, clock.set_instant()],
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into ops.step (build_id, verb, detail) values (%s, 'build', %s)",
            [row[0], Jsonb({"history": inputs.history, "seen": seen_now(connection)})],
        )
    return int(row[0])


def _close(connection: psycopg.Connection, build_id: int, state: str, error: str | None = None) -> None:
    with connection.transaction():
        connection.execute(
            "update ops.build set state = %s, finished_at = clock_timestamp(), error = %s"
            " where build_id = %s",
            [state, error, build_id],
        )
        connection.execute(
            "update ops.step set finished_at = clock_timestamp(), outcome = %s"
            " where build_id = %s and verb = 'build'",
            [state, build_id],
        )


def _record(connection: psycopg.Connection, build_id: int, nodes: tuple[Node, ...]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.build_node (build_id, node, kind, status, seconds, message)"
            " values (%s, %s, %s, %s, %s, %s)",
            [
                (build_id, node.name, node.kind, node.status, node.seconds, node.message or None)
                for node in nodes
            ],
        )


def _raise_failures(nodes: tuple[Node, ...]) -> None:
    failed = [node for node in nodes if node.failed]
    if failed:
        listed = "\n".join(f"・{node.name}：{node.message}" for node in failed)
        raise BuildFailed(
            f"マートの構築で {len(failed)} 件が不合格でした。公開中の marts は変えていません。\n{listed}",
            "marts.failed",
        )


def sweep() -> int:
    """Drop as-of builds that are older than a week; they can be built again at any time. Returns how many."""
    with connect("kpi_transformer", autocommit=True) as connection:
        kept = connection.execute(
            "select schema_name from ops.build where as_of is not null"
            " and started_at > clock_timestamp() - make_interval(days => %s)",
            [AS_OF_KEPT_DAYS],
        ).fetchall()
        old = set(schemas(connection, r"marts\_asof\_%")) - {name for (name,) in kept}
        drop_schemas(connection, *sorted(old))
    return len(old)


def _read_board(connection: psycopg.Connection, schema: str) -> list[dict[str, Any]]:
    query = sql.SQL("select * from {} order by display_order").format(
        sql.Identifier(schema, "mart_kpi_board")
    )
    return _read(connection, query)


def _read(connection: psycopg.Connection, query: sql.Composed) -> list[dict[str, Any]]:
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()
    except psycopg.errors.UndefinedTable:
        raise KpiError(
            "マートがまだありません。`kpi build` を実行してください。", "marts.not_built"
        ) from None
