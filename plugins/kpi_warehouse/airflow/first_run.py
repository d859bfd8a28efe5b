"""Every feed's DAG and the marts DAG once, watched: what `make run` does between starting and stopping the stack."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from kpi_warehouse.airflow.demo_inbox import drop_corrected
from kpi_warehouse.airflow.rest import FINISHED, AirflowApi, Run
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

if TYPE_CHECKING:
    from kpi_warehouse.airflow.stack import Stack

MARTS = "marts"
LONGEST_SECONDS = 900
LOG_TAIL = 2


@dataclass(frozen=True)
class Failure:
    """A failed task, for the person who ran it: where, why, and where to read more."""

    dag_id: str
    task_id: str
    state: str
    reason: str
    log: Path | str


def nothing_published() -> bool:
    """A first run gates every feed and builds, so what that needs is imported once for all; a warm one rarely does either."""
    with connect() as connection:
        row = connection.execute(
            "select exists (select 1 from ops.load where state = 'published')"
        ).fetchone()
    return not (row and row[0])


def run_everything(stack: Stack, supervisor: subprocess.Popen[bytes], out: Console) -> list[Failure]:
    """Unpause and run every DAG once, then print the board; returns what failed.

    Raises:
        KpiError: Airflow did not come up, or the source could not be asked for its newest month.
    """
    from kpi_warehouse.load import feeds
    from kpi_warehouse.sources.inbox_receive import receive_all

    began = datetime.now(UTC)
    names = {contract.feed: contract.title_ja for contract in feeds()}
    receive_all(wait=True)  # while Airflow starts
    stack.wait_until_ready(supervisor, {*names, MARTS})
    api = stack.api
    api.log_in()
    for dag_id in names:
        api.unpause(dag_id)
    # Once for all feeds, instead of after each: what they publish meanwhile is built by the run below.
    api.pause(MARTS)
    runs = [api.trigger(dag_id, _newest(dag_id)) for dag_id in names]
    with _progress(out) as progress:
        finished = _watch(api, runs, names, progress, lambda run: _corrected(api, run, out))
        if all(run.state == "success" for run in finished):
            api.unpause(MARTS)
            built = api.trigger(MARTS, max(_published_months(finished), default=None))
            finished += _watch(api, [built], {MARTS: "マートの構築"}, progress)
    failures = [failure for run in finished if run.state != "success" for failure in _failures(api, run)]
    if not failures:
        _show(stack, out)
    _tell(began, out)
    return failures


def _tell(began: datetime, out: Console) -> None:
    """Send what is owed (no watcher runs beside a single run) and show what this run sent."""
    from kpi_warehouse.alerts.sender import deliver

    deliver()
    with connect() as connection:
        sent = connection.execute(
            "select subject_ja, channel, incident_id from ops.notification where sent_at >= %s order by sent_at",
            [began],
        ).fetchall()
    if not sent:
        return
    mailbox = settings().home / "mailbox/new"
    where = f"（{mailbox}）" if mailbox.exists() else ""
    out.print(
        f"送った知らせ {len(sent)} 通{where}　本文は `.venv/bin/kpi incident show 番号`", highlight=False
    )
    for subject, channel, incident in sent:
        out.print(f"  ✉ {subject}　INC-{incident}　{channel}", highlight=False, markup=False)


def _corrected(api: AirflowApi, run: Run, out: Console) -> Run | None:
    """A demo file that was sent back is handed in again corrected, as its division would do; the run that loads it counts."""
    from kpi_warehouse.alerts.sender import deliver
    from kpi_warehouse.contract import FileSource
    from kpi_warehouse.load import contract_of

    source = contract_of(run.dag_id).source
    if run.state != "failed" or not isinstance(source, FileSource) or (reason := _rejection(run)) is None:
        return None
    corrected = drop_corrected(source.file_names)
    if corrected is None:
        return None
    # Before its correction: a division hears of a file that was sent back, however soon it is mended.
    deliver()
    out.print(f"[yellow]差し戻し[/yellow] {reason}", highlight=False)
    out.print(f"訂正版「{corrected}」が届いたとして、取り込み直します。", highlight=False)
    return api.trigger(run.dag_id, None)


def _rejection(run: Run) -> str | None:
    with connect() as connection:
        row = connection.execute(
            "select error_ja from ops.load where run_ref = %s and state = 'rejected'",
            [f"{run.dag_id}/{run.run_id}"],
        ).fetchone()
    return str(row[0]) if row else None


def _newest(feed: str) -> str | None:
    """The newest month at e-Stat; None for files, and when it cannot be asked: then the run itself shall fail and say why."""
    from kpi_warehouse.contract import EstatSource
    from kpi_warehouse.load import contract_of
    from kpi_warehouse.sources.estat import EstatClient
    from kpi_warehouse.sources.estat_plan import make_plan

    contract = contract_of(feed)
    if not isinstance(contract.source, EstatSource):
        return None
    try:
        table = EstatClient.from_settings(settings()).describe(contract.source.table_id)
        plan = make_plan(contract, table, None, set())
    except KpiError:
        return None
    return None if plan.waiting else f"{plan.period:%Y-%m}"


def _progress(out: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=out,
        disable=not out.is_terminal,
    )


def _watch(
    api: AirflowApi,
    runs: list[Run],
    names: dict[str, str],
    progress: Progress,
    again: Callable[[Run], Run | None] = lambda _: None,
) -> list[Run]:
    """Wait for runs to end, showing the step each is at. Where `again` answers an ended run with another, that one counts."""
    bars = {run.run_id: progress.add_task(names[run.dag_id], total=1) for run in runs}
    open_runs = {run.run_id: run for run in runs}
    finished: list[Run] = []
    until = time.monotonic() + LONGEST_SECONDS
    while open_runs and time.monotonic() < until:
        for now in api.newest_runs():
            run = open_runs.get(now.run_id)
            # Asking for every run's tasks all the time would keep Airflow's API from serving the tasks themselves.
            if run is None or not (now.state in FINISHED or progress.console.is_terminal):
                continue
            label = f"{names[run.dag_id]} {run.partition_key or ''}  {_steps(api.tasks(run))}"
            progress.update(bars[run.run_id], description=label, completed=now.state in FINISHED)
            if now.state in FINISHED:
                del open_runs[run.run_id]
                if not progress.console.is_terminal:
                    progress.console.print(f"{label}  {now.seconds or 0:.1f} 秒", highlight=False)
                if (successor := again(now)) is None:
                    finished.append(now)
                else:
                    bars[successor.run_id] = progress.add_task(names[run.dag_id], total=1)
                    open_runs[successor.run_id] = successor
        time.sleep(0.5 if len(open_runs) < 3 else 2.0)
    return [*finished, *open_runs.values()]


def _steps(tasks: list[dict[str, Any]]) -> str:
    marks = {"success": "✓", "failed": "✗", "upstream_failed": "✗", "skipped": "–", "running": "…"}
    order = ("fetch", "stage", "gate", "publish", "build")
    known = sorted(
        (task for task in tasks if task["task_id"] in order), key=lambda task: order.index(task["task_id"])
    )
    return " ".join(f"{task['task_id']}{marks.get(task['state'] or '', '')}" for task in known)


def _published_months(runs: list[Run]) -> set[str]:
    """The months that the runs' loads told marts of, `YYYY-MM`."""
    with connect() as connection:
        rows = connection.execute(
            "select to_char(coalesce(requested_period, period_to), 'YYYY-MM') from ops.load"
            " where run_ref = any(%s) and state in ('published', 'unchanged') and staged_rows is not null",
            [[f"{run.dag_id}/{run.run_id}" for run in runs]],
        ).fetchall()
    return {month for (month,) in rows}


