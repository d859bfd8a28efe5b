"""Which KPI figures a load changed, from what to what: of all that changed meanwhile, only what follows from it.

A figure follows from a load where a cell that the load opened (or that was closed when the load was taken back) is of its KPI and
lies in its period, and where the figure comes from the load's feed at all: two feeds may bear on one KPI, and only one is its source.
What other loads changed is theirs to tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from kpi_warehouse.alerts.incidents import Incident

_FIGURES = """
with cells as ({cells}),
since as (select min(instant) as instant from cells),
figure as (
    select row_key, concat_ws(' ', row ->> 'kpi_id', row ->> 'kpi_name', row ->> 'period_label') as label,
        (row ->> 'value') || coalesce(row ->> 'unit', '') as shown, row ->> 'kpi_id' as kpi_id,
        (row ->> 'period_start')::date as starts, (row ->> 'period_end')::date as ends,
        (row ->> 'loaded_at')::timestamptz as loaded_at, published_from, published_to
    from ops.published_row where relation = 'mart_kpi_history' and row ->> 'kpi_id' = any(%(kpis)s)
),
was as (
    select figure.* from figure cross join since
    where published_from <= since.instant and published_to > since.instant
),
is_now as (select * from figure where published_to = 'infinity')
select coalesce(is_now.label, was.label), was.shown, is_now.shown
from was full join is_now using (row_key)
where was.shown is distinct from is_now.shown and exists (select from since where instant is not null)
    and exists (
        select from cells where coalesce(cells.kpi_id, is_now.kpi_id, was.kpi_id) = coalesce(is_now.kpi_id, was.kpi_id)
            and cells.starts >= coalesce(is_now.starts, was.starts) and cells.ends <= coalesce(is_now.ends, was.ends)
            and (cells.kpi_id is not null or coalesce(is_now.loaded_at, was.loaded_at) in (
                select published_at from ops.load where feed = %(feed)s
                union all select undone_at from ops.undo where feed = %(feed)s
                union all select instant from cells))
    )
"""


@dataclass(frozen=True)
class KpiChange:
    """A figure as it was shown before and is shown now, with its unit; None: not shown."""

    label: str
    before: str | None
    after: str | None


def changes_of(connection: psycopg.Connection, incident: Incident) -> list[KpiChange]:
    """The KPI figures that the loads of an incident changed since it opened, the last label first.

    Of a publication that was taken back: those that taking it back changed.
    """
    loads = connection.execute(
        "select load_id, feed from ops.load where load_id = %s or load_id in ("
        "select load_id from ops.incident_load where incident_id = %s) order by load_id",
        [incident.resolved_load_id, incident.incident_id],
    ).fetchall()
    found: dict[str, KpiChange] = {}
    for load_id, feed in loads:
        for change in _of_load(connection, incident, str(feed), int(load_id)):
            found.setdefault(change.label, change)
    return [found[label] for label in sorted(found, reverse=True)]


def _of_load(connection: psycopg.Connection, incident: Incident, feed: str, load_id: int) -> list[KpiChange]:
    columns = {
        str(name)
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [f'raw."{feed}"'],
        )
    }
    if not columns:
        return []
    taken_back = incident.cause == "undone" and incident.resolved_at is None
    cells = sql.SQL(
        "select r.period as starts, {ends} as ends, {kpi} as kpi_id, {instant} as instant"
        " from {raw} as r where r.load_id = %(load)s and {touched}"
    ).format(
        raw=sql.Identifier("raw", feed),
        ends=sql.Identifier("r", "period_end" if "period_end" in columns else "period"),
        kpi=sql.Identifier("r", "kpi_code") if "kpi_code" in columns else sql.SQL("null::text"),
        instant=sql.Identifier("r", "known_to" if taken_back else "known_from"),
        touched=sql.SQL("r.known_to = (select undone_at from ops.undo where load_id = %(load)s)")
        if taken_back
        else sql.SQL("r.known_from >= %(opened)s"),
    )
    rows = connection.execute(
        sql.SQL(_FIGURES).format(cells=cells),
        {"load": load_id, "feed": feed, "opened": incident.opened_at, "kpis": incident.kpis},
    ).fetchall()
    return [KpiChange(str(label), before, after) for label, before, after in rows]
