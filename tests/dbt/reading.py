"""How the tests read the marts."""

from __future__ import annotations

from typing import Any

import psycopg


def rows(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query, read as the role that owns the marts, over the loader's connection."""
    with connection.cursor() as cursor:
        cursor.execute("set role kpi_transformer")
        try:
            return cursor.execute(query).fetchall()
        finally:
            cursor.execute("set role kpi_loader")
