"""The book of loads: every load and every step of it is a row in `ops` that says what happened.

A step runs under an advisory lock of its load, so that two processes never work on one load at once, and a process that
was killed frees it by dying. What a step wrote before its end is either landed by content or rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from kpi_warehouse.contract import Contract, EstatSource
from kpi_warehouse.errors import GateAsked, GateRejected, KpiError, LoadConflict, StorageFailed
from kpi_warehouse.settings import code_version
from kpi_warehouse.warehouse.connection import connect

# First half of the advisory lock key of a load; the second is its number.
LOAD_LOCK = 0x4B5049
# The server gives a closed connection's locks back a moment after the client went on, and the watcher holds one for an instant.
WAIT_FOR_THE_STEP_BEFORE = "2s"
# How the next build closes one that was killed; migration 0006 tells nobody of it, for the next is its second try.
KILLED_BUILD_JA = "途中で止まりました。"
# A contract names the KPIs that its figures go into among its tags: `K12`, `D08`.
KPI_TAG = re.compile(r"[KDT]\d\d")


@dataclass
class Step:
    """A running step: its connection (acting as kpi_loader), and what it will have recorded of itself."""

    connection: psycopg.Connection
    load_id: int
    outcome: str = "done"
    detail: dict[str, Any] = field(default_factory=dict)
    # What a person does to a load: where it fails, the load is what it was.
    keeps_load: bool = False

    def update(self, **columns: Any) -> None:
        """Set columns of the load's row; also its heartbeat."""
        assignments = ", ".join(f"{name} = %s" for name in columns)
        self.connection.execute(
            f"update ops.load set heartbeat_at = clock_timestamp(), {assignments} where load_id = %s",
            [*columns.values(), self.load_id],
        )


@contextmanager
def _on(given: psycopg.Connection | None) -> Iterator[psycopg.Connection]:
    """The caller's connection, or one of our own."""
    if given is not None:
        yield given
        return
    with connect() as own:
        yield own


def open_load(
    contract: Contract,
    *,
    period: date | None,
    trigger: str,
    run_ref: str | None,
    forced: bool,
    on: psycopg.Connection | None = None,
) -> int:
    """Open a load, or open the same run's load again: a task that is retried continues under its own number.

    A run that is cleared and run again after it was settled gets a new load; the settled one keeps its place in the book.
    """
    with _on(on) as connection:
        note_feed(connection, contract)
        if run_ref is not None:
            connection.execute(
                "update ops.load set run_ref = run_ref || '#' || load_id where feed = %s and run_ref = %s"
                " and state in ('published', 'unchanged', 'superseded', 'rejected', 'asked', 'undone')",
                [contract.feed, run_ref],
            )
        row = connection.execute(
            "insert into ops.load (feed, contract_version, contract_sha256, code_version, requested_period, trigger,"
            " run_ref, forced, embargoed, state) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'open')"
            " on conflict (feed, run_ref) where run_ref is not null do update set"
            " contract_version = excluded.contract_version, contract_sha256 = excluded.contract_sha256,"
            " code_version = excluded.code_version, forced = excluded.forced,"
            " embargoed = excluded.embargoed, state = 'open', verdict = null,"
            " error_code = null, error_ja = null, finished_at = null, heartbeat_at = clock_timestamp()"
            " returning load_id",
            [
                contract.feed,
                contract.version,
                contract.sha256,
                code_version(),
                period,
                trigger,
                run_ref,
                forced,
                contract.embargo is not None,
            ],
        ).fetchone()
        connection.commit()
        assert row is not None
        return int(row[0])


def note_feed(connection: psycopg.Connection, contract: Contract) -> None:
    """Write down what the contract says of its feed: whoever reads the book knows its name, owner, source and KPIs."""
    source = contract.source
    if isinstance(source, EstatSource):
        place = "e-Stat"
    else:
        place = (urlsplit(source.url).hostname or "http") if source.url else "inbox"
    kpis = sorted(tag for tag in contract.tags if KPI_TAG.fullmatch(tag))
    connection.execute(
        "insert into ops.feed as known (feed, title_ja, owner_ja, source, kpis, contract_version)"
        " values (%s, %s, %s, %s, %s, %s) on conflict (feed) do update set title_ja = excluded.title_ja,"
        " owner_ja = excluded.owner_ja, source = excluded.source, kpis = excluded.kpis,"
        " contract_version = excluded.contract_version where known is distinct from excluded",
        [contract.feed, contract.title_ja, contract.owner, place, kpis, contract.version],
    )


