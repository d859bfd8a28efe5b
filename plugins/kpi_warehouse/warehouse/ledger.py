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
# A session whose client is gone ends as soon as the server writes to it, or after its commit.
WAIT_FOR_THE_LOST_SESSION = "20s"
# A load in one of these states has ended well: it is never worked on again, and no failure is written over it.
SETTLED = ("published", "unchanged", "superseded", "undone")
# In one of these a load waits for nobody but a person: the run that began it begins another one when it is run again.
ENDED = (*SETTLED, "rejected", "asked")
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
        values = {
            "feed": contract.feed,
            "version": contract.version,
            "sha256": contract.sha256,
            "code": code_version(),
            "period": period,
            "trigger": trigger,
            "run": run_ref,
            "forced": forced,
            "embargoed": contract.embargo is not None,
        }
        while True:
            row = connection.execute(
                "insert into ops.load (feed, contract_version, contract_sha256, code_version, requested_period, trigger,"
                " run_ref, forced, embargoed, state) values (%(feed)s, %(version)s, %(sha256)s, %(code)s, %(period)s,"
                " %(trigger)s, %(run)s, %(forced)s, %(embargoed)s, 'open')"
                " on conflict (feed, run_ref) where run_ref is not null do nothing returning load_id",
                values,
            ).fetchone()
            if row is None:
                row = _open_again(connection, values)
            connection.commit()
            if row is not None:
                return int(row[0])


def _open_again(connection: psycopg.Connection, values: dict[str, Any]) -> tuple[int] | None:
    """The run's own load, opened again; None when that one has ended, which then makes room for a new one."""
    known = connection.execute(
        "select load_id from ops.load where feed = %(feed)s and run_ref = %(run)s", values
    ).fetchone()
    if known is None:
        return None
    # Whoever still works on it may be ending it at this moment.
    lock_load(connection, known[0])
    ended = connection.execute(
        "update ops.load set run_ref = run_ref || '#' || load_id where load_id = %s and run_ref = %s"
        " and state = any(%s)",
        [known[0], values["run"], list(ENDED)],
    ).rowcount
    return None if ended else reopen_load(connection, known[0], values)


def go_on_with(connection: psycopg.Connection, contract: Contract, load_id: int, *, forced: bool) -> int:
    """Open a load again that nobody works on any more, under its own number and the contract of today.

    Raises:
        LoadConflict: somebody does work on it.
    """
    lock_load(connection, load_id)
    values = {
        "version": contract.version,
        "sha256": contract.sha256,
        "code": code_version(),
        "forced": forced,
        "embargoed": contract.embargo is not None,
    }
    row = reopen_load(connection, load_id, values)
    connection.commit()
    return row[0] if row else load_id


def reopen_load(connection: psycopg.Connection, load_id: int, values: dict[str, Any]) -> tuple[int] | None:
    """Set an unfinished load back to its beginning, under its lock."""
    return connection.execute(
        "update ops.load set contract_version = %(version)s, contract_sha256 = %(sha256)s, code_version = %(code)s,"
        " forced = %(forced)s, embargoed = %(embargoed)s, state = 'open', verdict = null, error_code = null,"
        " error_ja = null, finished_at = null, heartbeat_at = clock_timestamp()"
        " where load_id = %(load)s and state <> all(%(settled)s) returning load_id",
        {**values, "load": load_id, "settled": [*SETTLED, "asked"]},
    ).fetchone()


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


def lock_load(connection: psycopg.Connection, load_id: int, wait: str = WAIT_FOR_THE_STEP_BEFORE) -> None:
    """Take a load into hand until the connection closes; what is read of it after this stays true. Ends the transaction.

    Raises:
        LoadConflict: another process is working on this load.
    """
    try:
        connection.execute(sql.SQL("set local lock_timeout = {}").format(wait))
        connection.execute("select pg_advisory_lock(%s, %s)", [LOAD_LOCK, load_id])
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        raise LoadConflict(
            f"取込番号 {load_id} は別のプロセスが処理中です。終わってからやり直してください。", "load.busy"
        ) from None
    connection.commit()


@contextmanager
def load_in_hand(load_id: int) -> Iterator[tuple[psycopg.Connection, dict[str, Any]]]:
    """A load's lock, on a connection of its own, and its row as it is read under that lock.

    Raises:
        KpiError: no such load.
        LoadConflict: another process is working on this load.
        StorageFailed: the database went away.
    """
    try:
        with connect() as connection:
            lock_load(connection, load_id)
            load = read_load(load_id, connection)
            connection.commit()
            yield connection, load
    except psycopg.Error as error:
        shown = _shown(error)
        if shown is error:
            raise
        raise shown from error


@contextmanager
def step(
    load_id: int, verb: str, on: psycopg.Connection | None = None, *, keeps_load: bool = False
) -> Iterator[Step]:
    """Run one verb on a load. On failure the load's row says why, in Japanese, and the error goes on to the caller.

    When the answer to the last commit is lost, the database is asked whether the step stands; if it does, it is done.

    Args:
        on: the caller's connection, acting as kpi_loader and closed by it soon after: it holds the load until then.
        keeps_load: a failure is one of the step alone; the load stays what it was before.

    Raises:
        LoadConflict: another process is working on this load.
        StorageFailed: the database went away or has no room; or it cannot be asked whether the step stands.
    """
    with _on(on) as connection:
        lock_load(connection, load_id)
        row = connection.execute(
            "insert into ops.step (load_id, verb) values (%s, %s) returning step_id", [load_id, verb]
        ).fetchone()
        assert row is not None
        connection.commit()
        running, committing = Step(connection, load_id, keeps_load=keeps_load), False
        try:
            yield running
            connection.execute(
                "update ops.step set finished_at = clock_timestamp(), outcome = %s, detail = %s where step_id = %s",
                [running.outcome, Jsonb(running.detail), row[0]],
            )
            committing = True
            connection.commit()
        except Exception as error:
            if committing and isinstance(error, psycopg.OperationalError) and _stands(load_id, row[0]):
                return
            shown = _shown(error)
            _record_failure(running, int(row[0]), shown)
            if shown is error:
                raise
            raise shown from error


def _stands(load_id: int, step_id: int) -> bool:
    """Whether a step is in the books as ended, asked once its session is gone: until then its commit may still come.

    Raises:
        StorageFailed: the database does not answer; what the load did is not known.
    """
    try:
        with connect() as connection:
            lock_load(connection, load_id, WAIT_FOR_THE_LOST_SESSION)
            row = connection.execute(
                "select finished_at is not null from ops.step where step_id = %s", [step_id]
            ).fetchone()
    except (KpiError, psycopg.Error) as error:
        raise StorageFailed(
            f"確定の直前にデータベースとの接続が切れ、取込番号 {load_id} が確定したか確かめられませんでした。"
            "サーバーを確認してやり直してください。確定していれば、やり直しても何も変わりません。",
            "database.in_doubt",
        ) from error
    return bool(row and row[0])


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
                " heartbeat_at = clock_timestamp() where load_id = %s and state <> all(%s)",
                [state, code, message, running.load_id, list(SETTLED)],
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
