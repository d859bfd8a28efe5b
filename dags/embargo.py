"""
# 公表日時の到来

Builds the marts at each time of day at which a contract lets figures out (`publicFrom`), so that a figure under embargo
appears by itself, and the open data with it. On a day on which nothing becomes public the run ends at once, `unchanged`.
Without such a contract this DAG has no schedule.

A figure is never shown early: each build takes only what is public at its beginning, by the clock of the database. It may be
late when Airflow stood still; the next build of any kind shows it then.

## What to do when it is red

1. Read the task log: it names the failed model or test, as in the DAG `marts`.
2. Clear the task when the cause is gone; `kpi build` does the same by hand.
3. `ops.embargo` lists what waits, and until when (`docs/operations.md`).
"""

from airflow.sdk import DAG, MultipleCronTriggerTimetable, get_current_context, task

from kpi_warehouse.airflow.in_force import feeds_in_force
from kpi_warehouse.airflow.tasks import DEFAULTS, MARTS_ASSET
from kpi_warehouse.settings import settings

TIMES = sorted({feed.embargo.time for feed in feeds_in_force(settings().contracts) if feed.embargo})
DAILY = [f"{int(time[3:])} {int(time[:2])} * * *" for time in TIMES]

with DAG(
    dag_id="embargo",
    dag_display_name="公表日時の到来",
    description="公表日時が来た値をマートに出す",
    doc_md=__doc__,
    schedule=MultipleCronTriggerTimetable(*DAILY, timezone="Asia/Tokyo") if DAILY else None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["marts"],
):

    @task(outlets=[MARTS_ASSET], doc_md="公表日時が過ぎた値があれば、マートを作り直して入れ替える。")
    def build() -> str:
        from kpi_warehouse import marts

        instant = marts.wait_for_embargo()
        built = marts.build()
        if built.state == "published":
            # The open data listens by month.
            get_current_context()["outlet_events"][MARTS_ASSET].add_partitions(f"{instant:%Y-%m}")
        return f"{built.state} {built.build_id}"

    build()
