"""Ways to break the warehouse and to mend it again, each with the incident that must come of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import psycopg
from books import FLOWS, MOVES, build, page, publish, rows, state

from kpi_warehouse.contract import FileSource
from kpi_warehouse.errors import KpiError
from kpi_warehouse.load import contract_of, feeds
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import note_overdue, open_load, step

AIRFLOW_TABLES = """
create table job (job_type text, state text, latest_heartbeat timestamptz);
insert into job values ('SchedulerJob', 'running', 'infinity');
create table dag_run (dag_id text, run_id text, state text, start_date timestamptz, end_date timestamptz);
create table import_error (filename text primary key, stacktrace text);
create table task_instance (dag_id text, task_id text, run_id text, try_number integer, state text,
    start_date timestamptz, end_date timestamptz, last_heartbeat_at timestamptz);
"""
FORK = get_context("fork")
Key = tuple[str, str, date | None]
# Error code, verb, and the cause that it must be told as.
FAILURES = (
    ("gate.rejected", "gate", "gate_rejected"),
    ("file.cells", "stage", "gate_rejected"),
    ("reader.unknown_code", "stage", "schema_drift"),
    ("contract.invalid", "gate", "contract_wrong"),
    ("estat.parameter", "fetch", "request_refused"),
    ("defect", "publish", "task_failed"),
)
URL_FEED = "line_subscribers"


@dataclass
class Problem:
    """A problem that was made: what its incident is known by, and how it is mended.

    `needs_watch`: nobody but the watcher can notice it, so it may be mended only after it was noticed. `optional`: it was over
    before that, by something else, so there may be an incident or none.
    """

    key: Key
    mend: Callable[[], object]
    needs_watch: bool = False
    open: bool = True
    optional: bool = False


class Breaks:
    """Makes and mends problems, and keeps the list."""

    def __init__(self, chance: random.Random, home: Path) -> None:
        self.chance, self.home = chance, home
        self.problems: list[Problem] = []
        self.numbers = itertools.count(1)
        self.shared: dict[str, set[str]] = {"source_down": set(), "wrong_key": set()}
        self.files = [c.feed for c in feeds() if isinstance(c.source, FileSource) and c.feed != URL_FEED]
        self._await_files()

    def inject(self) -> bool:
        """Break something; whether a loader was killed on the way."""
        while (killed := self._try()) is None:
            continue
        return killed

    def _try(self) -> bool | None:
        kind = self.chance.choices(
            [self.load, self.source, self.storage, self.held, self.failed_build, self.stale, self.refused, self.import_error,
             self.scheduler, self.worker, self.task, self.disk, self.drill, self.overdue],
            [14, 3, 1, 2, 2, 1, 2, 2, 1, 1, 2, 1, 1, 1],
        )[0]  # fmt: skip
        return kind()

    def mend_one(self) -> None:
        """Mend something that was noticed."""
        able = [p for p in self.problems if p.open and self._can_mend(p)]
        if able:
            self._mend(self.chance.choice(able))

    def mend_all(self, patience_seconds: float) -> None:
        """Mend what is left, waiting until the watcher has noticed what only it can, and that it is over."""
        until = time.monotonic() + patience_seconds
        while any(p.open for p in self.problems) and time.monotonic() < until:
            for problem in [p for p in self.problems if p.open]:
                if problem.open and self._can_mend(problem):
                    self._mend(problem)
            time.sleep(0.2)
        while any(self._seen(p.key) for p in self.problems if p.needs_watch) and time.monotonic() < until:
            time.sleep(0.2)

    def _airflow(self, statement: str, values: list[object] | None = None) -> None:
        with psycopg.connect(os.environ["KPI_AIRFLOW_DATABASE_URL"]) as connection:
            connection.execute(statement.encode(), values)

    def _mend(self, problem: Problem) -> None:
        problem.open = False
        problem.mend()

    def _can_mend(self, problem: Problem) -> bool:
        """Whether the watcher has noticed what only it can; a build mends all that waits for one, so all of that."""
        ends = [problem, *(p for p in self.problems if p.open and p.mend == problem.mend == self._build)]
        return all(not p.needs_watch or self._seen(p.key) for p in ends)

    def _seen(self, key: Key) -> bool:
        cause, subject, period = key
        found = rows(
            "select 1 from ops.incident where cause = %s and coalesce(subject, feed, 'system') = %s"
            " and period is not distinct from %s and resolved_at is null",
            cause,
            subject,
            period,
        )
        return bool(found)

    def _close(self, cause: str) -> None:
        for problem in self.problems:
            if problem.key[0] == cause:
                problem.open = False

    def _ever(self, key: Key) -> bool:
        return bool(rows("select 1 from ops.incident where (cause, feed, period) = (%s, %s, %s)", *key))

    def _note(self, key: Key, mend: Callable[[], object], *, needs_watch: bool = False) -> None:
        for problem in self.problems:
            if problem.key == key and problem.open:
                return
        self.problems.append(Problem(key, mend, needs_watch))

    def _busy(self, key: Key) -> bool:
        """Whether an earlier problem of this kind is mended but not yet noticed to be over: it would be the same one."""
        return self._seen(key) and not any(p.open for p in self.problems if p.key == key)

    def _await_files(self) -> None:
        for feed in [*self.files, URL_FEED]:
            self._note(("not_delivered", feed, None), lambda f=feed: self._deliver(f), needs_watch=True)  # type: ignore[misc]

    def _deliver(self, feed: str) -> None:
        month = self._month(next(self.numbers))
        load_id = self._begin(feed, month)
        page(load_id, f"{feed} {month}")
        publish(load_id, month)
        if feed == URL_FEED:
            self._close("storage_failed")

    def _begin(self, feed: str, month: date | None, tag: str = "mend") -> int:
        return open_load(contract_of(feed), period=month, trigger=tag, run_ref=None, forced=False)

    def _month(self, number: int) -> date:
        return date(1990 + number // 12, number % 12 + 1, 1)

    def load(self) -> bool:
        """A load fails, or its process is killed while it does; now and then the same problem again."""
        number = next(self.numbers)
        again = [p for p in self.problems if p.open and p.key[0] == "gate_rejected" and p.key[2] is not None]
        if again and self.chance.random() < 0.3:
            feed, month = self.chance.choice(again).key[1:]
            assert month is not None
            code, verb, cause = FAILURES[0]
        else:
            feed, month = self.chance.choice(self.files), self._month(number)
            code, verb, cause = self.chance.choice(FAILURES)
        kill = self.chance.random() < 0.35
        self._in_a_process(
            feed, month, f"n{number}", code, verb, self.chance.random() * 0.08 if kill else None
        )
        found = rows("select load_id, state from ops.load where trigger = %s", f"n{number}")
        if not found:
            self._in_a_process(feed, month, f"n{number}", code, verb, None)
            found = rows("select load_id, state from ops.load where trigger = %s", f"n{number}")
        ((load_id, ended),) = found
        if ended not in ("failed", "rejected"):
            # Time passes: a load that nobody works on any more.
            with connect() as connection:
                connection.execute(
                    "update ops.load set heartbeat_at = heartbeat_at - interval '1 hour' where load_id = %s",
                    [load_id],
                )
            cause = "task_killed"

        def mend() -> None:
            publish(self._begin(feed, month), month)
            for problem in [p for p in self.problems if p.key[1:] == (feed, month)]:
                problem.open = False  # whatever else was wrong with this delivery is over too
                # Made good before anybody noticed; unless the watcher is about to say so this very moment.
                problem.optional |= problem.key[0] == "task_killed" and not self._ever(problem.key)

        self._note((cause, feed, month), mend, needs_watch=cause == "task_killed")
        return kill

    def _in_a_process(
        self, feed: str, month: date, tag: str, code: str, verb: str, kill_after: float | None
    ) -> None:
        process = FORK.Process(target=_fail, args=(feed, month, tag, code, verb), daemon=True)
        process.start()
        if kill_after is not None:
            time.sleep(kill_after)
            assert process.pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        process.join()

    def source(self) -> bool | None:
        """e-Stat is down, or refuses the key: one problem, however many feeds ask."""
        feed = self.chance.choice([MOVES, FLOWS])
        code, cause = self.chance.choice([("estat.connection", "source_down"), ("estat.auth", "wrong_key")])
        _fail(feed, self._month(next(self.numbers)), "source", code, "fetch")
        self.shared[cause].add(feed)
        self._note((cause, "e-Stat", None), self._answer)
        return False

    def _answer(self) -> None:
        for feed in (MOVES, FLOWS):
            state(self._begin(feed, None), "fetched")
            self._answered(feed)

    def _answered(self, feed: str) -> None:
        """The source answered this feed; what was wrong for it alone is over."""
        for cause, left in self.shared.items():
            left.discard(feed)
            if not left:
                self._close(cause)

    def storage(self) -> bool | None:
        """The server goes away under a load."""
        _fail(URL_FEED, self._month(next(self.numbers)), "storage", "database.lost", "stage")
        place = rows("select source from ops.feed where feed = %s", URL_FEED)[0][0]
        month = self._month(next(self.numbers))
        self._note(("storage_failed", str(place), None), lambda: publish(self._begin(URL_FEED, month), month))
        return False

    def held(self) -> bool | None:
        """Rows are held; every one must be decided."""
        feed, month = self.chance.choice(self.files), self._month(next(self.numbers))
        load_id = self._begin(feed, month, "held")
        with connect() as connection:
            connection.execute(
                "insert into ops.held_row (load_id, feed, period, period_end, row, expectation, reason_ja, source_ref)"
                " select %s, %s, %s, (%s + interval '1 month - 1 day')::date, '{}', 'x', 'x', 'x' from generate_series(1, 3)",
                [load_id, feed, month, month],
            )
        publish(load_id, month, held=3)

        def release() -> None:
            with connect() as connection:
                connection.execute(
                    "update ops.held_row set state = 'released' where feed = %s and state = 'held'", [feed]
                )

        self._note(("rows_held", feed, None), release)
        return False

    def failed_build(self) -> bool | None:
        """A test of the marts fails."""
        build("failed", "検査が不合格")
        self._note(("marts_failed", "system", None), self._build)
        return False

    def _build(self) -> None:
        build("published")
        self._close("marts_failed")
        self._close("marts_stale")

    def stale(self) -> bool | None:
        """The marts did not follow a load."""
        key: Key = ("marts_stale", "system", None)
        feed, month = self.chance.choice(self.files), self._month(next(self.numbers))
        load_id = self._begin(feed, month, "stale")
        publish(load_id, month)
        with connect() as connection:
            connection.execute("update ops.build set started_at = started_at - interval '1 day'")
            connection.execute(
                "update ops.load set published_at = clock_timestamp() - interval '2 hours' where load_id = %s",
                [load_id],
            )
        self._note(key, self._build, needs_watch=True)
        return False

    def refused(self) -> bool | None:
        """A file that no contract knows."""
        place = f"inbox/{next(self.numbers)}.xlsx"
        statement = "insert into ops.delivery (file_name, location, bytes, state, feed, sha256) values (%s, %s, %s, %s, %s, %s)"

        def insert(size: int, ended: str, feed: str | None) -> None:
            with connect() as connection:
                connection.execute(statement, [place, place, size, ended, feed, place])

        insert(1, "unmatched", None)
        self._note(("file_refused", place, None), lambda: insert(2, "received", "nobody"))
        return False

    def import_error(self) -> bool | None:
        """A DAG file that cannot be imported."""
        path = f"dag_{next(self.numbers)}.py"
        self._airflow("insert into import_error values (%s, 'SyntaxError: x')", [path])
        self._note(
            ("dag_broken", path, None),
            lambda: self._airflow("delete from import_error where filename = %s", [path]),
            needs_watch=True,
        )
        return False

    def scheduler(self) -> bool | None:
        """The scheduler dies."""
        key: Key = ("scheduler_dead", "system", None)
        if self._busy(key):
            return None
        self._airflow("update job set latest_heartbeat = now() - interval '1 hour'")
        self._note(
            key,
            lambda: self._airflow("update job set latest_heartbeat = 'infinity'"),
            needs_watch=True,
        )
        return False

    def worker(self) -> bool | None:
        """The machine of a task is gone."""
        run = f"run{next(self.numbers)}"
        self._airflow(
            "insert into task_instance values ('expo', 'gate', %s, 1, 'running', now() - interval '1 hour', null, now() - interval '1 hour')",
            [run],
        )
        end = "update task_instance set state = 'success', end_date = now() where run_id = %s"
        self._note(
            ("worker_lost", f"expo.gate {run}", None),
            lambda: self._airflow(end, [run]),
            needs_watch=True,
        )
        return False

    def task(self) -> bool | None:
        """A task ends without a word."""
        dag = f"dag{next(self.numbers)}"
        insert = "insert into task_instance values (%s, 'work', 'r', 1, %s, now(), clock_timestamp() + %s * interval '1 second', null)"
        self._airflow(insert, [dag, "failed", 0])
        self._note(
            ("task_failed", f"{dag}.work", None),
            lambda: self._airflow(insert, [dag, "success", 60]),
            needs_watch=True,
        )
        return False

    def disk(self) -> bool | None:
        """The disk fills."""
        key: Key = ("disk_nearly_full", "KPI_HOME", None)
        if self._busy(key):
            return None
        (self.home / "disk_full").touch()
        self._note(key, (self.home / "disk_full").unlink, needs_watch=True)
        return False

    def drill(self) -> bool | None:
        """A drill that nobody heard."""
        key: Key = ("drill_missed", "late", None)
        if self._busy(key):
            return None
        with connect() as connection:
            connection.execute(
                "with l as (insert into ops.load (feed, contract_version, contract_sha256, code_version, trigger, forced, state)"
                " values ('drill', '1', '', '', 'drill', false, 'superseded') returning load_id)"
                " insert into ops.drill (load_id, started_at) select load_id, now() - interval '1 hour' from l"
            )

        def heard() -> None:
            with connect() as connection:
                connection.execute("update ops.drill set recovered_at = now()")

        self._note(key, heard, needs_watch=True)
        return False

    def overdue(self) -> bool | None:
        """A month that is late at its source."""
        month = self._month(next(self.numbers))
        load_id = self._begin(MOVES, month, "overdue")
        state(load_id, "waiting")  # the source answered, which ends what it did not
        self._answered(MOVES)
        note_overdue(MOVES)

        def publish_month() -> None:
            publish(load_id, month)
            self._answered(MOVES)

        self._note(("not_published", MOVES, month), publish_month)
        return False


def _fail(feed: str, month: date, tag: str, code: str, verb: str) -> None:
    load_id = open_load(contract_of(feed), period=month, trigger=tag, run_ref=None, forced=False)
    error: Exception = ZeroDivisionError("x") if code == "defect" else KpiError("だめでした。", code)
    with contextlib.suppress(KpiError, ZeroDivisionError), step(load_id, verb):
        time.sleep(0.03)
        raise error
