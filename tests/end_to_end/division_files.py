"""The demo's files of divisions, by a part of their name, and what the warehouse says afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg

from kpi_warehouse.settings import settings

DEMO = settings().project / "demo/inbox"
# Puts a file into the inbox, under another name if one is given, and lets it be received.
Drop = Callable[..., None]


def demo(part: str, folder: Path = DEMO) -> Path:
    """The one demo file with this in its name."""
    (file,) = [file for file in folder.iterdir() if part in file.name]
    return file


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """What a query says."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()
