"""
# オープンデータの公開

Writes the open data when the marts were built anew: CSV, Parquet, Excel, the data dictionary and the catalogue. What is published, and
under which terms, is the exposure `open_data` of the dbt project. When nothing changed, the run ends at once.

## What to do when it is red

1. Read the task log: it names the place that could not be written, or the mart that is missing.
2. `kpi publication` does the same by hand. The last release stays in force meanwhile.
"""

from airflow.sdk import DAG, IdentityMapper, PartitionedAssetTimetable, task

from kpi_warehouse.airflow.tasks import DEFAULTS, MARTS_ASSET

with DAG(
    dag_id="publication",
    dag_display_name="オープンデータの公開",
    description="マートから公開用のファイルと目録を作る",
    doc_md=__doc__,
    schedule=PartitionedAssetTimetable(assets=MARTS_ASSET, default_partition_mapper=IdentityMapper()),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["publication"],
):

    @task(doc_md="公開用のファイルを書き、そろったところで公開中のものと入れ替える。")
    def publish() -> str:
        from kpi_warehouse.publication.publish import publish

        release = publish()
        return f"{release.state} {release.name}"

    publish()
