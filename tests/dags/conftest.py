"""The project's DAG folder as Airflow reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kpi_warehouse.settings import settings

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

Read = Callable[[Path], "DagBag"]


@pytest.fixture(scope="session")
def read_dags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """Parse the folder against a folder of contracts. Airflow settles its home when it is first imported, so here."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        environment.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        environment.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(settings().project / "plugins"))
        from airflow.dag_processing.dagbag import DagBag

        def read(contracts: Path) -> DagBag:
            environment.setenv("KPI_CONTRACTS", str(contracts))
            settings.cache_clear()
            folder = settings().project / "dags"
            try:
                return DagBag(folder, bundle_path=folder, bundle_name="dags-folder")
            finally:
                environment.delenv("KPI_CONTRACTS")
                settings.cache_clear()

        yield read


@pytest.fixture(scope="session")
def dagbag(read_dags: Read) -> DagBag:
    """The folder with the contracts of the project."""
    return read_dags(settings().project / "expectations")


@pytest.fixture(scope="session")
def scheduled(dagbag: DagBag) -> dict[str, Any]:
    """Every DAG as the scheduler knows it: written to the database's form and read again."""
    from airflow.serialization.serialized_objects import DagSerialization

    return {
        dag_id: DagSerialization.from_dict(DagSerialization.to_dict(dag))
        for dag_id, dag in dagbag.dags.items()
    }
