"""
# 全期間の読み直し

Once a quarter: asks each e-Stat feed to read all its periods again, from the first one on, since a revision may reach further back than
the few periods that every run re-reads. Where the source has not moved since the last such pull, nothing is pulled; where it has, what is
unchanged keeps its verdict and is not written again. What a revision changes goes through the gate like any other delivery.

## What to do when it is red

The feed's DAG could not be started: see its import errors. The reading itself is a run of the feed's own DAG, with the parameter `since`.
"""

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable

from kpi_warehouse.airflow.in_force import feeds_in_force
from kpi_warehouse.airflow.tasks import DEFAULTS
from kpi_warehouse.contract import EstatSource
from kpi_warehouse.settings import settings

with DAG(
    dag_id="reread",
    dag_display_name="全期間の読み直し",
    description="e-Stat の公表済みの全期間を、四半期に一度読み直す",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 4 10 1,4,7,10 *", timezone="Asia/Tokyo"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["maintenance"],
):
    for contract in feeds_in_force(settings().contracts):
        if isinstance(contract.source, EstatSource):
            TriggerDagRunOperator(
                task_id=contract.feed,
                trigger_dag_id=contract.feed,
                conf={"since": contract.source.cycle.written(contract.source.first_period)},
                doc_md=f"{contract.title_ja}を最初の期間から読み直す。",
            )
