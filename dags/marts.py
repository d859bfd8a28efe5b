"""
# マートの構築

Builds the marts when any feed has published: dbt builds beside, tests there, and one transaction swaps `marts`.
A failed test leaves `marts` as it was; the task log and `ops.build_node` name the test. When nothing changed since the
last build, the run ends at once.

## What to do when it is red

1. Read the task log: it names the failed model or test.
2. `kpi build` does the same by hand, `kpi build --as-of 2024-12-31` builds an earlier state beside.
3. Clear the task when the cause is gone; the board shows the last good build meanwhile.
"""

from airflow.sdk import DAG, AssetAny, IdentityMapper, PartitionedAssetTimetable, task

from kpi_warehouse.airflow.in_force import feeds_in_force
from kpi_warehouse.airflow.tasks import DEFAULTS, MARTS_ASSET, feed_asset
from kpi_warehouse.settings import settings

with DAG(
    dag_id="marts",
    dag_display_name="マートの構築",
    description="履歴から KPI マートを作り、検査し、入れ替える",
    doc_md=__doc__,
    schedule=PartitionedAssetTimetable(
        assets=AssetAny(*(feed_asset(contract.feed) for contract in feeds_in_force(settings().contracts))),
        default_partition_mapper=IdentityMapper(),
    ),
    catchup=False,
    # Builds wait for each other by themselves, and a run that finds nothing new ends at once.
    max_active_runs=4,
    default_args=DEFAULTS,
    tags=["marts"],
):

    @task(outlets=[MARTS_ASSET], doc_md="dbt を隣のスキーマで実行し、検査に通れば入れ替える。")
    def build() -> str:
        from kpi_warehouse import marts

        built = marts.build()
        return f"{built.state} {built.build_id}"

    build()
