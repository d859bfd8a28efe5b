"""
# 片付け

Once a day: drops stage tables that no load needs any more, closes loads nobody works on, removes what killed processes
left in landing, and as-of builds older than a week. Deletes no history and no landed bytes. Safe to run at any time.
"""

from airflow.sdk import DAG, CronTriggerTimetable, task

from kpi_warehouse.airflow.tasks import DEFAULTS

with DAG(
    dag_id="maintenance",
    dag_display_name="片付け",
    description="使い終わった作業用の表を片付ける",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("30 3 * * *", timezone="Asia/Tokyo"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["maintenance"],
):

    @task(doc_md="作業用の表と、古い時点指定の構築を片付ける。")
    def sweep() -> int:
        from kpi_warehouse import marts, upkeep

        return upkeep.sweep() + marts.sweep()

    sweep()
