"""
# 通知訓練

Every Monday morning a feed that is none fails and recovers the ordinary way, and it is measured how long the notification and the
recovery notice took to arrive. The watcher (`kpi watch`) sends them; it also opens an incident when a drill was late or when none
was held for eight days, so a silent alert path is found before it is needed.

## What to do when it is red

The messages did not arrive in time: `kpi incident channels` says which channel refuses and why. Then `kpi incident drill` again.
"""

from airflow.sdk import DAG, CronTriggerTimetable, task

from kpi_warehouse.airflow.tasks import DEFAULTS

with DAG(
    dag_id="drill",
    dag_display_name="通知訓練",
    description="知らせが届くことを毎週確かめる",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 10 * * 1", timezone="Asia/Tokyo"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["maintenance"],
):

    @task(doc_md="架空の異常を起こし、知らせと復旧の知らせが届くまでの秒数を測る。")
    def drill() -> list[float]:
        from kpi_warehouse.alerts import drill as drills

        done = drills.drill(drills.watcher_sends)
        return [done.told_seconds, done.recovered_seconds]

    drill()
