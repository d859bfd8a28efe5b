"""Registers the library with Airflow. The scheduler imports what its tasks will need once, and every task inherits it."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class MessagePages:
    """The pages messages link to, imported with the first request: every task imports this module, none serves pages."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        from kpi_warehouse.airflow.acknowledge import app

        await app(scope, receive, send)


class KpiPlugin(AirflowPlugin):
    """Names the product in Airflow's list of plugins, and gives the API server its pages."""

    name = "kpi_warehouse"
    fastapi_apps = [  # noqa: RUF012 - as the base class has it
        {"app": MessagePages(), "url_prefix": "/kpi", "name": "kpi_warehouse"}
    ]
