"""What every DAG shares: the tasks that call the five verbs, when they are tried again, and what a missed deadline does.

The library is imported inside the tasks: parsing a DAG file must not pay for Great Expectations, dbt or pandas.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    ExceptionRetryPolicy,
    PokeReturnValue,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import DownstreamTasksSkipped

from kpi_warehouse.settings import settings

if TYPE_CHECKING:
    from kpi_warehouse.contract import Contract

log = logging.getLogger(__name__)

# Doing the same again helps against a source that is down or a server that restarts; never against a wrong value.
CAN_PASS = [
    "kpi_warehouse.errors.SourceUnavailable",
    "kpi_warehouse.errors.StorageFailed",
    "kpi_warehouse.errors.LoadConflict",
]
CANNOT_PASS = ["kpi_warehouse.errors.KpiError"]
# A defect of the code is the same next time. What is neither (a socket, memory, Airflow's own API) has the usual retries.
DEFECTS = [
    "builtins.AssertionError",
    "builtins.AttributeError",
    "builtins.LookupError",
    "builtins.NameError",
    "builtins.TypeError",
    "builtins.ValueError",
]
RETRY_WHAT_CAN_PASS = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=[*CAN_PASS], action=RetryAction.RETRY, reason="一時的な障害のためやり直す"),
        RetryRule(
            exception=[*CANNOT_PASS], action=RetryAction.FAIL, reason="やり直しても変わらないため中止する"
        ),
        RetryRule(exception=[*DEFECTS], action=RetryAction.FAIL, reason="プログラムの不具合のため中止する"),
    ]
)


def given_up(context: dict[str, Any]) -> None:
    """Airflow calls this when a task failed for good: nobody waits any longer whether the trouble passes by itself."""
    from kpi_warehouse.alerts.incidents import tell_now

    run = context["dag_run"]
    log.info("notifications due now: %s", tell_now(f"{run.dag_id}/{run.run_id}"))


DEFAULTS: dict[str, Any] = {
    "on_failure_callback": given_up,
    "retries": settings().task_retries,
    "retry_delay": timedelta(seconds=settings().task_retry_seconds),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(hours=1),
    "retry_policy": RETRY_WHAT_CAN_PASS,
}


# The tables that BI reads; publication listens to it.
MARTS_ASSET = Asset(name="marts", uri="postgres://warehouse/kpi/marts", group="marts")


def feed_asset(feed: str) -> Asset:
    """The accepted history of a feed, as an asset that marts listens to."""
    return Asset(name=feed, uri=f"postgres://warehouse/kpi/raw/{feed}", group="raw")


def deadline(contract: Contract) -> DeadlineAlert:
    """A run that is still open when its month must be here at the latest is noted, once, in `ops.step`'s company: the log
    and the load's row."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(days=contract.sla.wait_days),
        callback=AsyncCallback(note_missed_deadline, kwargs={"feed": contract.feed}),
    )


async def note_missed_deadline(feed: str, **_: Any) -> None:
    """Runs in the triggerer when a feed's deadline passed: the feed's waiting loads say so."""
    import asyncio

    from kpi_warehouse.warehouse.ledger import note_overdue

    noted = await asyncio.to_thread(note_overdue, feed)
    log.error("deadline passed: feed=%s loads=%s", feed, noted)


def wire(contract: Contract) -> None:
    """fetch → stage → gate → publish of one feed, inside the current DAG."""
    feed = contract.feed
    asset = feed_asset(feed)

    @task.sensor(
        mode="reschedule",
        poke_interval=timedelta(minutes=contract.sla.poke_minutes).total_seconds(),
        timeout=timedelta(days=contract.sla.wait_days).total_seconds(),
        task_id="fetch",
        doc_md="提供元から受け取り、バイト列のまま保存する。未公表の月は公表を待つ。",
    )
    def fetch() -> PokeReturnValue:
        from kpi_warehouse import load

        context = get_current_context()
        run = context["dag_run"]
        fetched = load.fetch(
            feed,
            run.partition_key,
            since=context["params"].get("since") or None,
            force=bool(context["params"].get("force")),
            trigger="airflow",
            run_ref=f"{run.dag_id}/{run.run_id}",
        )
        log.info("%s", fetched.message_ja)
        if fetched.state == "unchanged":
            # Marked by Airflow itself, without a process for each that would only say so.
            raise DownstreamTasksSkipped(tasks=["stage", "gate", "publish"])  # type: ignore[no-untyped-call]
        return PokeReturnValue(fetched.state != "waiting", fetched.load_id)

    @task(task_id="stage", doc_md="保存したバイト列を、型と出所のついた行に読み取る。")
    def stage(load_id: int) -> int:
        from kpi_warehouse import load

        load.stage(load_id)
        return load_id

    @task(task_id="gate", doc_md="契約の検査（Great Expectations）にかける。不合格なら何も公表しない。")
    def gate(load_id: int) -> int:
        from kpi_warehouse import load

        verdict = load.gate(load_id)
        log.info("verdict=%s held_rows=%s", verdict.outcome, verdict.held_rows)
        return load_id

    @task(task_id="publish", outlets=[asset], doc_md="合格した行を履歴に反映する（1つのトランザクション）。")
    def publish(load_id: int) -> str:
        from kpi_warehouse import load
        from kpi_warehouse.warehouse.ledger import read_load

        published = load.publish(load_id)
        context = get_current_context()
        if context["dag_run"].partition_key is None:
            # A run started by hand loaded the newest month, a file its own: marts listens for months.
            loaded = read_load(load_id)
            month = loaded["requested_period"] or loaded["period_to"]
            context["outlet_events"][asset].add_partitions(f"{month:%Y-%m}")
        log.info("%s opened=%s closed=%s", published.state, published.opened_rows, published.closed_rows)
        return published.state

    # TaskFlow hands over references to results, which these types do not say.
    publish(gate(stage(fetch())))  # type: ignore[arg-type]
