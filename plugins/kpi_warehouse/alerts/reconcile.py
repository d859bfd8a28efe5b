"""What should have happened against what did: opens the incidents that nobody could open, and ends those that are over.

Run by the watcher, outside Airflow. Each check says what is wrong now; asked again it finds the same, and the incident stays one.
Incidents of causes that end `with watch` are settled when their check no longer finds them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname
from zoneinfo import ZoneInfo

import psycopg
from croniter import croniter
from psycopg.types.json import Jsonb

from kpi_warehouse.alerts.airflow_book import AirflowBook, TaskState, airflow_book
from kpi_warehouse.alerts.incidents import Trouble, report, settle
from kpi_warehouse.alerts.office_hours import add_business_days
from kpi_warehouse.contract import Contract, EstatSource, contracts
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import LOAD_LOCK

SCHEDULER_SILENT_SECONDS = 120.0
# Airflow gives a silent task up after five minutes by itself; a minute more, and nobody did.
TASK_SILENT_SECONDS = 360.0
LOAD_SILENT_MINUTES = 15
MARTS_LATE_MINUTES = 60
DISK_FREE_SHARE, DISK_FREE_BYTES = 0.05, 5 * 2**30
DRILL_EVERY_DAYS = 8
DRILL_MINUTES = 10
LOOK_BACK = timedelta(days=7)
OVERLAP = timedelta(minutes=10)
OVER_JA = {"not_delivered": "ファイルが届きました。"}


def reconcile() -> int:
    """Look once; returns how many troubles there are now.

    Raises:
        KpiError, psycopg.Error: a database cannot be reached.
    """
    with airflow_book() as book, connect() as connection:
        found = [
            *_killed_loads(connection, book),
            *_not_delivered(connection),
            *_overdue(connection),
            *_marts_stale(connection),
            *_disks(),
            *_senders(connection),
            *_drills(connection),
        ]
        if book is not None:
            found += [*_scheduler(book), *_broken_dags(book), *_lost_workers(book)]
            found += _failed_tasks(connection, book)
            _end_repaired_tasks(connection, book)
        numbers = {report(connection, trouble) for trouble in found}
        _end_what_is_over(connection, numbers, with_airflow=book is not None)
    return len(found)


def _end_what_is_over(connection: psycopg.Connection, still: set[int], *, with_airflow: bool) -> None:
    # A good load may have ended between the look and the report.
    overtaken = connection.execute(
        "select i.incident_id from ops.incident as i where i.cause = 'task_killed' and i.resolved_at is null and (select"
        " bool_and(ops.overtaken(l.feed, l.load_id, i.period)) from ops.incident_load as l where l.incident_id = i.incident_id)"
    ).fetchall()
    for (number,) in overtaken:
        settle(connection, number, "正しく取り込みました。")
    rows = connection.execute(
        "select i.incident_id, i.cause from ops.incident as i join ops.cause as c using (cause)"
        " where i.resolved_at is null and c.ends_with = 'watch'"
    ).fetchall()
    of_airflow = {"scheduler_dead", "dag_broken", "worker_lost"}
    for number, cause in rows:
        # What cannot be looked at is not over.
        if number not in still and (with_airflow or cause not in of_airflow):
            settle(connection, number, OVER_JA.get(cause, "監視で正常を確認しました。"))


def _killed_loads(connection: psycopg.Connection, book: AirflowBook | None) -> Iterator[Trouble]:
    """Loads whose process is gone: nobody holds their lock, and no run will go on with them."""
    at_work = book.open_runs() if book is not None else set()
    rows = connection.execute(
        "select l.load_id, l.feed, coalesce(l.requested_period, l.period_from), l.run_ref, s.verb from ops.load as l"
        " left join lateral (select verb from ops.step as s where s.load_id = l.load_id and s.finished_at is null"
        " order by step_id desc limit 1) as s on true"
        " where l.state in ('open', 'fetched', 'staged', 'gated') and l.opened_at > clock_timestamp() - %s"
        " and (l.heartbeat_at < clock_timestamp() - make_interval(mins => %s)"
        " or (s.verb is not null and l.run_ref is null))"
        " and not exists (select from ops.incident_load as known where known.load_id = l.load_id)"
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


def _failed_tasks(connection: psycopg.Connection, book: AirflowBook) -> list[Trouble]:
    """Tasks that Airflow gave up and whose own record says nothing of it: killed, or never begun. Each is looked at once."""
    row = connection.execute(
        "select (detail ->> 'until')::timestamptz, detail -> 'known' from ops.watch where name = 'failed_tasks'"
    ).fetchone()
    since, known = (row[0], set(row[1])) if row else (datetime.now(UTC) - LOOK_BACK, set())
    failed = book.failed_since(since)
    found = [
        trouble
        for task in failed
        if task.name not in known and (trouble := _untold(connection, task)) is not None
    ]
    # Airflow writes an end down some time after it: the last minutes are looked at again, and those known are left out.
    until = max([since, *(task.end_date - OVERLAP for task in failed if task.end_date is not None)])
    detail = {"until": until.isoformat(), "known": [task.name for task in failed]}
    connection.execute(
        "insert into ops.watch (name, beat_at, detail) values ('failed_tasks', clock_timestamp(), %s)"
        " on conflict (name) do update set beat_at = excluded.beat_at, detail = excluded.detail",
        [Jsonb(detail)],
    )
    return found


def _untold(connection: psycopg.Connection, task: TaskState) -> Trouble | None:
    if task.dag_id == "marts":
        return (
            None
            if _build_told(connection, task)
            else Trouble(
                "marts_failed",
                "マートの構築が途中で終わりました。公開中の marts は変えていません。",
                code="marts.killed",
            )
        )
    row = connection.execute(
        "select l.load_id, coalesce(l.requested_period, l.period_from), exists ("
        "select from ops.incident_load as known where known.load_id = l.load_id) from ops.load as l where run_ref = %s",
        [task.run_ref],
    ).fetchone()
    if row is not None and row[2]:
        return None
    told = f"タスク {task.dag_id}.{task.task_id} が記録を残さずに終わりました（{task.try_number} 回目）。"
    if row is not None:
        return Trouble("task_killed", told, task.dag_id, row[1], code="task.killed", load_id=row[0])
    return Trouble("task_failed", told, subject=f"{task.dag_id}.{task.task_id}", code="task.failed")


def _build_told(connection: psycopg.Connection, task: TaskState) -> bool:
    row = connection.execute(
        "select exists (select from ops.build where state = 'failed' and finished_at >= %s)",
        [task.start_date],
    ).fetchone()
    return bool(row and row[0])


def _end_repaired_tasks(connection: psycopg.Connection, book: AirflowBook) -> None:
    """Incidents of tasks that have no load end when the task has succeeded since."""
    rows = connection.execute(
        "select incident_id, subject, last_seen_at from ops.incident where cause = 'task_failed' and feed is null"
        " and resolved_at is null and subject like '%.%'"
    ).fetchall()
    for number, subject, seen in rows:
        dag_id, _, task_id = str(subject).rpartition(".")
        succeeded = book.last_success(dag_id, task_id)
        if succeeded is not None and succeeded > seen:
            settle(connection, number, "同じタスクが成功しました。")


def _scheduler(book: AirflowBook) -> Iterator[Trouble]:
    silence = book.scheduler_silence_seconds()
    if silence is not None and silence > SCHEDULER_SILENT_SECONDS:
        yield Trouble(
            "scheduler_dead",
            "スケジューラーの心拍がありません。予定の取込は始まりません。",
            code="airflow.scheduler",
        )


def _broken_dags(book: AirflowBook) -> Iterator[Trouble]:
    for path, line in book.import_errors().items():
        yield Trouble("dag_broken", f"{path}：{line}", subject=path, code="airflow.import_error")


def _lost_workers(book: AirflowBook) -> Iterator[Trouble]:
    for task in book.silent_tasks(TASK_SILENT_SECONDS):
        name = f"{task.dag_id}.{task.task_id}"
        yield Trouble(
            "worker_lost",
            f"タスク {name} の実行役から応答がありません。",
            subject=f"{name} {task.run_id}",
            code="airflow.worker",
        )


def _not_delivered(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Files of divisions that are past their due day. Due: the contract's latency after its schedule, moved to a 開庁日."""
    for contract in contracts(settings().contracts):
        if contract.status != "active" or isinstance(contract.source, EstatSource):
            continue
        zone = ZoneInfo(contract.sla.timezone)
        now = datetime.now(zone)
        asked = _last_due_tick(contract, now)
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


