"""`python -m kpi_warehouse.airflow.component scheduler|api-server|dag-processor …`: one of Airflow's parts, made lighter.

LocalExecutor forks its workers from the scheduler, so that has what tasks need imported beforehand: a gate starts in well
under a second instead of eight. The memory is shared. `KPI_PRELOAD=false` leaves the two heaviest out, which costs a
scheduler that lives for one run more than it saves.
"""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import suppress

from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings

LIGHT = (
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.decorators.sensor",
    "airflow.sdk.execution_time.task_runner",
    "jsonschema_rs",
    "open_data_contract_standard.model",
    "kpi_warehouse.airflow.tasks",
    "kpi_warehouse.file_outcome",
    "kpi_warehouse.load",
    "kpi_warehouse.marts",
    "kpi_warehouse.sources.file_delivery",
)
HEAVY = ("dbt.adapters.postgres", "dbt.cli.main", "dbt.task.build", "kpi_warehouse.gate.suite")


def main() -> None:
    """Run `airflow` with this process's arguments."""
    # Looking for garbage in all that Airflow imports, as often as Python does by itself, took an eighth of a part's time.
    gc.set_threshold(50_000, 20, 100)
    if sys.argv[1] == "scheduler":
        _prepare_for_tasks()
    from airflow.__main__ import main as airflow

    airflow()


def _prepare_for_tasks() -> None:
    for module in (*LIGHT, *(HEAVY if settings().preload else ())):
        importlib.import_module(module)
    from kpi_warehouse.airflow.in_force import feeds_in_force
    from kpi_warehouse.warehouse.connection import warehouse_url

    # Remembered, and so inherited: a task reads its contract again only when that has changed, and finds the database at once.
    feeds_in_force(settings().contracts)
    with suppress(KpiError):  # a task that needs it says so
        warehouse_url()


if __name__ == "__main__":
    main()
