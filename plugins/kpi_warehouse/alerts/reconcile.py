"""What should have happened against what did: opens the incidents that nobody could open, and ends those that are over.

Run by the watcher, outside Airflow. Each check says what is wrong now; asked again it finds the same, and the incident stays one.
Incidents of causes that end `with watch` are settled when their check no longer finds them. Each check has a transaction of its own
and none stands in another's way: Airflow's database may be gone, a contract may be wrong, and the rest is looked at all the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname
from zoneinfo import ZoneInfo

import psycopg

from kpi_warehouse import clock
from kpi_warehouse.alerts.airflow_book import AirflowBook, airflow_book
from kpi_warehouse.alerts.due import feeds_that_can_be_read, last_due_tick
from kpi_warehouse.alerts.incidents import Trouble, report, settle
from kpi_warehouse.alerts.office_hours import add_business_days
from kpi_warehouse.alerts.reconcile_airflow import Check, checks_of_airflow
from kpi_warehouse.contract import Contract, EstatSource
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import KILLED_BUILD_JA, LOAD_LOCK
from kpi_warehouse.warehouse.tables import lost_histories, lost_ja

WATCH_LOCK = 0x4B50_4957
CANNOT_LOOK = (KpiError, psycopg.Error, OSError)
LOAD_SILENT_MINUTES = 15
MARTS_LATE_MINUTES = 60
DISK_FREE_SHARE, DISK_FREE_BYTES = 0.05, 5 * 2**30
DRILL_EVERY_DAYS = 8
DRILL_MINUTES = 10
LOOK_BACK = timedelta(days=7)
OVER_JA = {"not_delivered": "ファイルが届きました。", "history_lost": "履歴の表が戻りました。"}


def reconcile() -> int:
    """Look once; returns how many troubles there are now. While another watcher looks, nothing is done, and there are none.

    Raises:
        KpiError, psycopg.Error, OSError: what the first check that could not look met, after all others did.
    """
    failures: list[Exception] = []
    with ExitStack() as stack:
        connection = stack.enter_context(connect(autocommit=True))
        # What one of two watchers reports just after the other looked would be taken for over.
        if connection.execute("select pg_try_advisory_lock(%s)", [WATCH_LOCK]).fetchone() != (True,):
            return 0
        began = connection.execute("select clock_timestamp()").fetchone()
        assert began is not None
        checks = [
            Check((), lambda: _untold(connection)),
            Check(("not_delivered",), lambda: _not_delivered(connection)),
            Check((), lambda: _overdue(connection)),
            Check((), lambda: _marts_stale(connection)),
            Check(("history_lost",), lambda: _lost_histories(connection)),
            Check(("disk_nearly_full",), _disks),
            Check(("sender_failing",), lambda: _senders(connection)),
            Check(("drill_missed",), lambda: _drills(connection)),
        ]
        book = None
        try:
            book = stack.enter_context(airflow_book())
        except CANNOT_LOOK as error:
            failures.append(error)
        if book is not None:
            checks += checks_of_airflow(connection, book)
        if book is not None or not failures:
            # Without a look into Airflow, a run that goes on with its load would be taken for dead.
            checks.append(Check((), lambda: _killed_loads(connection, book)))
        found: set[int] = set()
        for check in checks:
            try:
                with connection.transaction():
                    numbers = [report(connection, trouble) for trouble in check.look()]
                found.update(numbers)
                _end_what_is_over(connection, check.ends, found, began[0])
            except CANNOT_LOOK as error:
                failures.append(error)
        _end_overtaken(connection)
    if failures:
        raise failures[0]
    return len(found)


def _end_what_is_over(
    connection: psycopg.Connection, causes: tuple[str, ...], still: set[int], began: datetime
) -> None:
    rows = connection.execute(
        "select incident_id, cause from ops.incident where resolved_at is null and cause = any(%s) and opened_at < %s",
        [list(causes), began],
    ).fetchall()
    for number, cause in rows:
        if number not in still:
            settle(connection, number, OVER_JA.get(cause, "監視で正常を確認しました。"))


def _end_overtaken(connection: psycopg.Connection) -> None:
    """A good load may have ended between the look and the report."""
    rows = connection.execute(
        "select i.incident_id from ops.incident as i where i.cause = 'task_killed' and i.resolved_at is null and (select"
        " bool_and(ops.overtaken(l.feed, l.load_id, i.period)) from ops.incident_load as l where l.incident_id = i.incident_id)"
    ).fetchall()
    for (number,) in rows:
        settle(connection, number, "正しく取り込みました。")


def _untold(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Failures on record without an incident: a trigger could not write it."""
    rows = connection.execute(
        "select l.feed, ops.questioned(l.load_id, coalesce(l.requested_period, l.period_from)),"
        " ops.cause_of(l.state, l.error_code), l.error_code,"
        " coalesce(l.error_ja, '検査に合わないため受け入れませんでした。'), l.load_id from ops.load as l"
        " where l.state in ('failed', 'rejected', 'asked') and l.heartbeat_at > clock_timestamp() - %s"
        " and ops.cause_of(l.state, l.error_code) is not null"
        " and not exists (select from ops.incident_load as known where known.load_id = l.load_id)"
        " and not ops.overtaken(l.feed, l.load_id, coalesce(l.requested_period, l.period_from)) order by l.load_id",
        [LOOK_BACK],
    ).fetchall()
    for feed, period, cause, code, told, load_id in rows:
        yield Trouble(cause, told, feed, period, code=code, load_id=load_id)
    build = connection.execute(
        "select b.error from ops.build as b where b.as_of is null and b.state = 'failed' and b.error <> %s"
        " and b.build_id = (select max(build_id) from ops.build where as_of is null)"
        " and not exists (select from ops.incident where cause = 'marts_failed' and last_seen_at >= b.started_at)",
        [KILLED_BUILD_JA],
    ).fetchone()
    if build:
        yield Trouble("marts_failed", str(build[0]), code="marts.failed")


