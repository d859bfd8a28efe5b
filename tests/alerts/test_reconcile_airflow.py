"""What the watcher makes of Airflow's book. The real one is read in tests/end_to_end/test_standing_stack.py; here its tables are made by
hand, for what takes the real one minutes, or a crash between two of its statements."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import psycopg
import pytest
from books import EXPO, MOVES, begin, fail, failed, page, publish, rows, state

from kpi_warehouse.alerts import reconcile_airflow as looking
from kpi_warehouse.alerts.incidents import incidents
from kpi_warehouse.alerts.reconcile import reconcile
from kpi_warehouse.warehouse.connection import connect

MAY = date(2024, 5, 1)
LOST = "insert into task_instance values ('expo', 'gate', 'r1', 1, 'running', now() - interval '1 hour', null, now() - interval '1 hour')"


def causes() -> list[str]:
    return sorted(incident.cause for incident in incidents() if incident.cause != "not_delivered")


def ever() -> list[tuple[str, int]]:
    return [
        tuple(row)
        for row in rows(
            "select cause, count(*) from ops.incident where cause <> 'not_delivered' group by 1 order by 1"
        )
    ]


def test_a_lost_worker_whose_task_airflow_gives_up_is_one_problem_until_it_succeeds(
    airflow: psycopg.Connection,
) -> None:
    begin(EXPO, run_ref="expo/r1")
    airflow.execute(LOST)
    reconcile()
    airflow.execute("update task_instance set state = 'failed', end_date = now()")
    with connect() as connection:
        connection.execute("update ops.load set heartbeat_at = heartbeat_at - interval '1 hour'")
        connection.execute("insert into ops.step (load_id, verb) select load_id, 'gate' from ops.load")
    reconcile()
    reconcile()
    assert causes() == ["worker_lost"]
    airflow.execute("update task_instance set state = 'success', end_date = now() + interval '1 second'")
    with connect() as connection:
        connection.execute("update ops.load set state = 'superseded'")
    reconcile()
    assert (causes(), ever()) == ([], [("worker_lost", 1)])


def test_tasks_that_stand_still_with_their_scheduler_are_its_problem(airflow: psycopg.Connection) -> None:
    airflow.execute(LOST)
    airflow.execute("update job set latest_heartbeat = now() - interval '10 minutes'")
    reconcile()
    assert causes() == ["scheduler_dead"]


@pytest.mark.parametrize("run_ref", ["expo/r1", None])
def test_a_task_killed_after_an_earlier_trouble_of_its_load_had_passed_is_told(
    airflow: psycopg.Connection, run_ref: str | None
) -> None:
    """The first try met a source that was down, and that passed; the second was killed."""
    load_id = fail(begin(EXPO, run_ref=run_ref), failed("inbox.unreachable"))
    state(load_id, "fetched")
    with connect() as connection:
        connection.execute("insert into ops.step (load_id, verb) values (%s, 'stage')", [load_id])
    if run_ref is not None:
        airflow.execute(
            "insert into task_instance values ('expo', 'stage', 'r1', 1, 'failed', now(), now() + interval '1 second', null)"
        )
    reconcile()
    reconcile()
    assert causes() == ["task_killed"]


def test_a_killed_load_closed_by_hand_is_not_told_again(airflow: psycopg.Connection) -> None:
    from kpi_warehouse.alerts.incidents import close

    load_id = begin(EXPO)
    with connect() as connection:
        connection.execute("insert into ops.step (load_id, verb) values (%s, 'stage')", [load_id])
    reconcile()
    (incident,) = [i for i in incidents() if i.cause == "task_killed"]
    close(incident.incident_id, "試しの取込のため")
    reconcile()
    assert causes() == []


def test_a_run_that_ran_out_of_time_without_a_failed_task_is_told(airflow: psycopg.Connection) -> None:
    airflow.execute("insert into dag_run values ('maintenance', 'r9', 'failed', now(), now())")
    reconcile()
    assert [(i.cause, i.subject) for i in incidents() if i.cause == "task_failed"] == [
        ("task_failed", "maintenance.*")
    ]


def test_a_month_that_no_run_asked_for_is_told_when_it_is_due(
    airflow: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed is in use, its DAG was paused: Airflow has nothing to say of a run that never was."""
    asked = datetime.now().astimezone() - timedelta(days=100)
    monkeypatch.setattr(looking, "last_due_tick", lambda contract, now: asked)
    reconcile()
    assert "not_published" not in causes(), "a feed that was not yet in use owes nothing"
    before = begin(MOVES, date(2024, 1, 1))
    publish(before, date(2024, 1, 1))
    with connect() as connection:
        connection.execute("update ops.load set opened_at = opened_at - interval '200 days'")
    reconcile()
    month = (asked.date().replace(day=1) - timedelta(days=1)).replace(day=1)
    assert [(i.feed, i.period) for i in incidents() if i.cause == "not_published"] == [(MOVES, month)]
    late = begin(MOVES, month)
    page(late, "late")
    publish(late, month)
    reconcile()
    assert "not_published" not in causes()
