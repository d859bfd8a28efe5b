"""
# フィードの取込（契約1つにつき DAG 1つ）

Each contract in `expectations/` becomes one DAG that brings a month of its feed into accepted history:
**fetch** (bytes → landing) → **stage** (bytes → rows) → **gate** (rows → verdict) → **publish** (rows → history).
`marts` runs when any of them has published. A draft has no DAG; nor has a contract that cannot be read: `contracts.py` in the
list of import errors says where, and the other feeds go on.

## Reading a run

- The partition key (`2024-09`) is the month expected. `fetch` in *up for reschedule* means: not published yet, waiting.
- `stage` skipped means: the source has nothing newer; nothing to do.
- A red `gate` whose log says 問い合わせ waits for a person: `kpi hold list` shows the question, `kpi hold release LOAD --reason …`
  publishes it, a correct delivery settles it. It is not tried again by itself, and the feed's next runs go on meanwhile.
- Any other red `gate` means: the delivery was refused; the last good data stays on the board. The task log and
  `ops.gate_result` name the rule and the first failing rows. Trying again does not help; the source must be corrected, or
  the contract.
- For a feed of a division (課) the run begins when a file has come into the inbox; each hour, or for a feed with an address
  each morning, a run looks by itself. `stage` red then means: cells cannot be read; the return slip names every one.
- A red `fetch` after its retries means: the source is down (`estat.server`, `estat.not_json`) or says no (`estat.auth`).

## What to do

1. Read the last lines of the failed task's log: the message says what, where and what next.
2. `kpi feed list` shows every feed's last load; `ops.step` has every step.
3. When the cause is gone, clear the failed task; every step may be run again at any time.
4. To load months again: `airflow backfill create --dag-id <feed> --from-date 2024-01-01 --to-date 2024-03-31`; with the
   parameter `force` they are pulled even where the source says nothing is newer, with `since` from that period on.

See `docs/operations.md`.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronPartitionTimetable, CronTriggerTimetable, Param

from kpi_warehouse.airflow.in_force import feeds_in_force
from kpi_warehouse.airflow.inbox_trigger import inbox_asset
from kpi_warehouse.airflow.tasks import DEFAULTS, deadline, wire
from kpi_warehouse.contract import Contract, EstatSource
from kpi_warehouse.settings import settings


def when(contract: Contract) -> dict[str, Any]:
    """Schedule and deadline of a feed: by month from e-Stat, by arrival from a division."""
    if isinstance(contract.source, EstatSource):
        # The run of the 25th expects the month before; a month is its own key, whatever day a run starts.
        schedule = CronPartitionTimetable(
            contract.sla.cron, timezone=contract.sla.timezone, run_offset=-1, key_format="%Y-%m"
        )
        return {
            "schedule": schedule,
            "max_active_runs": 4,
            "dagrun_timeout": timedelta(days=contract.sla.wait_days + 7),
            "deadline": deadline(contract),
        }
    if contract.source.url is not None:
        return {
            "schedule": CronTriggerTimetable("10 6 * * *", timezone=contract.sla.timezone),
            "max_active_runs": 1,
        }
    sweep = CronTriggerTimetable("25 * * * *", timezone=contract.sla.timezone)
    return {
        "schedule": AssetOrTimeSchedule(assets=[inbox_asset(contract.feed)], timetable=sweep),
        "max_active_runs": 1,
    }


for contract in feeds_in_force(settings().contracts):
    with DAG(
        dag_id=contract.feed,
        dag_display_name=contract.title_ja,
        description=contract.title_ja,
        doc_md=f"{__doc__}\n\n---\n\n## {contract.title_ja}\n\n{contract.description}\n\n所管：{contract.owner}\n\n{contract.credit}",
        catchup=False,
        default_args=DEFAULTS | {"owner": contract.owner},
        params={
            "force": Param(False, type="boolean", description="提供元の更新日が変わっていなくても取り直す"),
            "since": Param(
                "",
                type="string",
                description="この期間（2018-01 など）までさかのぼって読み直す。空なら直近だけ",
            ),
        },
        tags=["feed", "e-Stat" if isinstance(contract.source, EstatSource) else "ファイル", contract.owner],
        **when(contract),
    ):
        wire(contract)
