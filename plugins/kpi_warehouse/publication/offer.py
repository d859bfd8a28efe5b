"""What is published as open data: the exposure `open_data` of the dbt project says which marts, under which licence and credit.

Rows, titles and explanations come from `marts` itself, read as `kpi_reader`: what BI may not see cannot get out this way either.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
import yaml
from psycopg import sql

from kpi_warehouse.errors import KpiError
from kpi_warehouse.marts import BUILD_LOCK
from kpi_warehouse.marts_swap import MARTS, heading
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

EXPOSURE = "open_data"
EXPOSURES = "dbt_project/models/marts/_exposures.yml"


@dataclass(frozen=True)
class Column:
    """A column: its name, its Japanese heading, what it means, its PostgreSQL type."""

    name: str
    title_ja: str
    comment_ja: str
    kind: str


@dataclass(frozen=True)
class Table:
    """A mart as it is published: `key` are its key columns, rows are in their order. Values are str, int, Decimal, bool, date,
    datetime (with a zone) or None."""

    name: str
    title_ja: str
    comment_ja: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]

    @property
    def title_en(self) -> str:
        """`mart_kpi_board` → `kpi_board`: the name of its files."""
        return self.name.removeprefix("mart_")

    def span(self) -> tuple[date, date] | None:
        """First and last day that its rows tell of; None when they tell of no period."""
        days = [
            value.date() if isinstance(value, datetime) else value
            for index, column in enumerate(self.columns)
            if column.name in ("period_start", "period_end", "month_start")
            for row in self.rows
            if (value := row[index]) is not None
        ]
        return (min(days), max(days)) if days else None


@dataclass(frozen=True)
class Offer:
    """Everything that is published together, from one build."""

    title_ja: str
    title_en: str
    description_ja: str
    publisher_ja: str
    licence: str
    licence_id: str
    frequency: str
    credits_ja: tuple[str, ...]
    keywords_ja: tuple[str, ...]
    tables: tuple[Table, ...]


def read_offer() -> Offer:
    """Read what is published now, all of one build.

    Raises:
        KpiError: the exposure is missing or names what is not a mart, or the marts were not built yet.
        StorageFailed: the database cannot be reached.
    """
    exposure = _exposure()
    meta = exposure["config"]["meta"]
    left_out: dict[str, list[str]] = meta["left_out"]
    names = [text.removeprefix("ref('").removesuffix("')") for text in exposure["depends_on"]]
    with connect("kpi_reader", autocommit=True) as connection:
        # No swap between the first and the last table.
        connection.execute("select pg_advisory_lock_shared(%s)", [BUILD_LOCK])
        tables = tuple(_table(connection, name, left_out.get(name, [])) for name in names)
    return Offer(
        title_ja=exposure["label"],
        title_en=meta["title_en"],
        description_ja=exposure["description"],
        publisher_ja=meta["publisher_ja"],
        licence=meta["licence"],
        licence_id=meta["licence_id"],
        frequency=meta["frequency"],
        credits_ja=tuple(meta["credits_ja"]),
        keywords_ja=tuple(meta["keywords_ja"]),
        tables=tables,
    )


def _exposure() -> dict[str, Any]:
    path = settings().project / EXPOSURES
    for exposure in yaml.safe_load(path.read_text(encoding="utf-8"))["exposures"]:
        if exposure["name"] == EXPOSURE:
            found: dict[str, Any] = exposure
            return found
    raise KpiError(f"{path} に exposure「{EXPOSURE}」がありません。", "publication.no_exposure")


def _table(connection: psycopg.Connection, name: str, left_out: list[str]) -> Table:
    row = connection.execute(
        "select c.oid, obj_description(c.oid), coalesce((select array_agg(a.attname::text order by k.place)"
        " from pg_constraint as p, unnest(p.conkey) with ordinality as k (attnum, place), pg_attribute as a"
        " where p.conrelid = c.oid and p.contype = 'p' and a.attrelid = c.oid and a.attnum = k.attnum), '{}')"
        " from pg_class as c where c.oid = to_regclass(%s)",
        [f"{MARTS}.{name}"],
    ).fetchone()
    if row is None:
        raise KpiError(
            f"公開する表 {MARTS}.{name} がありません。`kpi build` を実行してください。", "marts.not_built"
        )
    oid, comment, key = row
    columns = tuple(
        Column(column, heading(about), about, kind)
        for column, about, kind in connection.execute(
            "select attname::text, col_description(attrelid, attnum), format_type(atttypid, null) from pg_attribute"
            " where attrelid = %s and attnum > 0 and not attisdropped order by attnum",
            [oid],
        ).fetchall()
        if column not in left_out
    )
    unknown = set(left_out) - {
        str(column)
        for (column,) in connection.execute("select attname from pg_attribute where attrelid = %s", [oid])
    }
    if unknown:
        raise KpiError(
            f"exposure「{EXPOSURE}」の left_out にある列 {'、'.join(sorted(unknown))} は {name} にありません。",
            "publication.unknown_column",
        )
    query = sql.SQL("select {} from {} order by {}").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
        sql.Identifier(MARTS, name),
        sql.SQL(", ").join(map(sql.Identifier, key or [columns[0].name])),
    )
    return Table(name, heading(comment), comment, tuple(key), columns, connection.execute(query).fetchall())
