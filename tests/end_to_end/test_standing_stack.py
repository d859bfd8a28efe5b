"""What takes longer of the stack: a second `run` that e-Stat refuses, and the stack left running by `up`, under Airflow's real scheduler, with a real mail server and a real web server that hear of
what fails. The tests go on from each other in the order of this file."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from stack_causes import FAILING, LATE, SOMEBODYS, Causes, happen
from stack_home import FLOWS, MOVES, Book, Ended, Home, book, errors_in_logs, soon, tables_that_hold

from demo.estat import Fault, Simulator, edits, published
from kpi_warehouse.settings import Settings
from tests.alerts.sinks import MailSink, WebSink, mail_sink, web_sink
from tests.places import folder

pytestmark = [pytest.mark.scheduler, pytest.mark.nightly, pytest.mark.timeout(900)]

KEY = "c0ffee0123456789abcdefc0ffee0123456789ab"
FEEDS = {path.name.removesuffix(".odcs.yaml") for path in Settings().contracts.glob("*.odcs.yaml")}
NOTES = ("一回目", "二回目")
MONTHS = ["2024-01", "2024-02", "2024-03"]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A `KPI_HOME` in which every feed was loaded once."""
    with folder() as place:
        home = Home(place / "home")
        home.path.mkdir()
        assert home.command("run").code == 0
        yield home
        home.command("clean")


@dataclass
class Refused:
    """A second `run`, of which e-Stat refuses the key, and the book before and after it."""

    ended: Ended
    before: Book
    held: Book
    asked_with_key: bool
    tables_with_key: list[str]


@pytest.fixture(scope="module")
def refused(home: Home) -> Refused:
    with home.database():
        before = book(home)
    with Simulator([published.moves(), published.flow()], [Fault("status", status=100)]) as estat:
        ended = home.command(
            "run", ESTAT_APP_ID=KEY, ESTAT_BASE_URL=estat.base_url, KPI_ESTAT_REQUESTS_PER_SECOND="0"
        )
        asked_with_key = any(request["_key_sent"] for request in estat.requests)
    assert home.parts() == []
    with home.database():
        shown = [name for database in ("kpi", "airflow") for name in tables_that_hold(home, database, KEY)]
        return Refused(ended, before, book(home), asked_with_key, shown)


def test_run_again_writes_nothing_of_what_did_not_change(
    refused: Refused,
) -> None:
    again = refused.held.loads[len(refused.before.loads) :]
    assert {load[0] for load in again} == FEEDS
    assert {load[1] for load in again if load[0] not in (MOVES, FLOWS)} == {"unchanged"}
    assert (refused.held.builds, refused.held.rows) == (refused.before.builds, refused.before.rows)


def test_a_refused_key_is_told_with_task_reason_and_log(refused: Refused) -> None:
    output = refused.ended.output
    assert refused.ended.code == 1
    for feed in (MOVES, FLOWS):
        assert f"✗ {feed}.fetch" in output
    assert "認証" in output
    logs = [Path(path) for path in re.findall(r"ログ：(\S+)", output)]
    assert len(logs) == 2
    assert all("認証" in path.read_text(encoding="utf-8") for path in logs)
    assert [load[2] for load in refused.held.loads if load[2] == "estat.auth"] == ["estat.auth"] * 2
    assert output.count("✉ 【KPI取込エラー／要対応】e-Stat：アプリケーションIDの誤り") == 1, (
        "one problem, not one a feed"
    )