def _killed_loads(connection: psycopg.Connection, book: AirflowBook | None) -> Iterator[Trouble]:
    """Loads whose process is gone: nobody holds their lock, and no run will go on with them."""
    at_work = book.open_runs() if book is not None else set()
    rows = connection.execute(
        "select l.load_id, l.feed, coalesce(l.requested_period, l.period_from), l.run_ref, s.verb from ops.load as l"
        " left join lateral (select verb, started_at from ops.step as s where s.load_id = l.load_id and s.finished_at is null"
        " order by step_id desc limit 1) as s on true"
        " where l.state in ('open', 'fetched', 'staged', 'gated') and l.opened_at > clock_timestamp() - %s"
        " and (l.heartbeat_at < clock_timestamp() - make_interval(mins => %s)"
        " or (s.verb is not null and l.run_ref is null))"
        # Told when it was killed last; that an earlier try of it met something else says nothing of this one.
        " and not exists (select from ops.incident_load as known join ops.incident as i using (incident_id)"
        " where known.load_id = l.load_id and (i.resolved_at is null or (i.cause = 'task_killed'"
        " and i.resolved_at > greatest(l.heartbeat_at, s.started_at))))"
        # Told as a lost worker, by dag.task and run.
        " and not exists (select from ops.incident as i where i.cause = 'worker_lost' and i.resolved_at is null"
        " and i.subject like l.feed || '.%% ' || substr(l.run_ref, length(l.feed) + 2))"
        " and not ops.overtaken(l.feed, l.load_id, coalesce(l.requested_period, l.period_from))"
        " order by l.load_id",
        [LOOK_BACK, LOAD_SILENT_MINUTES],
    ).fetchall()
    for load_id, feed, period, run_ref, verb in rows:
        if (run_ref is None or run_ref not in at_work) and _abandoned(connection, load_id):
            told = f"処理（{verb or '待ち'}）が途中で止まりました。何も公表していません。"
            yield Trouble("task_killed", told, feed, period, code="load.killed", load_id=load_id)


def _abandoned(connection: psycopg.Connection, load_id: int) -> bool:
    """Whether an unfinished load is in nobody's hands. Asked under its lock: one that ends this very moment is finished."""
    locked = connection.execute("select pg_try_advisory_lock(%s, %s)", [LOAD_LOCK, load_id]).fetchone()
    if not (locked and locked[0]):
        return False
    row = connection.execute(
        "select state in ('open', 'fetched', 'staged', 'gated') from ops.load where load_id = %s", [load_id]
    ).fetchone()
    connection.execute("select pg_advisory_unlock(%s, %s)", [LOAD_LOCK, load_id])
    return bool(row and row[0])


