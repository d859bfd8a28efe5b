"""MetricFlow against a built warehouse: `make metrics`. Not among the ordinary tests, for it needs an environment of its own;
what of the metrics can be checked without it is in `test_metrics.py`."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from kpi_warehouse.marts_dbt import connected
from kpi_warehouse.settings import PROJECT

SLIDES = {
    ("in", "東京圏"): 4349,
    ("in", "大阪圏"): 1831,
    ("in", "福岡県"): 6344,
    ("in", "その他"): 11882,
    ("out", "東京圏"): 6031,
    ("out", "大阪圏"): 2377,
    ("out", "福岡県"): 6958,
    ("out", "その他"): 11201,
}


@pytest.fixture(scope="module")
def project(published: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the dbt project, parsed: MetricFlow writes into the folder that it reads."""
    copy = tmp_path_factory.mktemp("metrics") / "dbt_project"
    shutil.copytree(PROJECT / "dbt_project", copy)
    run(copy, "dbt", "parse", "--quiet")
    return copy


def run(project: Path, program: str, *arguments: str) -> str:
    """What a program of MetricFlow's environment says; an error of it fails the test with all it said."""
    with connected("marts"):
        done = subprocess.run(
            [str(Path(os.environ["METRICFLOW"], program)), *arguments],
            cwd=project,
            check=False,
            env={**os.environ, "DBT_PROFILES_DIR": str(project)},
            text=True,
            capture_output=True,
            timeout=240,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(project: Path, *metrics: str, by: str, **more: str) -> dict[tuple[str, ...], tuple[Decimal, ...]]:
    """The answer of `mf query`: the metrics' values by the values of the dimensions."""
    answer = project / "answer.csv"
    options = [part for name, value in more.items() for part in (f"--{name.replace('_', '-')}", value)]
    run(
        project,
        "mf",
        "query",
        *("--metrics", ",".join(metrics), "--group-by", by, "--csv", str(answer)),
        *options,
    )
    with answer.open(encoding="utf-8", newline="") as lines:
        found = list(csv.reader(lines))[1:]
    names = len(by.split(","))
    return {tuple(row[:names]): tuple(Decimal(value or 0) for value in row[names:]) for row in found}


def test_the_metrics_are_valid_in_themselves_and_against_the_warehouse(project: Path) -> None:
    said = run(project, "mf", "validate-configs")
    for part in ("semantics of built manifest", "semantic models", "dimensions", "measures", "metrics"):
        assert f"Successfully validated {'the ' * (part[:9] == 'semantics')}{part}" in said, said
    assert "ERRORS: 0" in said


def test_the_headline_is_that_of_the_marts_by_both_kinds_of_year(
    project: Path, loader: psycopg.Connection
) -> None:
    by_year = ask(project, "kumamoto_net_migration", by="metric_time__year")
    by_fiscal_year = ask(project, "kumamoto_net_migration", by="area_month__fiscal_year")
    loader.execute("set role kpi_transformer")
    stored = {
        (kind, str(year)): value
        for kind, year, value in loader.execute(
            "select period_kind, year, net_migration from marts.mart_social_change_annual"
        ).fetchall()
    }
    loader.execute("set role kpi_loader")
    assert {("暦年", year[:4]): value for (year,), (value,) in by_year.items()} | {
        ("年度", year): value for (year,), (value,) in by_fiscal_year.items()
    } == stored
    assert stored["暦年", "2020"] == -3393 and stored["年度", "2020"] == -1806


def test_the_slides_table_by_partner(project: Path) -> None:
    found = ask(
        project,
        "kumamoto_movers",
        "kumamoto_net_by_partner",
        by="bloc_month__direction,bloc_month__bloc",
        start_time="2024-01-01",
        end_time="2024-09-30",
    )
    assert {name: values[0] for name, values in found.items()} == SLIDES
    assert sum(values[1] for values in found.values()) == -2161


def test_nobody_is_counted_twice(project: Path, loader: psycopg.Connection) -> None:
    """The prefectures alone: with the nation's own rows a sum over areas would be double."""
    found = ask(
        project,
        "in_migrants",
        "net_migration",
        by="metric_time__month",
        start_time="2024-01-01",
        end_time="2024-12-31",
    )
    loader.execute("set role kpi_transformer")
    nation = dict(
        loader.execute(
            "select month_start::text, in_migrants from marts.mart_migration_monthly"
            " where area_code = '00000' and calendar_year = 2024"
        ).fetchall()
    )
    loader.execute("set role kpi_loader")
    assert {month[:10]: values[0] for (month,), values in found.items()} == nation
    assert {values[1] for values in found.values()} == {Decimal(0)}
