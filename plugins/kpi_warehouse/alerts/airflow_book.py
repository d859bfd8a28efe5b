"""What Airflow knows of failures, read from its metadata database: it answers also when every part of Airflow is dead.

Tables and columns as of Airflow 3.3: job, task_instance, dag_run, import_error. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from kpi_warehouse.settings import settings

TASKS = (
    "select ti.dag_id, ti.task_id, ti.run_id, ti.try_number, ti.state, ti.start_date, ti.end_date, ti.last_heartbeat_at"
    " from task_instance as ti"
)


@dataclass(frozen=True)
class TaskState:
    """One task of one run. Times are of Airflow's clock."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    state: str
    start_date: datetime | None
    end_date: datetime | None
    last_heartbeat_at: datetime | None

    @property
    def name(self) -> str:
        """What tells this try of this task of this run from all others."""
        return f"{self.dag_id}.{self.task_id} {self.run_id} {self.try_number}"

    @property
    def place(self) -> str:
        """Task and run, whatever the try: `dag.task run`."""
        return f"{self.dag_id}.{self.task_id} {self.run_id}"

    @property
    def run_ref(self) -> str:
        """How `ops.load` names the run."""
        return f"{self.dag_id}/{self.run_id}"


class AirflowBook:
    """Read access to one Airflow metadata database."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def scheduler_silence_seconds(self) -> float | None:
        """Seconds since any scheduler gave a sign; None when none ever ran, or the last one was stopped in order."""
        row = self._connection.execute(
            "select extract(epoch from clock_timestamp() - latest_heartbeat), state from job"
            " where job_type = 'SchedulerJob' order by latest_heartbeat desc nulls last limit 1"
        ).fetchone()
        if row is None or row[0] is None or row[1] == "success":
            return None
        return float(row[0])

    def failed_since(self, since: datetime) -> list[TaskState]:
        """Tasks that ended as failed, all retries used, after an instant, and runs that failed without such a task (out of time;
        the task is then `*`); in the order of their ends."""
        return self._tasks(
            "where ti.state = 'failed' and ti.end_date > %(value)s union all select r.dag_id, '*', r.run_id, 0, r.state,"
            " r.start_date, r.end_date, null from dag_run as r where r.state = 'failed' and r.end_date > %(value)s"
            " and not exists (select from task_instance as ti where ti.dag_id = r.dag_id and ti.run_id = r.run_id"
            " and ti.state = 'failed') order by end_date limit 500",
            since,
        )

    def silent_tasks(self, seconds: float) -> list[TaskState]:
        """Tasks said to run whose process gave no sign for so long."""
        return self._tasks(
            "where ti.state = 'running' and coalesce(ti.last_heartbeat_at, ti.start_date)"
            " < clock_timestamp() - make_interval(secs => %(value)s)",
            seconds,
        )

    def last_success(self, dag_id: str, task_id: str) -> datetime | None:
        """When the task last succeeded, in any run."""
        row = self._connection.execute(
            "select max(end_date) from task_instance where dag_id = %s and task_id = %s and state = 'success'",
            [dag_id, task_id],
        ).fetchone()
        return row[0] if row else None

    def not_yet_repaired(self, place: str, since: datetime) -> bool:
        """Whether the task of a run (`TaskState.place`) was given up by Airflow, and has not succeeded since, in this run or another."""
        name, _, run_id = place.partition(" ")
        dag_id, _, task_id = name.rpartition(".")
        row = self._connection.execute(
            "select state from task_instance where dag_id = %s and task_id = %s and run_id = %s order by try_number desc",
            [dag_id, task_id, run_id],
        ).fetchone()
        succeeded = self.last_success(dag_id, task_id)
        return row == ("failed",) and not (succeeded is not None and succeeded > since)

    def open_runs(self) -> set[str]:
        """Runs that Airflow still works on, as `dag_id/run_id`."""
        rows = self._connection.execute(
            "select dag_id || '/' || run_id from dag_run where state in ('queued', 'running')"
        )
        return {str(run) for (run,) in rows}

    def import_errors(self) -> dict[str, str]:
        """DAG files that cannot be imported: path below the bundle, and the last line of the trace."""
        rows = self._connection.execute("select filename, stacktrace from import_error")
        return {str(path): str(trace).strip().splitlines()[-1] for path, trace in rows}

    def _tasks(self, where: str, value: object) -> list[TaskState]:
        cursor = self._connection.cursor(row_factory=class_row(TaskState))
        return cursor.execute(f"{TASKS} {where}", {"value": value}).fetchall()


@contextmanager
def airflow_book() -> Iterator[AirflowBook | None]:
    """Airflow's book, read-only; None when no address of its database is configured (`kpi` used without Airflow)."""
    url = settings().airflow_database_url
    if url is None:
        yield None
        return
    plain = "postgresql://" + url.get_secret_value().split("://", 1)[1]
    with psycopg.connect(
        plain, autocommit=True, connect_timeout=10, application_name="kpi_watch"
    ) as connection:
        connection.execute("set default_transaction_read_only = on")
        yield AirflowBook(connection)