def _not_delivered(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Files of divisions that are past their due day. Due: the contract's latency after its schedule, moved to a 開庁日."""
    for contract in feeds_that_can_be_read():
        if isinstance(contract.source, EstatSource):
            continue
        zone = ZoneInfo(contract.sla.timezone)
        asked = last_due_tick(contract, clock.now().astimezone(zone))
        if asked is None:
            continue
        due = add_business_days((asked + timedelta(days=contract.sla.wait_days)).date(), 0)
        row = connection.execute(
            "select exists (select from ops.load where feed = %(feed)s and opened_at >= %(asked)s"
            " and exists (select from ops.load_page as p where p.load_id = load.load_id))"
            # Somebody said that nothing is to come this time.
            " or exists (select from ops.incident where feed = %(feed)s and cause = 'not_delivered' and closed_by_hand"
            " and resolved_at >= %(asked)s)",
            {"feed": contract.feed, "asked": asked},
        ).fetchone()
        if not (row and row[0]):
            _know(connection, contract)
            told = f"{contract.title_ja}が届いていません（受付開始 {asked:%Y-%m-%d}、期限 {due:%Y-%m-%d}）。"
            # No period: one problem until a file comes, and a file's own periods do not tell which delivery it is.
            yield Trouble("not_delivered", told, contract.feed, code="delivery.missing")


def _know(connection: psycopg.Connection, contract: Contract) -> None:
    from kpi_warehouse.warehouse.ledger import note_feed

    note_feed(connection, contract)


def _overdue(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Periods of e-Stat that a load waits for longer than the contract allows, whatever became of Airflow's own deadline."""
    for contract in feeds_that_can_be_read():
        if not isinstance(contract.source, EstatSource):
            continue
        rows = connection.execute(
            "select load_id, requested_period from ops.load where feed = %s and state = 'waiting'"
            " and opened_at < clock_timestamp() - make_interval(days => %s)",
            [contract.feed, contract.sla.wait_days],
        ).fetchall()
        for load_id, period in rows:
            told = f"{contract.title_ja} {contract.source.cycle.words(period)}分が、期限を過ぎても公表されていません。"
            yield Trouble("not_published", told, contract.feed, period, code="load.overdue", load_id=load_id)


def _marts_stale(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Publications that no build has taken up in time."""
    row = connection.execute(
        "select max(changed_at) from (select published_at from ops.load where state = 'published'"
        " union all select undone_at from ops.undo) as history (changed_at) where changed_at > coalesce(("
        "select max(started_at) from ops.build where state = 'published' and as_of is null), '-infinity')"
        " and changed_at < clock_timestamp() - make_interval(mins => %s)",
        [MARTS_LATE_MINUTES],
    ).fetchone()
    if row and row[0]:
        told = f"{row[0]:%Y-%m-%d %H:%M} に公表した（または取り消した）取込が、{MARTS_LATE_MINUTES} 分を過ぎてもマートに入っていません。"
        yield Trouble("marts_stale", told, code="marts.stale")


def _lost_histories(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Feeds of which rows were accepted and whose history table is gone."""
    for feed in lost_histories(connection):
        yield Trouble("history_lost", lost_ja(feed), feed, code="history.lost")


def _disks() -> Iterator[Trouble]:
    places = {"KPI_HOME": settings().home, "KPI_LANDING": _folder(settings().landing_url)}
    wanted, known = settings().disk_free_gb, set()
    for name, place in places.items():
        if place is None or not place.exists() or place.stat().st_dev in known:
            continue
        known.add(place.stat().st_dev)
        total, _, free = shutil.disk_usage(place)
        enough = wanted * 2**30 if wanted is not None else min(total * DISK_FREE_SHARE, DISK_FREE_BYTES)
        if free < enough:
            yield Trouble(
                "disk_nearly_full",
                f"{name} の空きが {free / 2**30:.1f} GB（{free / total:.0%}）です。",
                subject=name,
                code="disk.free",
            )


def _folder(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def _senders(connection: psycopg.Connection) -> Iterator[Trouble]:
    rows = connection.execute(
        "select channel, count(*), max(last_error) from ops.notification where state = 'dead' group by channel"
    ).fetchall()
    for channel, count, error in rows:
        told = f"通知経路「{channel}」へ {count} 件を届けられません：{error}"
        yield Trouble("sender_failing", told, subject=channel, code="alerts.dead_letter")


def _drills(connection: psycopg.Connection) -> Iterator[Trouble]:
    """A drill that did not come through in time, or that nobody started, once there has been one."""
    row = connection.execute(
        "select drill_id, clock_timestamp() - started_at, recovered_at from ops.drill order by drill_id desc limit 1"
    ).fetchone()
    if row is None:
        return
    number, age, recovered_at = row
    if recovered_at is None and age > timedelta(minutes=DRILL_MINUTES):
        told = f"訓練 {number} の知らせが {DRILL_MINUTES} 分たっても届いていません。"
        yield Trouble("drill_missed", told, subject="late", code="drill.late")
    elif age > timedelta(days=DRILL_EVERY_DAYS):
        yield Trouble(
            "drill_missed", f"最後の訓練から {age.days} 日たちました。", subject="none", code="drill.none"
        )
