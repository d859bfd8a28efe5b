"""Registers the library with Airflow. The scheduler imports what its tasks will need once, and every task inherits it."""

from airflow.plugins_manager import AirflowPlugin


class KpiPlugin(AirflowPlugin):
    """Names the product in Airflow's list of plugins."""

    name = "kpi_warehouse"