def test_a_key_is_shown_nowhere(home: Home, refused: Refused) -> None:
    assert refused.asked_with_key
    assert KEY not in refused.ended.output
    files = [path for path in home.path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert refused.tables_with_key == []


@pytest.fixture(scope="module")
def receivers() -> Iterator[tuple[MailSink, WebSink]]:
    """The engineers' mail server and a division's web server."""
    with mail_sink() as mail, web_sink() as web:
        yield mail, web


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of DAG files that are somebody else's."""
    folder = tmp_path_factory.mktemp("dags")
    (folder / f"{SOMEBODYS}.py").write_text(FAILING, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def standing(
    home: Home, refused: Refused, receivers: tuple[MailSink, WebSink], dags: Path
) -> Iterator[tuple[Ended, Simulator, int]]:
    """`up` on a port of our choice, against a simulator that the tests can change, with messages to real receivers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    with Simulator([published.moves(), published.flow()]) as estat:
        source = {"ESTAT_APP_ID": KEY, "ESTAT_BASE_URL": estat.base_url, "KPI_ESTAT_REQUESTS_PER_SECOND": "0"}
        mail, web = receivers
        local = "airflow.dag_processing.bundles.local.LocalDagBundle"
        bundles = [
            {"name": "dags-folder", "classpath": local, "kwargs": {}},
            {"name": SOMEBODYS, "classpath": local, "kwargs": {"path": str(dags), "refresh_interval": 1}},
        ]
        quick = {
            "KPI_TASK_RETRIES": "0",
            "KPI_WATCH_SECONDS": "1",
            "KPI_ALERT_URLS": f"engineer={mail.url} division=hmac+http://:k@{web.address}/",
            "KPI_ALERT_QUIET_HOURS": "false",
            "KPI_ALERT_RETRY_SECONDS": "0.1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        }
        yield home.command("up", KPI_API_PORT=str(port), **source, **quick), estat, port
        home.command("down")


def test_up_leaves_it_running_on_the_port_asked_for(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    ended, _, port = standing
    assert ended.code == 0
    assert f"http://127.0.0.1:{port}" in ended.output
    assert ("127.0.0.1", port) in home.listening()
    assert home.stack.api.healthy()


def test_a_figure_that_a_division_filled_in_is_traced_to_its_cell_and_proved(
    home: Home, standing: tuple[Ended, Simulator, int], tmp_path: Path
) -> None:
    shown = home.kpi("receipt", "D08", "2024年度", "--verify")
    assert shown.returncode == 0, shown.stderr
    assert "235件" in shown.stdout and "✓ 保存した原本の 1 セルと一致しました" in shown.stdout
    ((cell, name),) = home.rows("select source_cell, file_or_url from marts.receipt('D08', '2024年度')")
    assert cell in shown.stdout and name.endswith(".xlsx") and name in shown.stdout
    page = tmp_path / "由来.html"
    assert home.kpi("receipt", "D08", "FY2024", "--print", str(page)).returncode == 0
    assert "照合はしていません" in page.read_text("utf-8")
    assert "というKPIはありません" in home.kpi("receipt", "K99", "2024").stderr


def test_the_watcher_is_at_work_and_the_page_of_signed_links_answers(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    def beat() -> list[tuple[Any, ...]]:
        return home.rows("select beat_at > now() - interval '20 seconds' from ops.watch where name = 'watch'")

    soon(lambda: beat() == [(True,)])
    refused = requests.get(
        f"http://127.0.0.1:{standing[2]}/kpi/acknowledge",
        {"incident": 1, "until": 1, "signature": "x"},
        timeout=30,
    )
    assert (refused.status_code, "使えないリンク" in refused.text) == (403, True)


def test_a_task_that_is_killed_is_told_and_its_successor_ends_it(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    """`kill -9` of the task's own process, in a real scheduler: no callback of Airflow's could say so."""
    api, estat = home.stack.api, standing[1]
    api.log_in()
    estat.faults.append(Fault("hang", seconds=60, times=1))
    run = api.trigger(MOVES, "2025-02")
    reference = f"{MOVES}/{run.run_id}"

    def at_work() -> list[tuple[Any, ...]]:
        return home.rows(
            "select a.client_port from ops.load as l join pg_locks as k on k.locktype = 'advisory' and k.objid = l.load_id::int"
            f" join pg_stat_activity as a using (pid) where l.run_ref = '{reference}'"
        )

    soon(lambda: len(at_work()) == 1)
    ((port,),) = at_work()
    # Asked of the whole machine: a process that ends while it is asked is no error there.
    (pid,) = {c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.pid}
    task = psutil.Process(pid)
    assert task in home.parts()
    task.kill()
    estat.faults.clear()

    def incidents() -> list[tuple[Any, ...]]:
        return home.rows(
            "select i.cause, i.resolved_at is not null, array_agg(n.kind || ' ' || n.state order by n.notification_id)"
            " from ops.incident as i join ops.incident_load as k using (incident_id) join ops.load as l using (load_id)"
            f" join ops.notification as n using (incident_id) where l.run_ref = '{reference}' group by 1, 2"
        )

    soon(lambda: incidents() == [("task_killed", False, ["open sent"])])
    api.trigger(MOVES, "2025-02")
    soon(lambda: incidents() == [("task_killed", True, ["open sent", "resolve sent"])])


def test_what_is_unchanged_is_marked_done_and_marts_stay(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    api, before = home.stack.api, book(home)
    api.log_in()
    runs = [api.trigger(MOVES, "2025-02"), api.trigger("marts", "2025-02")]

    def states() -> list[str | None]:
        known = {run.run_id: run.state for run in api.newest_runs()}
        return [known.get(run.run_id) for run in runs]

    soon(lambda: states() == ["success", "success"])
    steps = {task["task_id"]: task["state"] for task in api.tasks(runs[0])}
    assert steps == {"fetch": "success", "stage": "skipped", "gate": "skipped", "publish": "skipped"}
    after = book(home)
    assert (after.builds, after.rows) == (before.builds, before.rows)


def test_a_backfill_loads_its_months_and_marts_follow_with_the_same_months(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    before = book(home)
    standing[1].publish(edits.revise_month(published.moves(), MONTHS[1]))
    asked = home.command(
        "airflow",
        "backfill",
        "create",
        "--dag-id",
        MOVES,
        "--from-date",
        "2024-01-01",
        "--to-date",
        "2024-03-31",
    )
    assert asked.code == 0

    def ended(dag_id: str, kind: str) -> list[tuple[str, str]]:
        return home.rows(
            f"select partition_key, state from dag_run where dag_id = '{dag_id}' and run_type = '{kind}'"
            " and state in ('success', 'failed') and queued_at > now() - interval '10 minutes'"
            f" and partition_key = any('{{{','.join(MONTHS)}}}') order by partition_key",
            "airflow",
        )

    everything = [(month, "success") for month in MONTHS]
    soon(lambda: len(ended(MOVES, "backfill")) == len(MONTHS))
    assert ended(MOVES, "backfill") == everything
    soon(lambda: len(ended("marts", "asset_triggered")) >= len(MONTHS))
    assert ended("marts", "asset_triggered") == everything, errors_in_logs(home, "marts")

    after = book(home)
    assert len(after.builds) == len(before.builds) + 1
    soon(lambda: len(ended("publication", "asset_triggered")) >= len(MONTHS))
    assert ended("publication", "asset_triggered") == everything, errors_in_logs(home, "publication")
    assert (home.path / "publication/latest/kumamoto_kpi.xlsx").exists()
    closed = home.rows(f"select distinct period::text from raw.{MOVES} where known_to < 'infinity'")
    assert closed == [(f"{MONTHS[1]}-01",)]


def test_files_dropped_together_are_each_loaded_by_an_event(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    """Within a minute, and not by the hourly look: the runs say what started them."""
    (demo,) = (home.settings.project / "demo/inbox").glob("UIJ*.csv")
    text = demo.read_text("cp932")
    for number, note in enumerate(NOTES, start=1):
        (home.path / "inbox" / f"UIJターン_{note}.csv").write_bytes(
            text.replace("45", f"{45 + number}").encode("cp932")
        )

    def deliveries() -> list[tuple[Any, ...]]:
        return home.rows(
            f"select d.state, l.trigger, split_part(l.run_ref, '/', 2) from ops.delivery as d join ops.load as l using (load_id)"
            f" where d.feed = '{LATE}' and d.file_name like '%回目%' and d.settled_at is not null"
        )

    soon(lambda: len(deliveries()) == 2, seconds=60)
    runs = {run for _, _, run in deliveries()}
    kinds = home.rows(f"select run_id, run_type from dag_run where dag_id = '{LATE}'", "airflow")
    assert [kind for run, kind in kinds if run in runs] == ["asset_triggered"] * 2
    assert [state for state, _, _ in deliveries()] == ["loaded", "loaded"]


def test_rows_that_a_load_held_are_over_when_they_are_released(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    told = (
        "select i.feed, array_agg(n.kind || ' ' || n.state order by n.notification_id) from ops.incident as i"
        " join ops.notification as n using (incident_id) where cause = 'rows_held' group by 1"
    )
    assert home.rows(told) == [("internship_rate", ["open sent"])]
    for (number,) in home.rows("select held_id from ops.held_row where state = 'held'"):
        assert home.kpi("hold", "release", str(number), "--reason", "担当課が確認").returncode == 0
    soon(lambda: home.rows(told) == [("internship_rate", ["open sent", "resolve sent"])])


def test_a_missed_deadline_is_noted_on_the_load_that_waits(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    api = home.stack.api
    api.log_in()
    run = api.trigger(MOVES, "2099-12")
    reference = f"{MOVES}/{run.run_id}"

    def load() -> list[tuple[Any, ...]]:
        return home.rows(f"select state, error_code from ops.load where run_ref = '{reference}'")

    soon(lambda: load() == [("waiting", None)])
    overdue = home.rows(
        "update deadline set deadline_time = now() from dag_run as r"
        f" where r.id = dagrun_id and r.run_id = '{run.run_id}' returning deadline.id",
        "airflow",
    )
    assert len(overdue) == 1
    soon(lambda: load() == [("waiting", "load.overdue")])
    # Another month of this feed may be due today.
    told = "select incident_id, subject_ja from ops.incident join ops.notification as n using (incident_id)"
    told += " where cause = 'not_published' and period = '2099-12-01' and kind = '{}' and n.state = 'sent'"
    soon(lambda: len(home.rows(told.format("open"))) == 1)
    ((number, subject),) = home.rows(told.format("open"))
    assert "2099年12月：公表の遅れ" in subject
    assert home.kpi("incident", "close", str(number), "--reason", "試しに尋ねた月").returncode == 0
    soon(lambda: len(home.rows(told.format("resolve"))) == 1)


@pytest.fixture(scope="module")
def causes(
    home: Home, standing: tuple[Ended, Simulator, int], receivers: tuple[MailSink, WebSink], dags: Path
) -> Causes:
    """Every cause happened in the stack, and was mended."""
    found = Causes(home, standing[1], *receivers, dags)
    happen(found)
    return found


EVERY = [
    *("source_down", "wrong_key", "schema_drift", f"not_delivered {LATE}", "file_refused"),
    *(f"task_failed {SOMEBODYS}.work", "dag_broken broken.py", "dag_broken broken_again.py", "worker_lost"),
    *("marts_stale", "marts_failed", "disk_nearly_full", "sender_failing", "scheduler_dead", "drill"),
]


@pytest.mark.parametrize("cause", EVERY)
def test_each_cause_is_told_once_and_so_is_its_end(causes: Causes, cause: str) -> None:
    name, _, about = cause.partition(" ")
    assert causes.heard(name, about or None) == [("open", 1), ("resolve", 1)]


def test_nothing_else_was_told(home: Home, causes: Causes) -> None:
    # By the calendar a month may be due just now; a month that is not published has a test of its own.
    told = home.rows(
        f"select distinct cause from ops.incident where incident_id > {causes.first} and cause <> 'not_published'"
    )
    assert {cause for (cause,) in told} == {cause.partition(" ")[0] for cause in EVERY}


def test_a_killed_supervisor_leaves_nothing_after_down(
    home: Home, standing: tuple[Ended, Simulator, int]
) -> None:
    supervisor = home.stack.supervisor()
    assert supervisor is not None
    supervisor.kill()
    soon(lambda: home.stack.supervisor() is None)
    assert len(home.parts()) > 3
    assert home.command("down").code == 0
    assert home.parts() == []
