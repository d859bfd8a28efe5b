"""`python -m kpi_warehouse.cli`: the same as `kpi`."""

from kpi_warehouse.cli import app

app()