def _failures(api: AirflowApi, run: Run) -> list[Failure]:
    failed = [
        task
        for task in api.tasks(run)
        if task["state"] in ("failed", "up_for_retry", "running", "up_for_reschedule")
    ]
    return [
        Failure(run.dag_id, task["task_id"], task["state"], _reason(run, task), _log(run, task))
        for task in failed or [{"task_id": "（開始前）", "state": run.state, "try_number": 0}]
    ]


def _reason(run: Run, task: dict[str, Any]) -> str:
    """What the load or build says of itself, else the last lines of the task's log."""
    with connect() as connection:
        row = connection.execute(
            "select error_ja from ops.load where run_ref = %s and error_ja is not null",
            [f"{run.dag_id}/{run.run_id}"],
        ).fetchone()
        if row is None and run.dag_id == MARTS:
            row = connection.execute(
                "select error from ops.build where state = 'failed' order by build_id desc"
            ).fetchone()
    if row is not None:
        return str(row[0])
    try:
        lines = Path(_log(run, task)).read_text(encoding="utf-8").splitlines()
    except OSError:
        return "理由の記録がありません"
    return " / ".join(lines[-LOG_TAIL:])


def _log(run: Run, task: dict[str, Any]) -> Path:
    folder = settings().home / "airflow/logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"
    return folder / f"task_id={task['task_id']}" / f"attempt={task['try_number']}.log"


def _show(stack: Stack, out: Console) -> None:
    from kpi_warehouse.cli.marts import print_board, print_outlook, print_programmes
    from kpi_warehouse.load import feeds
    from kpi_warehouse.marts import board, has_simulated_flows, outlook, programme_values

    print_board(board())
    print_outlook(outlook(), simulated=has_simulated_flows())
    print_programmes(programme_values())
    if (simulated := stack.simulated) is not None:
        out.print(simulated, style="yellow", highlight=False)
    for credit in dict.fromkeys(
        text for contract in feeds() for text in (contract.credit, contract.api_credit) if text
    ):
        out.print(credit, style="dim", highlight=False)
    out.print(
        "次に：`make up` で Airflow を開く　`.venv/bin/kpi receipt K12 2024` で数値の由来を見る（`kpi db start` の後）　"
        "`.venv/bin/kpi --help`",
        highlight=False,
    )
