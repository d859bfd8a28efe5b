"""The watcher opens what nobody could open, and ends what is over. Airflow's part is asked of a real metadata database in
tests/end_to_end/test_standing_stack.py; here the tables it reads are made by hand with what Airflow writes into them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from books import EXPO, MOVES, begin, build, fail, failed, owed, page, publish, rows, state
from sinks import Addresses, WebSink

from kpi_warehouse.alerts import watch
from kpi_warehouse.alerts.drill import drill
from kpi_warehouse.alerts.incidents import close, incidents, tell_now
from kpi_warehouse.alerts.office_hours import (
    JAPAN,
    add_business_days,
    business_days_between,
    is_business_day,
    next_opening,
)
from kpi_warehouse.alerts.reconcile import reconcile
from kpi_warehouse.alerts.sender import deliver
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

MAY = date(2024, 5, 1)


def causes() -> list[str]:
    return sorted(incident.cause for incident in incidents() if incident.cause != "not_delivered")


def missing_feeds() -> set[str | None]:
    return {incident.feed for incident in incidents() if incident.cause == "not_delivered"}


@pytest.fixture(autouse=True)
def _office(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", raising=False)
    settings.cache_clear()


def test_a_load_whose_process_was_killed_is_told_and_its_successor_ends_it() -> None:
    code = (
        "import os, signal, sys; sys.path.insert(0, 'tests/alerts'); from books import EXPO, begin\n"
        "from kpi_warehouse.warehouse.ledger import step\n"
        "with step(begin(EXPO), 'stage') as current:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=settings().project, check=False)
    assert ended.returncode == -signal.SIGKILL
    reconcile()
    reconcile()
    assert causes() == ["task_killed"] and owed().count(("open", "waiting")) == len(incidents())
    publish(begin(EXPO), MAY)
    assert causes() == []


def test_a_killed_load_that_was_made_good_is_nobodys_trouble() -> None:
    killed = begin(EXPO, MAY)
    with connect() as connection:
        connection.execute("insert into ops.step (load_id, verb) values (%s, 'gate')", [killed])
    publish(begin(EXPO, MAY), MAY)
    reconcile()
    assert causes() == []
    with connect() as connection:
        connection.execute("update ops.load set state = 'abandoned' where load_id = %s", [killed])
    assert causes() == []


def test_a_load_at_work_is_left_alone() -> None:
    from kpi_warehouse.warehouse.ledger import step

    with step(begin(EXPO), "stage"):
        reconcile()
    assert causes() == []


def test_a_silent_scheduler_is_grave_and_ends_when_it_speaks(airflow: psycopg.Connection) -> None:
    airflow.execute("update job set latest_heartbeat = now() - interval '10 minutes'")
    reconcile()
    assert [(i.cause, i.severity) for i in incidents() if i.cause == "scheduler_dead"] == [
        ("scheduler_dead", "重大")
    ]
    airflow.execute("update job set latest_heartbeat = now()")
    reconcile()
    assert causes() == []


def test_a_scheduler_stopped_in_order_is_no_trouble(airflow: psycopg.Connection) -> None:
    airflow.execute("update job set latest_heartbeat = now() - interval '10 minutes', state = 'success'")
    reconcile()
    assert causes() == []


def test_a_broken_dag_file_is_named_and_ends_when_it_is_mended(airflow: psycopg.Connection) -> None:
    airflow.execute("insert into import_error values ('feeds.py', E'Traceback\\nSyntaxError: x')")
    reconcile()
    (incident,) = [i for i in incidents() if i.cause == "dag_broken"]
    assert incident.summary_ja == "feeds.py：SyntaxError: x"
    airflow.execute("delete from import_error")
    reconcile()
    assert causes() == []


def test_a_failed_task_that_left_no_word_is_told_once(airflow: psycopg.Connection) -> None:
    load_id = begin(EXPO, run_ref="expo/r1")
    airflow.execute(
        "insert into task_instance values ('expo', 'gate', 'r1', 2, 'failed', now(), now(), null)"
    )
    airflow.execute(
        "insert into task_instance values ('maintenance', 'sweep', 'r2', 1, 'failed', now(), now(), null)"
    )
    reconcile()
    assert causes() == ["task_failed", "task_killed"]
    with connect() as connection:
        connection.execute("update ops.load set state = 'abandoned' where load_id = %s", [load_id])
    airflow.execute(
        "insert into task_instance values ('maintenance', 'sweep', 'r3', 1, 'success', now(), now() + interval '1 second', null)"
    )
    publish(begin(EXPO), MAY)
    reconcile()
    assert causes() == []
    reconcile()
    assert causes() == [], "what was told is not told again"


def test_a_failed_task_whose_load_said_why_is_not_told_twice(airflow: psycopg.Connection) -> None:
    fail(begin(EXPO, run_ref="expo/r1"), failed("file.kind"), "stage")
    airflow.execute(
        "insert into task_instance values ('expo', 'stage', 'r1', 1, 'failed', now(), now(), null)"
    )
    reconcile()
    assert causes() == ["gate_rejected"]


def test_a_build_that_was_killed_is_told(airflow: psycopg.Connection) -> None:
    airflow.execute(
        "insert into task_instance values ('marts', 'build', 'r1', 1, 'failed', now(), now(), null)"
    )
    reconcile()
    assert causes() == ["marts_failed"]


def test_a_task_without_a_sign_of_life_is_told(airflow: psycopg.Connection) -> None:
    airflow.execute(
        "insert into task_instance values ('expo', 'gate', 'r1', 1, 'running', now() - interval '1 hour', null, now() - interval '1 hour')"
    )
    reconcile()
    assert causes() == ["worker_lost"]
    airflow.execute("update task_instance set last_heartbeat_at = now()")
    reconcile()
    assert causes() == []


def test_what_cannot_be_looked_at_is_not_over(
    airflow: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.execute("update job set latest_heartbeat = now() - interval '10 minutes'")
    reconcile()
    monkeypatch.delenv("KPI_AIRFLOW_DATABASE_URL")
    settings.cache_clear()
    reconcile()
    assert causes() == ["scheduler_dead"]


def test_marts_that_did_not_follow_are_stale_until_they_are_built() -> None:
    publish(begin(EXPO), MAY)
    with connect() as connection:
        connection.execute("update ops.load set published_at = clock_timestamp() - interval '2 hours'")
    reconcile()
    assert causes() == ["marts_stale"]
    build("published")
    assert causes() == []


def test_a_disk_that_fills_is_told_before_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    settings().home.mkdir(parents=True, exist_ok=True)
    (settings().home / "landing").mkdir()
    for gigabytes, told in (("1000000000", ["disk_nearly_full"]), ("0", [])):
        monkeypatch.setenv("KPI_DISK_FREE_GB", gigabytes)
        settings.cache_clear()
        reconcile()
        assert causes() == told, "one disk, one incident"


def test_a_file_that_did_not_come_by_its_day_is_told_to_its_division() -> None:
    reconcile()
    missing = {i.feed: i for i in incidents() if i.cause == "not_delivered"}
    assert EXPO in missing and missing[EXPO].owner_ja == "商工政策課"
    assert "届いていません" in missing[EXPO].summary_ja
    load_id = begin(EXPO)
    with connect() as connection:
        connection.execute("update ops.load set opened_at = opened_at - interval '400 days'")
    page(load_id, "a")
    publish(load_id, date(2024, 2, 1))
    reconcile()
    assert missing_feeds() == set(missing), "the file of an earlier delivery is not this one"
    fail(begin(EXPO), failed("file.unreadable"), "stage")
    reconcile()
    assert missing_feeds() == set(missing), "a load without a file delivered nothing"
    load_id = begin(EXPO)
    page(load_id, "b")
    fail(load_id, failed("gate.rejected"), "gate")
    reconcile()
    assert missing_feeds() == set(missing) - {EXPO}, (
        "a file sent back has come: that it is wrong is told by itself"
    )
    assert "gate_rejected" in causes()


def test_that_nothing_is_to_come_this_time_is_said_once() -> None:
    reconcile()
    missing = {i.feed: i.incident_id for i in incidents() if i.cause == "not_delivered"}
    close(missing[EXPO], "本年度は開催しないため")
    reconcile()
    assert missing_feeds() == set(missing) - {EXPO}


def test_what_the_watcher_would_open_again_is_not_closed_by_hand(airflow: psycopg.Connection) -> None:
    airflow.execute("insert into import_error values ('a.py', 'SyntaxError')")
    reconcile()
    (broken,) = [i for i in incidents() if i.cause == "dag_broken"]
    with pytest.raises(KpiError, match="自動で終わります"):
        close(broken.incident_id, "もうよい")


def test_a_month_that_is_late_is_told_whatever_airflow_does() -> None:
    load_id = begin(MOVES, MAY)
    state(load_id, "waiting")
    with connect() as connection:
        connection.execute("update ops.load set opened_at = clock_timestamp() - interval '400 days'")
    reconcile()
    assert causes() == ["not_published"]


def test_the_last_try_of_a_run_ends_the_waiting() -> None:
    fail(begin(MOVES, MAY, run_ref="m/r1"), failed("estat.timeout"))
    assert deliver().sent == 0
    assert tell_now("m/r1") == 1
    assert deliver().sent == 1


def test_nobody_acknowledged_so_it_is_escalated_once(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/", f"escalation=alertmanager+http://{web.address}")
    fail(begin(MOVES, MAY), failed("gate.rejected"), "gate")
    deliver()
    assert watch.escalate(datetime.now(UTC)) == 0
    with connect() as connection:
        connection.execute("update ops.notification set sent_at = sent_at - interval '14 days'")
    assert (watch.escalate(datetime.now(UTC)), watch.escalate(datetime.now(UTC))) == (1, 0)
    deliver()
    assert web.requests[-1].path == "/api/v2/alerts"


def test_the_digest_tells_once_a_day_what_nobody_was_rung_for(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    noon = datetime(2026, 11, 24, 12, 0, tzinfo=JAPAN)
    assert watch.write_digest(noon) is False, "nothing to tell"
    fail(begin(MOVES, MAY), failed("load.overdue"))
    with connect() as connection:
        connection.execute("update ops.notification set state = 'digested'")
    assert watch.write_digest(noon) is False, "once a day"
    tomorrow = noon + timedelta(days=1)
    with connect() as connection:
        connection.execute("update ops.watch set beat_at = '2020-01-01' where name = 'digest'")
    assert watch.write_digest(tomorrow.replace(hour=3)) is False, "the office is closed"
    assert watch.write_digest(tomorrow) is True
    deliver()
    assert "INC-1" in web.requests[-1].body.decode()


def test_a_round_pings_the_dead_man(addresses: Addresses, web: WebSink) -> None:
    addresses("*=mailbox:///dev/null/x", KPI_DEADMAN_URL=f"http://{web.address}/ping")
    with connect() as connection:
        connection.execute("insert into ops.watch (name, beat_at) values ('digest', now())")
    watch.watch_once()
    assert [request.path for request in web.requests] == ["/ping"]
    assert rows("select beat_at > now() - interval '1 minute' from ops.watch where name = 'watch'") == [
        (True,)
    ]


def test_a_watcher_without_a_database_says_so_itself(
    addresses: Addresses, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses(
        f"engineer=hmac+http://:k@{web.address}/",
        KPI_WATCH_SECONDS="0",
        KPI_DATABASE_URL="postgresql://127.0.0.1:1/x",
    )
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _: len(web.requests) and stop.set())
    watch.watch(stop)
    assert "監視が働いていません" in web.requests[0].body.decode()


def test_a_drill_opens_delivers_and_recovers(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    done = drill(deliver, patience_seconds=20)
    assert [key for key, _ in web.arrivals] == ["INC-1/open", "INC-1/resolve"]
    assert 0 < done.told_seconds < done.recovered_seconds
    reconcile()
    assert "drill_missed" not in causes()


def test_a_drill_after_one_that_was_cut_off_counts_its_own_messages(
    addresses: Addresses, web: WebSink
) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")

    class CutOff(Exception):
        pass

    def cut_off() -> None:
        deliver()
        raise CutOff

    with pytest.raises(CutOff):
        drill(cut_off, patience_seconds=20)
    drill(deliver, patience_seconds=20)
    kinds = [key for key, _ in web.arrivals]
    assert kinds == ["INC-1/open", "INC-1/resolve", "INC-2/open", "INC-2/resolve"]


def test_a_drill_that_nobody_hears_is_an_incident(addresses: Addresses, web: WebSink) -> None:
    web.status = 500
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    with pytest.raises(KpiError, match="届きませんでした"):
        drill(deliver, patience_seconds=0.1)
    with connect() as connection:
        connection.execute("update ops.drill set started_at = started_at - interval '1 hour'")
    reconcile()
    assert "drill_missed" in causes()


@pytest.mark.parametrize(
    ("day", "open_"),
    [
        (date(2026, 11, 23), False),  # 勤労感謝の日
        (date(2026, 11, 24), True),
        (date(2026, 12, 28), True),
        (date(2026, 12, 29), False),
        (date(2027, 1, 4), True),
        (date(2026, 5, 6), False),  # 振替休日
        (date(2026, 11, 28), False),
    ],
)
def test_days_the_office_is_open(day: date, open_: bool) -> None:
    assert is_business_day(day) is open_


def test_business_days_skip_the_new_year() -> None:
    assert add_business_days(date(2026, 12, 28), 1) == date(2027, 1, 4)
    assert business_days_between(date(2026, 12, 28), date(2027, 1, 5)) == 2
    assert next_opening(datetime(2026, 12, 28, 8, 31, tzinfo=UTC)) == datetime(
        2027, 1, 4, 8, 30, tzinfo=JAPAN
    )


def test_nothing_half_written_stays_in_the_mailbox() -> None:
    fail(begin(MOVES, MAY), failed("gate.rejected"), "gate")
    deliver()
    assert list((settings().home / "mailbox/tmp").iterdir()) == []
