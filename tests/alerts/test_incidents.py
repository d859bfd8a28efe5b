"""One incident a problem, written with the failure itself; what ends it, and what is told of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from books import EXPO, FLOWS, MOVES, begin, build, fail, failed, owed, page, publish, rows, state
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from kpi_warehouse.alerts.incidents import acknowledge, close, find, incidents, mute
from kpi_warehouse.alerts.messages import headline
from kpi_warehouse.alerts.reconcile import reconcile
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateRejected, KpiError
from kpi_warehouse.settings import PROJECT
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import KILLED_BUILD_JA, step

pytestmark = pytest.mark.usefixtures("warehouse")
MAY, JUNE = date(2024, 5, 1), date(2024, 6, 1)


def open_ones() -> list[tuple[str, str | None, int]]:
    return [(i.cause, i.feed, i.occurrences) for i in sorted(incidents(), key=lambda i: i.incident_id)]


def test_a_failed_load_opens_one_incident_with_its_owner_and_kpis() -> None:
    fail(begin(MOVES, MAY), failed("estat.definition", "表の題名が違います。"))
    (incident,) = incidents()
    assert (incident.cause, incident.severity, incident.period) == ("schema_drift", "要対応", MAY)
    assert incident.kpis == ["K12"]
    assert incident.owner_ja is not None and incident.summary_ja == "表の題名が違います。"
    assert owed() == [("open", "waiting")]


def test_the_incident_stands_and_falls_with_the_record_of_the_failure() -> None:
    load_id = begin(MOVES, MAY)
    with connect() as connection:
        connection.execute(
            "update ops.load set state = 'failed', error_code = 'estat.auth', error_ja = '' where load_id = %s",
            [load_id],
        )
        assert connection.execute("select count(*) from ops.incident").fetchone() == (1,)
        connection.rollback()
    assert incidents() == [] and owed() == []


def test_the_same_failure_a_hundred_times_is_one_message() -> None:
    for _ in range(100):
        fail(begin(MOVES, MAY), failed("reader.unknown_code"))
    assert open_ones() == [("schema_drift", MOVES, 100)]
    assert owed() == [("open", "waiting")]


@pytest.mark.parametrize("written", ["INC-{}", "inc-{}", "{}"])
def test_an_incident_is_found_by_the_number_in_its_message(written: str) -> None:
    fail(begin(MOVES, MAY), failed("reader.unknown_code"))
    (incident,) = incidents()
    shown = CliRunner().invoke(app, ["incident", "show", written.format(incident.incident_id)])
    assert shown.exit_code == 0 and incident.reference in shown.output, shown.output
    assert CliRunner().invoke(app, ["incident", "show", "INC-一"]).exit_code == 2


@pytest.mark.parametrize("other", [{"period": JUNE}, {"version": "9.9.9"}])
def test_another_period_or_contract_version_is_another_problem(other: dict[str, object]) -> None:
    fail(begin(MOVES, MAY), failed("reader.unknown_code"))
    fail(begin(MOVES, **{"period": MAY, **other}), failed("reader.unknown_code"))  # type: ignore[arg-type]
    assert len(incidents()) == 2


def test_feeds_that_fail_because_one_source_is_down_are_one_incident() -> None:
    for feed in (MOVES, FLOWS):
        fail(begin(feed, MAY), failed("estat.connection"))
    (incident,) = incidents()
    assert (incident.feed, incident.subject, incident.feeds) == (None, "e-Stat", [FLOWS, MOVES])
    assert owed() == [("open", "waiting")]
    state(begin(MOVES, MAY), "fetched")
    assert len(incidents()) == 1, "one of the two still fails"
    state(begin(FLOWS, MAY), "fetched")
    assert incidents() == []


def test_a_refusal_that_names_its_file_names_it_once() -> None:
    with connect() as connection:
        connection.execute(
            "insert into ops.delivery (file_name, location, bytes, state, message_ja)"
            " values ('何か.xlsx', 'in/何か.xlsx', 1, 'unmatched', '「何か.xlsx」は 2 つの取込に当てはまります。')"
        )
    assert [incident.summary_ja for incident in incidents()] == [
        "「何か.xlsx」は 2 つの取込に当てはまります。"
    ]


def test_trouble_that_passes_before_it_is_told_is_told_to_nobody() -> None:
    load_id = begin(MOVES, MAY, run_ref="run")
    fail(load_id, failed("estat.timeout"))
    assert begin(MOVES, MAY, run_ref="run") == load_id, "the same run tries again"
    state(load_id, "fetched")
    assert incidents() == [] and owed() == [("open", "cancelled")]


def test_trouble_that_cannot_pass_is_told_although_it_was_mended_at_once() -> None:
    fail(begin(MOVES, MAY), failed("gate.rejected"), "gate")
    publish(begin(MOVES, MAY), MAY)
    assert owed() == [("open", "waiting"), ("resolve", "waiting")]


def test_only_a_good_load_of_the_same_period_ends_a_rejection() -> None:
    rejected = begin(MOVES, MAY)
    page(rejected, "a")
    fail(rejected, GateRejected("", "gate.rejected"), "gate")
    publish(begin(MOVES, JUNE), JUNE)
    state(begin(MOVES, MAY), "fetched")
    fail(begin(MOVES, MAY), failed("estat.timeout"))
    state(begin(MOVES, MAY), "unchanged")
    assert ("gate_rejected", MOVES, 1) in open_ones()
    corrected = begin(MOVES, MAY)
    page(corrected, "b")
    publish(corrected, MAY)
    assert open_ones() == []


def test_a_definition_that_is_as_before_again_ends_its_drift_without_a_new_page() -> None:
    fail(begin(MOVES, MAY), failed("estat.definition"))
    state(begin(MOVES, JUNE), "unchanged")
    assert open_ones() == [("schema_drift", MOVES, 1)]
    state(begin(MOVES, MAY), "unchanged")
    assert open_ones() == []


def test_looking_into_an_empty_inbox_ends_no_rejection() -> None:
    rejected = begin(EXPO)
    page(rejected, "a")
    fail(rejected, GateRejected("", "file.cells"), "stage")
    state(begin(EXPO), "unchanged")
    assert open_ones() == [("gate_rejected", EXPO, 1)]


def test_a_file_that_is_still_wrong_is_told_again_and_the_same_bytes_are_not() -> None:
    for content in ("a", "a", "b", "b"):
        load_id = begin(EXPO)
        page(load_id, content)
        fail(load_id, GateRejected("", "file.cells"), "stage")
    assert open_ones() == [("gate_rejected", EXPO, 4)]
    assert owed() == [("open", "waiting"), ("update", "waiting")]


def test_held_rows_end_when_the_last_is_decided() -> None:
    load_id = begin(EXPO)
    with connect() as connection:
        for _ in range(2):
            connection.execute(
                "insert into ops.held_row (load_id, feed, period, period_end, row, expectation, reason_ja, source_ref)"
                " values (%s, %s, %s, %s, '{}', 'x', 'x', 'x')",
                [load_id, EXPO, MAY, date(2024, 5, 31)],
            )
    publish(load_id, MAY, held=2)
    assert open_ones() == [("rows_held", EXPO, 1)]
    for expected in ([("rows_held", EXPO, 1)], []):
        with connect() as connection:
            connection.execute(
                "update ops.held_row set state = 'released' where held_id = (select min(held_id) from ops.held_row where state = 'held')"
            )
        assert open_ones() == expected


def test_a_delivery_that_brings_only_a_question_is_told() -> None:
    load_id = begin(EXPO)
    page(load_id, "a")
    with connect() as connection:
        connection.execute(
            "insert into ops.held_row (load_id, feed, period, period_end, row, expectation, reason_ja, source_ref)"
            " values (%s, %s, %s, %s, '{}', 'x', 'x', 'x')",
            [load_id, EXPO, MAY, date(2024, 5, 31)],
        )
    with step(load_id, "publish") as current:
        current.update(state="unchanged", held_rows=1)
    assert open_ones() == [("rows_held", EXPO, 1)]
    again = begin(EXPO)  # nothing new: the question is not asked again
    page(again, "b")
    with step(again, "publish") as current:
        current.update(state="unchanged", held_rows=1)
    assert open_ones() == [("rows_held", EXPO, 1)]


def test_a_failed_build_is_one_incident_until_the_next_good_one() -> None:
    build("failed", "not_null が不合格")
    build("failed", "not_null が不合格")
    assert [cause for cause, *_ in open_ones()] == ["marts_failed"]
    build("published")
    assert open_ones() == [] and owed() == [("open", "waiting"), ("resolve", "waiting")]


def test_a_refused_file_is_told_and_ends_with_the_next_that_is_taken() -> None:
    with connect() as connection:
        connection.execute(
            "insert into ops.delivery (file_name, location, bytes, state, message_ja)"
            " values ('何か.xlsx', 'in/何か.xlsx', 1, 'unmatched', 'どの契約にも合いません')"
        )
    (incident,) = incidents()
    assert (incident.cause, incident.summary_ja) == ("file_refused", "「何か.xlsx」：どの契約にも合いません")
    assert headline(incident) == "「何か.xlsx」：受け取れないファイル"
    with connect() as connection:
        connection.execute(
            "insert into ops.delivery (file_name, location, bytes, state, feed, sha256)"
            " values ('何か.xlsx', 'in/何か.xlsx', 2, 'received', 'expo', 'x')"
        )
    assert incidents() == []


def test_a_defect_of_the_program_is_trouble_of_its_task() -> None:
    fail(begin(EXPO), ZeroDivisionError("x"), "gate")
    assert open_ones() == [("task_failed", EXPO, 1)]


@pytest.mark.parametrize("code", ["load.busy", "load.before_first", "load.not_gated"])
def test_an_answer_to_who_asked_is_no_incident(code: str) -> None:
    fail(begin(MOVES, MAY), failed(code))
    assert incidents() == []


def test_every_code_of_the_program_has_a_cause_of_its_own_or_is_named_as_none() -> None:
    """A code that falls through to the last line of `ops.cause_code` was forgotten."""
    text = "\n".join(path.read_text("utf-8") for path in (PROJECT / "plugins/kpi_warehouse").rglob("*.py"))
    raised = set(
        re.findall(r'"((?:estat|gate|file|reader|layout|landing|database|inbox|http|marts)\.[a-z_]+)"', text)
    )
    raised -= {"marts.not_built", "marts.as_of_in_future"}  # of reading, not of loading or building
    assert len(raised) > 40
    query = "select cause from ops.cause_code where %s like code_pattern order by length(code_pattern) desc limit 1"
    assert [code for code in sorted(raised) if rows(query, code) == [("task_failed",)]] == []


def test_every_cause_has_a_section_of_the_runbooks_and_no_section_is_left_over() -> None:
    sections = re.findall(
        r"^## (\w+)$", (PROJECT / "docs/runbooks/README.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(sections) == [cause for (cause,) in rows("select cause from ops.cause order by 1")]


def test_acknowledged_by_a_desk_once() -> None:
    fail(begin(MOVES, MAY), failed("gate.rejected"), "gate")
    (incident,) = incidents()
    assert acknowledge(incident.incident_id, " 地域振興課 ").acknowledged_by == "地域振興課"
    assert acknowledge(incident.incident_id, "別の課").acknowledged_by == "地域振興課"
    close(incident.incident_id, "対象外の月のため")
    with pytest.raises(KpiError, match="復旧済み"):
        acknowledge(incident.incident_id, "地域振興課")
    with pytest.raises(KpiError, match="INC-99 はありません"), connect() as connection:
        find(connection, 99)


def test_muting_needs_a_reason_an_end_and_something_known() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    for wrong in (
        (None, None, soon, "理由"),
        ("expo", None, soon, " "),
        (None, "nonsense", soon, "理由"),
        ("expo", None, soon - timedelta(hours=2), "理由"),
    ):
        with pytest.raises(KpiError):
            mute(*wrong)


def test_two_failures_at_once_are_one_incident() -> None:
    loads = [begin(MOVES, MAY) for _ in range(2)]
    update = "update ops.load set state = 'failed', error_code = 'gate.rejected', error_ja = 'x' where load_id = %s"
    meanwhile(lambda connection, load_id: connection.execute(update, [load_id]), *loads)
    assert open_ones() == [("gate_rejected", MOVES, 2)] and owed() == [("open", "waiting")]


def test_feeds_that_recover_at_once_leave_nothing_open() -> None:
    """Neither sees yet that the other has: without a lock each would leave the end to the other."""
    for feed in (MOVES, FLOWS):
        fail(begin(feed, MAY), failed("estat.auth"))
    loads = [begin(feed, MAY) for feed in (MOVES, FLOWS)]
    update = "update ops.load set state = 'fetched' where load_id = %s"
    meanwhile(lambda connection, load_id: connection.execute(update, [load_id]), *loads)
    assert open_ones() == []


def test_a_feed_that_fails_while_another_recovers_keeps_their_incident_open() -> None:
    fail(begin(MOVES, MAY), failed("estat.auth"))
    loads = [begin(FLOWS, MAY), begin(MOVES, MAY)]
    updates = iter(
        [
            "update ops.load set state = 'failed', error_code = 'estat.auth', error_ja = 'x' where load_id = %s",
            "update ops.load set state = 'fetched' where load_id = %s",
        ]
    )
    meanwhile(lambda connection, load_id: connection.execute(next(updates), [load_id]), *loads)
    assert open_ones() == [("wrong_key", None, 2)]


def test_the_last_two_held_rows_decided_at_once_end_it() -> None:
    load_id = begin(EXPO)
    with connect() as connection:
        held = [
            connection.execute(
                "insert into ops.held_row (load_id, feed, period, period_end, row, expectation, reason_ja, source_ref)"
                " values (%s, %s, %s, %s, '{}', 'x', 'x', 'x') returning held_id",
                [load_id, EXPO, MAY, date(2024, 5, 31)],
            ).fetchone()[0]  # type: ignore[index]
            for _ in range(2)
        ]
    publish(load_id, MAY, held=2)
    update = "update ops.held_row set state = 'released' where held_id = %s"
    meanwhile(lambda connection, held_id: connection.execute(update, [held_id]), *held)
    assert open_ones() == []


def meanwhile(act: Callable[[psycopg.Connection, int], object], first: int, second: int) -> None:
    """`act` on both in two transactions, of which the second begins before the first has ended."""
    with connect() as one, connect() as other, ThreadPoolExecutor(1) as pool:
        act(one, first)
        waiting = pool.submit(act, other, second)
        with connect() as looking:
            until = time.monotonic() + 5
            blocked = "select exists (select from pg_locks where not granted and pid = %s)"
            while not waiting.done() and time.monotonic() < until:
                if looking.execute(blocked, [other.info.backend_pid]).fetchone() == (True,):
                    break
        one.commit()
        waiting.result(timeout=10)


def test_what_broke_on_one_file_is_not_over_because_another_went_through() -> None:
    broken = begin(EXPO)
    page(broken, "a")
    fail(broken, ZeroDivisionError("x"), "gate")
    state(begin(EXPO), "unchanged")
    other = begin(EXPO)
    page(other, "b")
    publish(other, JUNE)
    assert open_ones() == [("task_failed", EXPO, 1)], "nothing new came, and then another file"
    again = begin(EXPO)
    page(again, "a")
    publish(again, MAY)
    assert open_ones() == []


def test_a_kpi_that_joins_a_shared_incident_later_is_not_shown_as_new() -> None:
    with connect("kpi_transformer") as connection:
        for kpi in ("K12", "D08"):
            connection.execute(
                "insert into ops.published_row (relation, row_key, published_from, build_id, row) values ('mart_kpi_history', %s,"
                " now(), %s, %s)",
                [
                    kpi,
                    build("published"),
                    Jsonb({"kpi_id": kpi, "kpi_name": "x", "value": "1", "unit": "件"}),
                ],
            )
    load_ids = [begin(feed, MAY) for feed in (MOVES, EXPO)]
    with connect() as connection:
        connection.execute("update ops.feed set kpis = '{D08}', source = 'e-Stat' where feed = %s", [EXPO])
    for load_id in load_ids:
        fail(load_id, failed("estat.auth"))
    (incident,) = incidents()
    assert incident.kpis == ["D08", "K12"]
    assert incident.values_before == {"D08 x": "1件", "K12 x": "1件"}


def test_a_build_that_was_killed_and_made_good_by_its_second_try_is_nobodys_trouble() -> None:
    build("failed", KILLED_BUILD_JA)
    assert incidents() == []


def test_a_defect_of_the_alerts_costs_no_publication_and_the_failure_is_told_later() -> None:
    """`ops.settle_trouble` and `ops.report_trouble` break; the load is recorded all the same."""
    load_id = begin(MOVES, MAY)
    with connect(None) as owner:
        owner.execute("alter table ops.incident rename to incident_away")
    publish(begin(MOVES, JUNE), JUNE)
    fail(load_id, failed("reader.unknown_code"))
    with connect(None) as owner:
        owner.execute("alter table ops.incident_away rename to incident")
    assert rows("select state from ops.load order by load_id") == [("failed",), ("published",)]
    assert incidents() == []
    assert rows("select detail ->> 'error' from ops.watch where name = 'untold'")
    reconcile()
    reconcile()
    assert ("schema_drift", MOVES, 1) in open_ones()
    assert sum(cause == "schema_drift" for cause, *_ in open_ones()) == 1


def test_the_reader_of_the_marts_sees_nothing_of_it(warehouse: str) -> None:
    with connect(None) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("set role kpi_reader")
        connection.execute("select * from ops.incident")


def test_a_step_that_ends_well_says_nothing() -> None:
    with step(begin(EXPO), "fetch"):
        pass
    assert incidents() == []
