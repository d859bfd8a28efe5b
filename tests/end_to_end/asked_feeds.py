"""Contracts with a rule that asks a person, three months of which the last is unusual, and what a test looks at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from demo.estat import Table
from demo.estat.synthetic import synthetic_migration
from demo.estat.tables import time_code
from kpi_warehouse.settings import settings

MOVES = "estat_migration_monthly"
FIRST, SECOND, THIRD = "2024-01", "2024-02", "2024-03"
BASE = synthetic_migration([FIRST, SECOND])
# People move in March: of these months it alone has twice as many as January.
UNUSUAL = synthetic_migration([FIRST, SECOND, THIRD])
USUAL = replace(UNUSUAL, months={**UNUSUAL.months, time_code(THIRD): UNUSUAL.months[time_code(FIRST)]})
RULE = "not_twice_as_many"
KUMAMOTO_IN = (
    "indicator_code = '02' and sex_code = '0' and nationality_code = '60000' and area_code = '43000'"
)


def rule(name: str, query: str, *, scope: str = "table", severity: str = "question") -> dict[str, Any]:
    """A quality entry of a contract."""
    return {
        "name": name,
        "type": "custom",
        "engine": "greatExpectations",
        "severity": severity,
        "dimension": "consistency",
        "description": "熊本県への転入が、これまでの月の2倍を超えないこと。",
        "customProperties": [{"property": "scope", "value": scope}],
        "implementation": {
            "type": "unexpected_rows_expectation",
            "kwargs": {"unexpected_rows_query": query},
        },
    }


TWICE = rule(
    RULE,
    f"select period, persons from {{batch}} where {KUMAMOTO_IN} and persons > 2 * (select min(persons) from"
    f" raw.{MOVES} where known_to = 'infinity' and {KUMAMOTO_IN})",
)


def with_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: str, *rules: dict[str, Any]
) -> Callable[..., None]:
    """Contracts of which the one of a feed asks by these rules alone; returns what changes them again."""
    folder = tmp_path / "contracts"
    if not folder.exists():
        shutil.copytree(settings().contracts, folder)
    path = folder / f"{feed}.odcs.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    own = [entry for entry in document["schema"][0]["quality"] if entry["severity"] != "question"]

    def give(*asking: dict[str, Any], version: str | None = None) -> None:
        document["schema"][0]["quality"] = [*own, *asking]
        document["version"] = version or document["version"]
        path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
        # A contract is read once in a process; another folder is another contract.
        copy = tmp_path / f"contracts-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder, copy)
        monkeypatch.setenv("KPI_CONTRACTS", str(copy))
        settings.cache_clear()

    give(*rules)
    return give


def rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def states(url: str) -> list[tuple[Any, ...]]:
    """Number, state and verdict of every load."""
    return rows(url, "select load_id, state, verdict from ops.load order by load_id")


def current(url: str, month: str, table: str = MOVES) -> list[tuple[Any, ...]]:
    """Kumamoto's inflow of a month as it is accepted now."""
    return rows(
        url,
        f"select persons from raw.{table} where known_to = 'infinity' and {KUMAMOTO_IN} and period = %s::date",
        f"{month}-01",
    )


def served(table: Table, month: str) -> int:
    """The same in a table as the source has it."""
    places = [
        at for at, codes in enumerate(table.cells) if set(codes) >= {"02", "43000", "60000"} and "0" in codes
    ]
    (text,) = {table.months[time_code(month)][at] for at in places}
    return int(str(text))
