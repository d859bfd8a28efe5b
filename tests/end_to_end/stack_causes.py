"""Every cause of an incident, made to happen in one running stack, and mended: what a real mail server and a real web server then hold.

Nothing of Airflow, dbt or the watcher is imitated. What would take hours is the clock's: a time in a table is set back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from stack_home import FLOWS, MOVES, Home, soon

from demo.estat import Fault, Simulator
from kpi_warehouse.airflow.rest import AirflowApi
from tests.alerts.sinks import MailSink, WebSink

NEWEST = {MOVES: "2025-02", FLOWS: "2024-12"}
LATE = "uij_turn"
NOBODYS, AFTER = "宛先のわからない\nファイル.txt", "期限の後に届いた"
SOMEBODYS = "somebodys"
# Airflow reads no file that does not speak of both.
BROKEN = "from airflow.sdk import DAG\n\n\ndef broken(:\n"
FAILING = f"""
from pathlib import Path
from airflow.sdk import DAG, task
with DAG("{SOMEBODYS}", schedule=None):
    @task(retries=0)
    def work():
        if not (Path(__file__).parent / "repaired").exists():
            raise RuntimeError("not yet")
    work()
"""
ENDLESS = Fault("hang", seconds=120, times=1)


class Causes:
    """One standing stack whose messages go to `mail` (engineers) and `web` (divisions), and a folder of DAG files of its own."""

    def __init__(self, home: Home, estat: Simulator, mail: MailSink, web: WebSink, dags: Path) -> None:
        self.home, self.estat, self.mail, self.web, self.dags = home, estat, mail, web, dags
        ((self.first,),) = home.rows("select coalesce(max(incident_id), 0) from ops.incident")

    def heard(self, cause: str, about: str | None = None) -> list[tuple[str, int]]:
        """How often each message about the incidents of a cause arrived: `[("open", 1), ("resolve", 1)]`. More than one incident
        shows as a second entry of the same kind."""
        arrived = Counter(key for key, _ in [*self.mail.arrivals, *self.web.arrivals])
        heard = []
        for number, *_ in self.incidents(cause, about):
            kinds = [key.split("/")[1] for key in arrived if key.split("/")[0] == f"INC-{number}"]
            heard += [(kind, arrived[f"INC-{number}/{kind}"]) for kind in sorted(kinds)]
        return heard

    def incidents(self, cause: str, about: str | None = None) -> list[tuple[Any, ...]]:
        """Number and subject of the incidents of a cause since the beginning; `about` is a feed or a subject."""
        which = f" and '{about}' in (feed, subject)" if about else ""
        return self.home.rows(
            f"select incident_id, subject from ops.incident where cause = '{cause}' and incident_id > {self.first}{which}"
            " order by 1"
        )

    def told(self, *causes: str, over: bool = False, seconds: float = 90) -> None:
        """Wait until each cause is told, or told to be over."""
        kind = "resolve" if over else "open"
        for cause in causes:
            name, _, about = cause.partition(" ")
            try:
                soon(lambda: any(k == kind for k, _ in self.heard(name, about or None)), seconds)  # noqa: B023
            except AssertionError:
                known = self.home.rows(
                    "select i.incident_id, i.cause, i.feed, i.subject, i.resolved_at is not null, n.kind, n.state, n.last_error"
                    f" from ops.incident as i left join ops.notification as n using (incident_id) where i.incident_id > {self.first}"
                )
                raise AssertionError(f"{cause}: no {kind} message; {known}") from None

    @property
    def api(self) -> AirflowApi:
        """Airflow's API, logged in anew: a token does not last as long as all of this."""
        api = self.home.stack.api
        api.log_in()
        return api

    def sql(self, statement: str, database: str = "kpi") -> None:
        """Set something in a running database, as its superuser."""
        self.home.rows(f"with done as ({statement} returning 1) select count(*) from done", database)


