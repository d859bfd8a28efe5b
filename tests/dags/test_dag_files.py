"""The DAG folder: exactly these DAGs, wired alike, on time, retried only where that helps, documented, cheap to parse."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
import pytest

from kpi_warehouse import errors
from kpi_warehouse.contract import Contract, contracts
from kpi_warehouse.settings import settings

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
FEEDS = [FLOWS, MOVES]
FILES = [
    "company_contacts",
    "company_support",
    "expo",
    "internship_rate",
    "kpi_progress",
    "line_subscribers",
    "migration_briefing",
    "private_school_subsidy",
    "professional_matching",
    "relocation_events",
    "semiconductor_training",
    "uij_turn",
    "vacant_house_support",
]
DAGS = sorted([*FEEDS, *FILES, "drill", "embargo", "maintenance", "marts", "publication", "reread"])
KNOWN: dict[str, Contract] = {contract.feed: contract for contract in contracts(settings().contracts)}
TOKYO = "Asia/Tokyo"


def test_the_dags_are_exactly_these(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert sorted(dagbag.dags) == DAGS


@pytest.mark.parametrize("feed", [*FEEDS, *FILES])
def test_a_feed_is_four_tasks_in_a_row(dagbag: DagBag, feed: str) -> None:
    tasks = dagbag.dags[feed].task_dict
    assert {name: sorted(task.downstream_task_ids) for name, task in tasks.items()} == {
        "fetch": ["stage"],
        "stage": ["gate"],
        "gate": ["publish"],
        "publish": [],
    }


@pytest.mark.parametrize("feed", FILES)
def test_a_division_s_feed_begins_with_an_arrival_and_is_swept_each_hour(dagbag: DagBag, feed: str) -> None:
    from airflow.sdk import AssetOrTimeSchedule

    dag = dagbag.dags[feed]
    assert isinstance(dag.timetable, AssetOrTimeSchedule)
    (asset,) = dag.timetable.asset_condition.objects
    (watcher,) = asset.watchers
    assert asset.name == f"inbox/{feed}"
    assert watcher.trigger.serialize()[1] == {"feed": feed}
    assert dag.max_active_runs == 1


@pytest.mark.parametrize(
    ("dag_id", "task_id"),
    [
        ("marts", "build"),
        ("embargo", "build"),
        ("maintenance", "sweep"),
        ("drill", "drill"),
        ("publication", "publish"),
    ],
)
def test_what_serves_all_feeds_is_one_task_each(dagbag: DagBag, dag_id: str, task_id: str) -> None:
    assert list(dagbag.dags[dag_id].task_dict) == [task_id]


@pytest.mark.parametrize("dag_id", DAGS)
def test_a_task_that_failed_for_good_is_told_without_further_waiting(dagbag: DagBag, dag_id: str) -> None:
    for task in dagbag.dags[dag_id].tasks:
        assert [callback.__name__ for callback in task.on_failure_callback] == ["given_up"]


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(
    ("after", "runs_at", "month"),
    [
        ((2024, 10, 1), (2024, 10, 25, 9), "2024-09"),
        ((2024, 10, 26), (2024, 11, 25, 9), "2024-10"),
        ((2025, 1, 1), (2025, 1, 25, 9), "2024-12"),
        ((2024, 3, 25), (2024, 3, 25, 9), "2024-02"),
    ],
)
def test_the_run_of_the_25th_expects_the_month_before(
    scheduled: dict[str, Any], feed: str, after: tuple[int, ...], runs_at: tuple[int, ...], month: str
) -> None:
    from airflow.timetables.base import TimeRestriction

    coming = scheduled[feed].timetable.next_dagrun_info_v2(
        last_dagrun_info=None,
        restriction=TimeRestriction(pendulum.datetime(*after, tz=TOKYO), None, catchup=True),
    )
    assert coming.run_after == pendulum.datetime(*runs_at, tz=TOKYO)
    assert coming.partition_key == month


@pytest.mark.parametrize("feed", FEEDS)
def test_a_backfill_by_dates_gives_the_months_of_those_dates(scheduled: dict[str, Any], feed: str) -> None:
    def months(first: str, last: str) -> list[str]:
        found = scheduled[feed].timetable.iter_partition_dagrun_infos(
            earliest=pendulum.parse(first), latest=pendulum.parse(last)
        )
        return [run.partition_key for run in found]

    assert months("2024-01-01", "2024-03-31") == ["2024-01", "2024-02", "2024-03"]
    assert months("2023-12-01", "2024-01-31") == ["2023-12", "2024-01"]
    assert months("2024-02-26", "2024-03-24") == []


def test_nothing_is_caught_up_by_itself(dagbag: DagBag) -> None:
    assert {dag_id for dag_id, dag in dagbag.dags.items() if dag.catchup} == set()


@pytest.mark.parametrize("dag_id", DAGS)
@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.SourceUnavailable("停止中", "estat.server"), "retry"),
        (errors.StorageFailed("空きなし", "database.disk_full"), "retry"),
        (errors.LoadConflict("処理中", "load.busy"), "retry"),
        (errors.SourceRefused("認証", "estat.auth"), "fail"),
        (errors.SourceChanged("定義", "estat.definition"), "fail"),
        (errors.GateRejected("不合格", "gate.rejected"), "fail"),
        (errors.UnreadableValue("読めない値", "stage.value"), "fail"),
        (errors.ContractError("契約", "contract.invalid"), "fail"),
        (errors.BuildFailed("検査", "marts.test"), "fail"),
        (KeyError("a defect"), "fail"),
        (TypeError("a defect"), "fail"),
        (ConnectionResetError("a socket"), "default"),
        (MemoryError(), "default"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_only_what_can_pass_is_tried_again(
    dagbag: DagBag, dag_id: str, error: Exception, action: str
) -> None:
    for task in dagbag.dags[dag_id].tasks:
        assert task.retries == settings().task_retries > 0
        assert task.retry_policy.evaluate(error, try_number=1, max_tries=task.retries).action.value == action


def test_every_retryable_error_of_the_library_is_retried_and_no_other(dagbag: DagBag) -> None:
    policy = dagbag.dags[MOVES].task_dict["fetch"].retry_policy
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KpiError)
    ]
    assert len(kinds) >= 9
    tried = {kind for kind in kinds if policy.evaluate(kind("理由", "code"), 1, 3).action.value == "retry"}
    assert tried == {kind for kind in kinds if kind.retryable}


@pytest.mark.parametrize("feed", FEEDS)
def test_the_deadline_is_the_contracts(dagbag: DagBag, feed: str) -> None:
    from airflow.sdk import DeadlineReference

    (alert,) = dagbag.dags[feed].deadline
    days = KNOWN[feed].sla.wait_days
    assert days == 75
    assert alert.interval == timedelta(days=days)
    assert alert.reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert alert.callback.path == "kpi_warehouse.airflow.tasks.note_missed_deadline"
    assert alert.callback.kwargs == {"feed": feed}


@pytest.mark.parametrize("feed", FEEDS)
def test_a_month_is_waited_for_without_a_slot_and_no_longer_than_the_deadline(
    dagbag: DagBag, feed: str
) -> None:
    dag = dagbag.dags[feed]
    fetch = dag.task_dict["fetch"]
    assert fetch.mode == "reschedule"
    assert timedelta(seconds=fetch.timeout) == timedelta(days=75) < dag.dagrun_timeout
    assert timedelta(hours=1) <= timedelta(seconds=fetch.poke_interval) <= timedelta(days=1)
    # Runs that wait must leave room for the next month's: as many as fall into the wait, and one.
    assert dag.max_active_runs > 75 / 28 + 1


@pytest.mark.parametrize("feed", FEEDS)
def test_a_feed_is_owned_by_its_division_and_tagged(dagbag: DagBag, feed: str) -> None:
    owner = KNOWN[feed].owner
    assert owner == "企画振興部 地域振興課"
    assert {task.owner for task in dagbag.dags[feed].tasks} == {owner}
    assert dagbag.dags[feed].tags == {"feed", "e-Stat", owner}


@pytest.mark.parametrize("dag_id", DAGS)
def test_a_dag_is_documented_by_its_file(dagbag: DagBag, dag_id: str) -> None:
    dag = dagbag.dags[dag_id]
    docstring = ast.get_docstring(ast.parse(Path(dag.fileloc).read_text(encoding="utf-8")), clean=False)
    assert docstring and dag.doc_md and dag.doc_md.strip().startswith(docstring.strip())
    assert dag.doc_md.strip().startswith("# ")
    assert len(dag.doc_md) > 150
    assert dag.dag_display_name != dag_id
    assert all(task.doc_md for task in dag.tasks)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_feeds_page_ends_with_what_it_is_and_whose(dagbag: DagBag, feed: str) -> None:
    text = str(dagbag.dags[feed].doc_md)
    assert "## What to do" in text
    assert text.index(KNOWN[feed].title_ja) < text.index("所管：") < text.index(KNOWN[feed].credit)


def test_marts_listens_to_what_the_feeds_publish_and_nothing_else(dagbag: DagBag) -> None:
    from airflow.sdk import AssetAny, IdentityMapper, PartitionedAssetTimetable

    published = {
        asset.uri for feed in [*FEEDS, *FILES] for asset in dagbag.dags[feed].task_dict["publish"].outlets
    }
    elsewhere = [
        task.outlets
        for feed in [*FEEDS, *FILES]
        for name, task in dagbag.dags[feed].task_dict.items()
        if name != "publish"
    ]
    timetable = dagbag.dags["marts"].timetable
    assert isinstance(timetable, PartitionedAssetTimetable)
    assert isinstance(timetable.asset_condition, AssetAny)
    assert isinstance(timetable.default_partition_mapper, IdentityMapper)
    assert {asset.uri for asset in timetable.asset_condition.objects} == published
    assert published == {f"postgres://warehouse/kpi/raw/{feed}" for feed in [*FEEDS, *FILES]}
    assert not any(elsewhere)


def test_marts_are_built_at_every_time_of_day_that_lets_figures_out(
    dagbag: DagBag, scheduled: dict[str, Any], read_dags: Any, tmp_path: Path
) -> None:
    from airflow.timetables.base import TimeRestriction

    coming = scheduled["embargo"].timetable.next_dagrun_info_v2(
        last_dagrun_info=None,
        restriction=TimeRestriction(pendulum.datetime(2024, 11, 27, 8, 0, tz=TOKYO), None, catchup=True),
    )
    assert {feed.embargo.time for feed in KNOWN.values() if feed.embargo} == {"08:30"}
    assert coming.run_after == pendulum.datetime(2024, 11, 27, 8, 30, tz=TOKYO)
    assert (
        dagbag.dags["embargo"].task_dict["build"].outlets == dagbag.dags["marts"].task_dict["build"].outlets
    )
    assert read_dags(contracts_in(tmp_path)).dags["embargo"].schedule is None


def test_open_data_follows_the_marts_partition_by_partition(dagbag: DagBag) -> None:
    from airflow.sdk import IdentityMapper, PartitionedAssetTimetable

    (built,) = dagbag.dags["marts"].task_dict["build"].outlets
    timetable = dagbag.dags["publication"].timetable
    # Airflow does not tell a DAG without partitions what a run with one has made.
    assert isinstance(timetable, PartitionedAssetTimetable)
    assert isinstance(timetable.default_partition_mapper, IdentityMapper)
    assert timetable.asset_condition.uri == built.uri


def contracts_in(folder: Path, **changed: tuple[str, str]) -> Path:
    """A copy of the contracts of the e-Stat feeds in which one text each is replaced."""
    for contract in (KNOWN[feed] for feed in FEEDS):
        text = contract.path.read_text(encoding="utf-8")
        old, new = changed.get(contract.feed, ("", ""))
        assert old in text
        (folder / contract.path.name).write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
    return folder


def test_a_draft_has_no_dag_and_marts_does_not_listen_to_it(read_dags: Any, tmp_path: Path) -> None:
    bag = read_dags(contracts_in(tmp_path, **{FLOWS: ("status: active", "status: draft")}))
    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["drill", "embargo", MOVES, "maintenance", "marts", "publication", "reread"]
    assert [asset.name for asset in bag.dags["marts"].timetable.asset_condition.objects] == [MOVES]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("primaryKey: true", "primaryKey: yes please", ":{line}: schema[0].properties[0].primaryKey: "),
        ("schedule: 0 9 25 * *", "schedule: monthly", "slaProperties: "),
        ("status: active", "statsu: active", "statsu"),
        ("kind: DataContract", "kind: [DataContract", "YAML として読めません"),
    ],
)
def test_a_typo_in_a_contract_is_an_import_error_with_file_and_line_and_stops_that_feed_alone(
    read_dags: Any, tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = contracts_in(tmp_path, **{FLOWS: (old, new)})
    wrong = folder / f"{FLOWS}.odcs.yaml"
    line = next(number for number, text in enumerate(wrong.read_text("utf-8").splitlines(), 1) if new in text)

    bag = read_dags(folder)
    assert sorted(bag.dags) == ["drill", "embargo", MOVES, "maintenance", "marts", "publication", "reread"]
    assert list(bag.import_errors) == ["contracts.py"]
    shown = bag.import_errors["contracts.py"]
    assert f"{wrong}:" in shown
    assert said.format(line=line) in shown
    assert f"{MOVES}.odcs.yaml" not in shown


def test_every_wrong_contract_is_named_at_once(read_dags: Any, tmp_path: Path) -> None:
    wrong = ("status: active", "statsu: active")
    bag = read_dags(contracts_in(tmp_path, **{MOVES: wrong, FLOWS: wrong}))
    assert all(f"{feed}.odcs.yaml:" in bag.import_errors["contracts.py"] for feed in FEEDS)
    assert "maintenance" in bag.dags


def test_a_folder_without_contracts_is_an_error_and_no_empty_success(read_dags: Any, tmp_path: Path) -> None:
    bag = read_dags(tmp_path)
    assert "ひとつもありません" in bag.import_errors["contracts.py"]


def test_inside_a_task_only_its_own_contract_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from kpi_warehouse.airflow.in_force import feeds_in_force

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", MOVES)
    assert [contract.feed for contract in feeds_in_force(contracts_in(tmp_path))] == [MOVES]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "marts")
    assert [contract.feed for contract in feeds_in_force(tmp_path)] == FEEDS


PARSE = """
import sys, time
import airflow.dag_processing.processor
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
began = time.perf_counter()
bag = DagBag(sys.argv[1])
took = time.perf_counter() - began
found = {module.partition(".")[0] for module in set(sys.modules) - before}
print("\\n" + " ".join([f"{took:.2f}", str(len(bag.dags)), *sorted(found)]))
"""
HEAVY = {
    "great_expectations",
    "dbt",
    "pandas",
    "requests",
    "psycopg",
    "numpy",
    "msgspec",
    "fsspec",
    "boto3",
    "alembic",
}


def test_parsing_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PARSE, str(settings().project / "dags")],
        env={
            "PATH": "",
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    seconds, count, *found = done.stdout.splitlines()[-1].split()
    print(f"parsing {count} DAGs took {seconds} s")
    assert int(count) == len(DAGS)
    assert "kpi_warehouse" in found
    assert HEAVY & set(found) == set()


def test_once_a_quarter_every_e_stat_feed_is_read_again_from_its_first_period(dagbag: DagBag) -> None:
    dag = dagbag.dags["reread"]
    assert sorted(dag.task_dict) == sorted(FEEDS)
    for feed in FEEDS:
        task = dag.get_task(feed)
        first = KNOWN[feed].source.first_period
        assert (task.trigger_dag_id, task.conf) == (feed, {"since": f"{first:%Y-%m}"})
        assert set(task.conf) <= set(dagbag.dags[feed].params)