def read_load(load_id: int, on: psycopg.Connection | None = None) -> dict[str, Any]:
    """The load's row.

    Raises:
        KpiError: no such load.
    """
    with _on(on) as connection:
        row = (
            connection.cursor(row_factory=dict_row)
            .execute("select * from ops.load where load_id = %s", [load_id])
            .fetchone()
        )
    if row is None:
        raise KpiError(
            f"取込番号 {load_id} はありません。`kpi feed list` で確認してください。", "load.unknown"
        )
    return row


@contextmanager
def step(
    load_id: int, verb: str, on: psycopg.Connection | None = None, *, keeps_load: bool = False
) -> Iterator[Step]:
    """Run one verb on a load. On failure the load's row says why, in Japanese, and the error goes on to the caller.

    Args:
        on: the caller's connection, acting as kpi_loader and closed by it soon after: it holds the load until then.
        keeps_load: a failure is one of the step alone; the load stays what it was before.

    Raises:
        LoadConflict: another process is working on this load.
        StorageFailed: the database went away or has no room.
    """
    with _on(on) as connection:
        try:
            connection.execute(sql.SQL("set local lock_timeout = {}").format(WAIT_FOR_THE_STEP_BEFORE))
            connection.execute("select pg_advisory_lock(%s, %s)", [LOAD_LOCK, load_id])
        except psycopg.errors.LockNotAvailable:
            raise LoadConflict(
                f"取込番号 {load_id} は別のプロセスが処理中です。終わってからやり直してください。",
                "load.busy",
            ) from None
        row = connection.execute(
            "insert into ops.step (load_id, verb) values (%s, %s) returning step_id", [load_id, verb]
        ).fetchone()
        assert row is not None
        connection.commit()
        running = Step(connection, load_id, keeps_load=keeps_load)
        try:
            yield running
            connection.execute(
                "update ops.step set finished_at = clock_timestamp(), outcome = %s, detail = %s where step_id = %s",
                [running.outcome, Jsonb(running.detail), row[0]],
            )
            connection.commit()
        except Exception as error:
            shown = _shown(error)
            _record_failure(running, int(row[0]), shown)
            if shown is error:
                raise
            raise shown from error


def _shown(error: Exception) -> Exception:
    """Trouble of disk and server becomes an error a person can act on; a defect of ours stays as it is."""
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFailed(
            "データベースのディスクに空きがありません。空けてからやり直してください。", "database.disk_full"
        )
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StorageFailed(
            "処理の途中でデータベースとの接続が切れました。何も公表していません。サーバーを確認してやり直してください。",
            "database.lost",
        )
    return error


def _record_failure(running: Step, step_id: int, error: Exception) -> None:
    """Write the failure, after what the step did is rolled back. If the database is gone, the step's row without an end
    tells the same to whoever looks later. A question is in the load's row already, with all that it asks."""
    states = {GateRejected: "rejected", GateAsked: "asked"}
    state = next((name for kind, name in states.items() if isinstance(error, kind)), "failed")
    code = error.code if isinstance(error, KpiError) else f"defect.{type(error).__name__}"
    message = (
        error.message_ja if isinstance(error, KpiError) else f"想定外の異常：{type(error).__name__}: {error}"
    )

    def write(connection: psycopg.Connection) -> None:
        connection.rollback()
        if not running.keeps_load and state != "asked":
            connection.execute(
                "update ops.load set state = %s, error_code = %s, error_ja = %s, finished_at = clock_timestamp(),"
                " heartbeat_at = clock_timestamp() where load_id = %s",
                [state, code, message, running.load_id],
            )
        connection.execute(
            "update ops.step set finished_at = clock_timestamp(), outcome = %s, detail = %s where step_id = %s",
            [state, Jsonb({"code": code}), step_id],
        )
        connection.commit()

    try:
        write(running.connection)
    except psycopg.Error:  # this one is lost; the server may be back
        with suppress(KpiError, psycopg.Error), connect() as another:
            write(another)


def note_overdue(feed: str) -> list[int]:
    """Note on a feed's waiting loads that their deadline has passed; returns their numbers."""
    with connect() as connection:
        rows = connection.execute(
            "update ops.load set error_code = 'load.overdue',"
            " error_ja = '期限を過ぎても公表されていません。提供元の公表予定を確認してください。'"
            " where feed = %s and state = 'waiting' returning load_id",
            [feed],
        ).fetchall()
    return [row[0] for row in rows]