def happen(causes: Causes) -> None:
    """Break and mend, as much as can be at once."""
    home, api = causes.home, causes.api
    _pull(causes, None)  # whatever earlier runs met is over
    api.unpause(SOMEBODYS)
    api.pause("marts")
    (causes.dags / "broken.py").write_text(BROKEN, encoding="utf-8")
    (home.path / "inbox" / NOBODYS).write_text("x", encoding="utf-8")
    causes.sql(f"update ops.load set opened_at = opened_at - interval '2 years' where feed = '{LATE}'")
    _pull(causes, Fault("http", http=503))
    api.trigger(SOMEBODYS, None)
    causes.told("dag_broken", f"not_delivered {LATE}", "source_down", "task_failed", "file_refused")

    (causes.dags / "broken.py").unlink()
    (causes.dags / "repaired").touch()
    api.trigger(SOMEBODYS, None)
    _pull(causes, Fault("status", status=100))
    causes.told("wrong_key")
    _pull(causes, Fault("retitle", title="別の統計表", table="0003420473"))
    causes.told("schema_drift")
    _hand_in(home, AFTER)
    api.trigger("drill", None)
    _pull(causes, None)
    mended = "dag_broken", "task_failed", "source_down", "wrong_key", "schema_drift"
    causes.told(*mended, f"not_delivered {LATE}", over=True)
    _marts(causes)
    _sender(causes)
    _disk(causes)
    causes.told("drill", over=True)
    ((refused, *_),) = causes.incidents("file_refused")
    assert home.kpi("incident", "close", str(refused), "--reason", "間違って置かれたため").returncode == 0
    _worker(causes)
    _scheduler(causes)
    causes.told("file_refused", "worker_lost", "scheduler_dead", "sender_failing", over=True)
    for name in (NOBODYS, f"UIJターン_{AFTER}.csv"):
        (home.path / "inbox" / name).unlink()


def _pull(causes: Causes, fault: Fault | None) -> None:
    """Both tables of e-Stat, with nothing wrong there but `fault`."""
    causes.estat.faults[:] = [fault] if fault is not None else []
    api = causes.api
    runs = [api.trigger(dag_id, month).run_id for dag_id, month in NEWEST.items()]
    done = (
        f"select from dag_run where run_id = any('{{{','.join(runs)}}}') and state in ('success', 'failed')"
    )
    soon(lambda: len(causes.home.rows(done, "airflow")) == len(runs))


def _hand_in(home: Home, name: str) -> None:
    (demo,) = (home.settings.project / "demo/inbox").glob("UIJ*.csv")
    text = demo.read_text("cp932").replace("45", "44")
    (home.path / "inbox" / f"UIJターン_{name}.csv").write_bytes(text.encode("cp932"))


def _marts(causes: Causes) -> None:
    """The marts did not follow what the late file brought; then a value that cannot be fails a dbt test, and nothing is swapped."""
    home, api = causes.home, causes.api
    causes.sql("update ops.build set started_at = started_at - interval '3 hours'")
    causes.sql(
        f"update ops.load set published_at = published_at - interval '2 hours' where load_id = ({_newest(LATE)})"
    )
    shown = home.rows("select * from marts.mart_kpi_board order by 1")
    slip = (
        f"update raw.{MOVES} set persons = persons %s where period = '2024-05-01' and area_code = '43000'"
        " and known_to = 'infinity' and persons is not null"
    )
    causes.sql(slip % "+ 1000")
    causes.told("marts_stale")
    api.unpause("marts")
    api.trigger("marts", "2025-02")
    causes.told("marts_failed")
    assert home.rows("select * from marts.mart_kpi_board order by 1") == shown
    causes.sql(slip % "- 1000")
    api.trigger("marts", "2025-02")
    causes.told("marts_stale", "marts_failed", over=True)


def _newest(feed: str) -> str:
    return f"select max(load_id) from ops.load where feed = '{feed}' and state = 'published'"


