"""`python -m kpi_warehouse.airflow.component scheduler|api-server|dag-processor …`: one of Airflow's parts, made lighter.

LocalExecutor forks its workers from the scheduler, so that has what tasks need imported beforehand: a gate starts in well
under a second instead of eight. The memory is shared. `KPI_PRELOAD=false` leaves the two heaviest out, which costs a
scheduler that lives for one run more than it saves. The DAG processor forks likewise for every DAG file.
"""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import suppress

from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import warehouse_url

# What DAG files import, and what reads the contracts that they are made of.
PARSING = (
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.decorators.sensor",
    "jsonschema_rs",
    "kpi_warehouse.airflow.inbox_trigger",
    "kpi_warehouse.airflow.tasks",
    "open_data_contract_standard.model",
)
TASKS = (
    "airflow.sdk.execution_time.task_runner",
    "kpi_warehouse.file_outcome",
    "kpi_warehouse.load",
    "kpi_warehouse.marts",
    "kpi_warehouse.sources.file_delivery",
)
HEAVY = ("dbt.adapters.postgres", "dbt.cli.main", "dbt.task.build", "kpi_warehouse.gate.suite")


def main() -> None:
    """Run `airflow` with this process's arguments."""
    # Looking for garbage in all that Airflow imports, as often as Python does by itself, took a twelfth of a part's time.
    gc.set_threshold(50_000, 20, 100)
    if sys.argv[1] == "scheduler":
        _prepare(*PARSING, *TASKS, *(HEAVY if settings().preload else ()))
        with suppress(KpiError):  # a task that needs it says so
            warehouse_url()
    elif sys.argv[1] == "dag-processor":
        _prepare(*PARSING)
    from airflow.__main__ import main as airflow

    airflow()


def _prepare(*modules: str) -> None:
    """Import and read what the children of this process need. They inherit it: a contract is read again only when it changed."""
    for module in modules:
        importlib.import_module(module)
    from kpi_warehouse.airflow.in_force import feeds_in_force

    feeds_in_force(settings().contracts)


if __name__ == "__main__":
    main()
