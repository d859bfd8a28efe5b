"""What Airflow knows and its callbacks cannot say: tasks that were killed, a scheduler that is dead, DAG files that are broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
from croniter import croniter
from psycopg.types.json import Jsonb

from kpi_warehouse import clock
from kpi_warehouse.alerts.airflow_book import AirflowBook, TaskState
from kpi_warehouse.alerts.due import feeds_that_can_be_read, last_due_tick
from kpi_warehouse.alerts.incidents import Trouble, settle
from kpi_warehouse.contract import EstatSource

SCHEDULER_SILENT_SECONDS = 120.0
# Airflow gives a silent task up after five minutes by itself; a minute more, and nobody did.
TASK_SILENT_SECONDS = 360.0
LOOK_BACK = timedelta(days=7)
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True)
class Check:
    """`look` says what is wrong now; incidents of the causes `ends` that it does not name any more are over."""

    ends: tuple[str, ...]
    look: Callable[[], Iterable[Trouble]]


def checks_of_airflow(connection: psycopg.Connection, book: AirflowBook) -> list[Check]:
    """The checks that need Airflow's book."""
    return [
        Check(("scheduler_dead",), lambda: _scheduler(book)),
        Check(("dag_broken",), lambda: _broken_dags(book)),
        Check(("worker_lost",), lambda: _lost_workers(connection, book)),
        Check((), lambda: _failed_tasks(connection, book)),
        Check((), lambda: _repaired_tasks(connection, book)),
        Check((), lambda: _never_asked(connection)),
    ]


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
        if task.name not in known and (trouble := _without_a_word(connection, task)) is not None
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


def _without_a_word(connection: psycopg.Connection, task: TaskState) -> Trouble | None:
    lost = connection.execute(
        "select exists (select from ops.incident where cause = 'worker_lost' and subject = %s and resolved_at is null)",
        [task.place],
    ).fetchone()
    if lost == (True,) or _drill_told(connection, task):
        return None
    if task.dag_id == "marts":
        told = "マートの構築が途中で終わりました。公開中の marts は変えていません。"
        return None if _build_told(connection, task) else Trouble("marts_failed", told, code="marts.killed")
    row = connection.execute(
        "select l.load_id, coalesce(l.requested_period, l.period_from), exists ("
        "select from ops.incident_load as known join ops.incident as i using (incident_id) where known.load_id = l.load_id"
        # Of an earlier try, that is over: says nothing of this one.
        " and (i.resolved_at is null or i.resolved_at >= %s)) from ops.load as l where run_ref = %s",
        [task.start_date or task.end_date, task.run_ref],
    ).fetchone()
    if row is not None and row[2]:
        return None
    told = f"タスク {task.dag_id}.{task.task_id} が記録を残さずに終わりました（{task.try_number} 回目）。"
    if row is not None:
        return Trouble("task_killed", told, task.dag_id, row[1], code="task.killed", load_id=row[0])
    return Trouble("task_failed", told, subject=f"{task.dag_id}.{task.task_id}", code="task.failed")


def _drill_told(connection: psycopg.Connection, task: TaskState) -> bool:
    """A drill that nobody heard is on record as missed."""
    row = connection.execute(
        "select exists (select from ops.drill where started_at >= %s)", [task.start_date or task.end_date]
    ).fetchone()
    return task.dag_id == "drill" and row == (True,)


def _build_told(connection: psycopg.Connection, task: TaskState) -> bool:
    row = connection.execute(
        "select exists (select from ops.incident where cause = 'marts_failed' and last_seen_at >= %s)",
        [task.start_date or task.end_date],
    ).fetchone()
    return bool(row and row[0])


def _repaired_tasks(connection: psycopg.Connection, book: AirflowBook) -> Iterator[Trouble]:
    """Nothing new: ends incidents of tasks that have no load when the task has succeeded since."""
    rows = connection.execute(
        "select incident_id, subject, last_seen_at from ops.incident where cause = 'task_failed' and feed is null"
        " and resolved_at is null and subject like '%.%'"
    ).fetchall()
    for number, subject, seen in rows:
        dag_id, _, task_id = str(subject).rpartition(".")
        succeeded = book.last_success(dag_id, task_id)
        if succeeded is not None and succeeded > seen:
            settle(connection, number, "同じタスクが成功しました。")
    yield from ()


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


def _lost_workers(connection: psycopg.Connection, book: AirflowBook) -> Iterator[Trouble]:
    """Tasks whose process gives no sign; also after Airflow gave them up, until they have succeeded. Of a dead scheduler that is told."""
    silence = book.scheduler_silence_seconds()
    dead = silence is not None and silence > SCHEDULER_SILENT_SECONDS
    known = connection.execute(
        "select subject, opened_at from ops.incident where cause = 'worker_lost' and resolved_at is null"
    ).fetchall()
    silent = set() if dead else {task.place for task in book.silent_tasks(TASK_SILENT_SECONDS)}
    still = {str(place) for place, since in known if dead or book.not_yet_repaired(str(place), since)}
    for place in sorted(silent | still):
        name = place.partition(" ")[0]
        yield Trouble(
            "worker_lost",
            f"タスク {name} の実行役から応答がありません。",
            subject=place,
            code="airflow.worker",
        )


def _never_asked(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Periods of e-Stat past their due day that no run has asked for: a DAG that is paused, a schedule that did not fire."""
    for contract in feeds_that_can_be_read():
        if not isinstance(contract.source, EstatSource):
            continue
        asked = last_due_tick(contract, clock.now().astimezone(ZoneInfo(contract.sla.timezone)))
        if asked is None:
            continue
        # As the DAG's timetable has it: a run expects the period in which the schedule came round before.
        cycle = contract.source.cycle
        before: datetime = croniter(contract.sla.cron, asked).get_prev(datetime)
        period = cycle.containing(before.date())
        row = connection.execute(
            "select exists (select from ops.load where feed = %(feed)s and opened_at < %(asked)s)"
            " and not exists (select from ops.load where feed = %(feed)s"
            " and (requested_period = %(period)s or %(period)s between period_from and period_to or opened_at >= %(asked)s))",
            {"feed": contract.feed, "asked": asked, "period": period},
        ).fetchone()
        if row == (True,):
            told = f"{contract.title_ja} {cycle.words(period)}分を取りに行く処理が始まっていません。DAG が止められていないか確かめてください。"
            yield Trouble("not_published", told, contract.feed, period, code="load.never_asked")