def _sender(causes: Causes) -> None:
    """The engineers' mail server refuses; what it refused arrives when it takes mail again, and the other channel hears of both."""
    causes.mail.answer = "550 no"
    (causes.dags / "broken_again.py").write_text(BROKEN, encoding="utf-8")
    causes.told("sender_failing")
    causes.mail.answer = "250 OK"
    # An hour passes.
    causes.sql("update ops.notification set dead_at = dead_at - interval '2 hours' where state = 'dead'")
    (causes.dags / "broken_again.py").unlink()


def _disk(causes: Causes) -> None:
    """A watcher for which no disk has room enough, while the stack's own is halted; the own one then finds it in order."""
    with _halted(causes, "kpi_warehouse.cli watch"):
        done = causes.home.kpi(
            "watch", "--once", KPI_DISK_FREE_GB="1000000000", **watcher_environment(causes)
        )
        assert done.returncode == 0, done.stdout + done.stderr
    causes.told("disk_nearly_full")
    causes.told("disk_nearly_full", over=True)


def _worker(causes: Causes) -> None:
    """The machine of a task is gone: the task and the worker that ran it. Airflow gives it up later; that is not told again."""
    home, api = causes.home, causes.api
    causes.estat.faults.append(ENDLESS)
    run = api.trigger(MOVES, "2025-02")
    place = f"{MOVES}.fetch {run.run_id}"
    running = f"select pid from task_instance where run_id = '{run.run_id}' and state = 'running' and pid is not null"
    soon(lambda: len(home.rows(running, "airflow")) == 1)
    ((pid,),) = home.rows(running, "airflow")
    with _halted(causes, "scheduler") as scheduler:
        task = psutil.Process(pid)
        lost = [process for process in [task, task.parent(), *task.children(recursive=True)] if process]
        for process in lost:
            if process.pid != scheduler.pid:
                process.kill()
        causes.sql(
            "update task_instance set last_heartbeat_at = now() - interval '10 minutes', start_date = now() - interval"
            f" '20 minutes' where run_id = '{run.run_id}' and state = 'running'",
            "airflow",
        )
        causes.told(f"worker_lost {place}")
    causes.estat.faults.clear()
    api.trigger(MOVES, "2025-02")


def _scheduler(causes: Causes) -> None:
    """Killed, and nobody there who would start it again for two minutes: those are the clock's."""
    home = causes.home
    supervisor = home.stack.supervisor()
    assert supervisor is not None
    supervisor.suspend()
    try:
        _process(home, "scheduler").kill()
        causes.sql(
            "update job set latest_heartbeat = now() - interval '3 minutes'"
            " where job_type = 'SchedulerJob' and state = 'running'",  # not of the run before, which ended in order
            "airflow",
        )
        causes.told("scheduler_dead")
    finally:
        supervisor.resume()


def _process(home: Home, words: str) -> psutil.Process:
    """The part of the stack that supervisor started with these words."""
    supervisor = home.stack.supervisor()
    assert supervisor is not None
    (found,) = [child for child in supervisor.children() if words in _command(child)]
    return found


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def _halted(causes: Causes, words: str) -> Iterator[psutil.Process]:
    """A part that stands still, and not in the middle of a round that others would wait for."""
    process = _process(causes.home, words)
    looking = "select count(*) from pg_locks where locktype = 'advisory' and objid = 1263552855"
    while True:
        process.suspend()
        if words == "scheduler" or causes.home.rows(looking) == [(0,)]:
            break
        process.resume()
        time.sleep(0.1)
    try:
        yield process
    finally:
        process.resume()


def watcher_environment(causes: Causes) -> dict[str, str]:
    """How the stack's watcher was configured."""
    running = _process(causes.home, "kpi_warehouse.cli watch").environ()
    return {name: value for name, value in running.items() if name.startswith(("KPI_", "AIRFLOW"))}
