"""What BI builds on: the columns in the tree are those of the marts, and a change that would break a reader needs a version."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest

from kpi_warehouse import marts
from kpi_warehouse.errors import ContractError
from kpi_warehouse.marts_columns import check_columns, write_columns
from kpi_warehouse.marts_dbt import parse
from kpi_warehouse.marts_docs import FETCHED, write_docs
from kpi_warehouse.settings import PROJECT, settings
from kpi_warehouse.warehouse.connection import password_of, warehouse_url

TODAY = date(2026, 11, 25)
OLD, NEW = "owed_incidents", "waiting_incidents"
# What someone writes who renames a column of mart_alert_ledger: both versions, the old one until the end of the next 年度.
VERSIONS = """
    latest_version: 2
    versions:
      - v: 1
        deprecation_date: 2028-03-31
      - v: 2
        config: {alias: mart_alert_ledger}
        columns:
          - include: all
            exclude: [owed_incidents]
          - name: waiting_incidents
            data_type: bigint
            description: "知らせを待つ異常の件数（送信待ち・未達）。"
"""


def test_the_list_in_the_tree_is_what_readers_find(loader: psycopg.Connection) -> None:
    with (PROJECT / "dbt_project/published_columns.csv").open(encoding="utf-8", newline="") as lines:
        listed = [
            (row["relation"], int(row["position"]), row["column"], row["type"], row["comment"])
            for row in csv.DictReader(lines)
        ]
    found = loader.execute(
        "select c.relname, coalesce(a.attnum, 0)::integer, coalesce(a.attname, ''),"
        " coalesce(format_type(a.atttypid, a.atttypmod), ''),"
        r" trim(regexp_replace(coalesce(col_description(c.oid, a.attnum), obj_description(c.oid)), '\s+', ' ', 'g'))"
        " from pg_class as c cross join lateral (select null::name as attname, null::smallint as attnum,"
        " null::oid as atttypid, null::integer as atttypmod union all select attname, attnum, atttypid, atttypmod"
        " from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) as a"
        " where c.relnamespace = 'marts'::regnamespace and c.relkind in ('r', 'v')"
        ' order by c.relname collate "C", 2'
    ).fetchall()
    assert found == listed


@pytest.fixture
def project(loader: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the dbt project, in use."""
    shutil.copytree(PROJECT / "dbt_project", tmp_path / "dbt_project")
    monkeypatch.setenv("KPI_PROJECT", str(tmp_path))
    settings.cache_clear()
    yield tmp_path / "dbt_project"
    monkeypatch.undo()
    settings.cache_clear()


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


@pytest.mark.nightly
def test_a_breaking_change_is_refused_until_the_old_version_stays_beside(
    project: Path, loader: psycopg.Connection
) -> None:
    models = project / "models/marts"
    ledger, described = models / "mart_alert_ledger.sql", models / "_alerts.yml"
    kept, known = ledger.read_text("utf-8"), described.read_text("utf-8")
    listed = (project / "published_columns.csv").read_text("utf-8")

    edit(described, (OLD, NEW))
    changed = parse()
    with pytest.raises(
        ContractError, match=f"(?s)一覧.*− mart_alert_ledger.{OLD}.*＋ mart_alert_ledger.{NEW}"
    ):
        check_columns(changed, TODAY)
    with pytest.raises(ContractError, match=rf"mart_alert_ledger\.{OLD}（8 番目、bigint、.*versions"):
        write_columns(changed, TODAY)
    assert (project / "published_columns.csv").read_text("utf-8") == listed

    described.write_text(
        known.replace(
            "    config:\n      materialized: view\n",
            f"{VERSIONS.lstrip(chr(10))}    config:\n      materialized: view\n",
            1,
        ),
        "utf-8",
    )
    ledger.rename(models / "mart_alert_ledger_v1.sql")
    # dbt takes the columns of a version in the order of its list.
    column = f"    coalesce(by_month.{OLD}, 0) as {OLD},\n"
    last = "    round(by_month.median_minutes_to_end, 2) as median_minutes_to_end\n"
    assert column in kept and last in kept
    (models / "mart_alert_ledger_v2.sql").write_text(
        kept.replace(column, "").replace(
            last, f"{last.rstrip()},\n    coalesce(by_month.{OLD}, 0) as {NEW}\n"
        ),
        "utf-8",
    )
    changed = parse()
    with pytest.raises(ContractError, match="少なくとも 2029-03-31 まで"):
        write_columns(changed, date(2027, 11, 25))
    assert write_columns(changed, TODAY)
    assert (
        check_columns(changed, TODAY) == len(set(line.split(",")[0] for line in listed.splitlines()[1:])) + 1
    )
    with pytest.raises(ContractError, match="期限が過ぎています：mart_alert_ledger_v1"):
        check_columns(changed, date(2028, 4, 1))

    assert marts.build().state == "published"
    loader.execute("set role kpi_reader")
    try:
        for query in (
            f"select {OLD} from marts.mart_alert_ledger_v1",
            f"select {NEW} from marts.mart_alert_ledger",
            'select * from marts_ja."通知の月次の証明"',
            'select * from marts_ja."通知の月次の証明_v1"',
        ):
            loader.execute(query.encode())
    finally:
        loader.execute("set role kpi_loader")


@pytest.mark.nightly
def test_the_documentation_is_one_page_that_fetches_nothing(
    loader: psycopg.Connection, tmp_path: Path
) -> None:
    page = write_docs(tmp_path / "docs").read_text("utf-8")
    assert not FETCHED.search(page)
    assert "default-src 'none'" in page and "cloudfront" not in page
    assert '<script src="' not in page
    # What the catalogue knows of the built tables is in it, and nothing of how to reach them.
    said = "KPIボード。計画にあるすべてのKPI"
    assert (said in page or json.dumps(said)[1:-1] in page) and '"mart_draft_value"' in page
    assert password_of(warehouse_url()) not in page and str(PROJECT) not in page
    assert [file.name for file in (tmp_path / "docs").iterdir()] == ["index.html"]
