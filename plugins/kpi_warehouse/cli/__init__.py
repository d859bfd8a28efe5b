"""`kpi`: the library by hand. Every command calls the function its DAG calls.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a gate refused the data or asks a person about it.
"""

from __future__ import annotations

from kpi_warehouse.cli import (
    claims,
    db,
    estat,
    feed,
    hold,
    incident,
    marts,
    marts_group,
    publication,
    receipt,
)
from kpi_warehouse.cli.application import app

app.add_typer(feed.app, name="feed")
app.add_typer(estat.app, name="estat")
app.add_typer(db.app, name="db")
app.add_typer(claims.app, name="claims")
app.add_typer(hold.app, name="hold")
app.add_typer(hold.inbox, name="inbox")
app.add_typer(incident.app, name="incident")
app.add_typer(marts_group.app, name="marts")

__all__ = ["app", "marts", "publication", "receipt"]