def _last_due_tick(contract: Contract, now: datetime) -> datetime | None:
    """The newest scheduled delivery whose due day has passed; None when none has since the feed came into force."""
    ticks = croniter(contract.sla.cron, now)
    for _ in range(400):
        tick: datetime = ticks.get_prev(datetime)
        due = add_business_days((tick + timedelta(days=contract.sla.wait_days)).date(), 0)
        if due < now.date():
            return tick
    return None


def _know(connection: psycopg.Connection, contract: Contract) -> None:
    from kpi_warehouse.warehouse.ledger import note_feed

    note_feed(connection, contract)


def _overdue(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Months of e-Stat that a load waits for longer than the contract allows, whatever became of Airflow's own deadline."""
    for contract in contracts(settings().contracts):
        if not isinstance(contract.source, EstatSource):
            continue
        rows = connection.execute(
            "select load_id, requested_period from ops.load where feed = %s and state = 'waiting'"
            " and opened_at < clock_timestamp() - make_interval(days => %s)",
            [contract.feed, contract.sla.wait_days],
        ).fetchall()
        for load_id, period in rows:
            told = f"{contract.title_ja} {period:%Y年%-m月}分が、期限を過ぎても公表されていません。"
            yield Trouble("not_published", told, contract.feed, period, code="load.overdue", load_id=load_id)


def _marts_stale(connection: psycopg.Connection) -> Iterator[Trouble]:
    row = connection.execute(
        "select max(published_at) from ops.load where state = 'published' and published_at > coalesce(("
        "select max(started_at) from ops.build where state = 'published' and as_of is null), '-infinity')"
        " and published_at < clock_timestamp() - make_interval(mins => %s)",
        [MARTS_LATE_MINUTES],
    ).fetchone()
    if row and row[0]:
        told = f"{row[0]:%Y-%m-%d %H:%M} に公表した取込が、{MARTS_LATE_MINUTES} 分を過ぎてもマートに入っていません。"
        yield Trouble("marts_stale", told, code="marts.stale")


def _disks() -> Iterator[Trouble]:
    places = {"KPI_HOME": settings().home, "KPI_LANDING": _folder(settings().landing_url)}
    for name, place in places.items():
        if place is None or not place.exists():
            continue
        total, _, free = shutil.disk_usage(place)
        if free < min(total * DISK_FREE_SHARE, DISK_FREE_BYTES):
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
