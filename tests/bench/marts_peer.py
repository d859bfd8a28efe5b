"""The unit of `marts`: the aggregates of the flow and migration marts, by hand, one CREATE TABLE AS after another.

What `fct_migration_flow_monthly`, `fct_migration_monthly`, `mart_migration_monthly` and K12 of `fct_kpi_value` hold, with
their quality columns, straight from `raw`: no key, no contract, no comment, no test, no other mart.
"""

from __future__ import annotations

import time

import psycopg

from kpi_warehouse.warehouse.connection import connect

_QUALITY = """
select
    months.month::date as month, freshness.data_as_of, freshness.source_updated_on, newest.gate_status,
    (select count(*) from ops.held_row as h where h.feed = '{feed}' and h.period = months.month and state = 'held') as held_rows
from (select distinct month from ops.load, generate_series(period_from, period_to, interval '1 month') as month
    where feed = '{feed}') as months
cross join (select max(published_at) as data_as_of, max(source_updated_on) as source_updated_on from ops.load
    where feed = '{feed}' and (published_at is not null or state = 'unchanged')) as freshness
cross join lateral (select case verdict when 'flagged' then 'flagged' else 'passed' end as gate_status from ops.load
    where feed = '{feed}' and months.month between period_from and period_to and published_at is not null
    order by load_id desc limit 1) as newest
"""
STATEMENTS = {
    "fct_migration_flow_monthly": f"""
create table {{schema}}.fct_migration_flow_monthly as
with quality as ({_QUALITY.format(feed="estat_migration_flow_monthly")})
select
    to_char(period, 'YYYY-MM') as period_id, origin_area_code, destination_area_code, sex_code, persons::bigint as movers,
    case when persons is null then 'missing' else 'actual' end as value_status,
    label_ja as missing_reason,
    data_as_of, source_updated_on, known_from as loaded_at, gate_status, held_rows
from raw.estat_migration_flow_monthly
left join quality on period = month
left join marts.dim_status on domain = 'missing_mark' and code = persons_mark
where known_to = 'infinity' and origin_area_code <> destination_area_code
""",
    "fct_migration_monthly": f"""
create table {{schema}}.fct_migration_monthly as
with quality as ({_QUALITY.format(feed="estat_migration_monthly")}),
moves as (
    select
        period, area_code, sex_code, nationality_code, max(persons) filter (where indicator_code = '02')::bigint as in_migrants,
        max(persons) filter (where indicator_code = '03')::bigint as out_migrants,
        max(persons) filter (where indicator_code = '04')::bigint as net_migration, min(persons_mark) as mark,
        max(known_from) as loaded_at
    from raw.estat_migration_monthly where known_to = 'infinity' group by 1, 2, 3, 4
)
select
    to_char(period, 'YYYY-MM') as period_id, area_code, sex_code, nationality_code, in_migrants, out_migrants, net_migration,
    case when in_migrants + out_migrants + net_migration is null then 'missing' else 'actual' end as value_status,
    label_ja as missing_reason,
    data_as_of, source_updated_on, loaded_at, gate_status, held_rows
from moves
left join quality on period = month
left join marts.dim_status on domain = 'missing_mark' and code = mark
""",
    "mart_migration_monthly": """
create table {schema}.mart_migration_monthly as
with flows as (
    select
        period_id, destination_area_code = '43000' as inflow, movers, loaded_at, data_as_of, source_updated_on, gate_status, held_rows,
        case
            when other in ('11000', '12000', '13000', '14000') then 't'
            when other in ('26000', '27000', '28000', '29000') then 'o' when other = '40000' then 'f' else 'e'
        end as partner
    from {schema}.fct_migration_flow_monthly
    cross join lateral (select case when destination_area_code = '43000' then origin_area_code else destination_area_code end as other)
    where sex_code = '0' and '43000' in (origin_area_code, destination_area_code)
),
splits as (
    select
        period_id, coalesce(sum(movers) filter (where inflow and partner = 't'), 0)::bigint as in_from_tokyo_area,
        coalesce(sum(movers) filter (where not inflow and partner = 't'), 0)::bigint as out_to_tokyo_area,
        coalesce(sum(movers) filter (where inflow and partner = 'o'), 0)::bigint as in_from_osaka_area,
        coalesce(sum(movers) filter (where not inflow and partner = 'o'), 0)::bigint as out_to_osaka_area,
        coalesce(sum(movers) filter (where inflow and partner = 'f'), 0)::bigint as in_from_fukuoka,
        coalesce(sum(movers) filter (where not inflow and partner = 'f'), 0)::bigint as out_to_fukuoka,
        coalesce(sum(movers) filter (where inflow and partner = 'e'), 0)::bigint as in_from_elsewhere,
        coalesce(sum(movers) filter (where not inflow and partner = 'e'), 0)::bigint as out_to_elsewhere,
        sum(movers) filter (where inflow) as in_all, sum(movers) filter (where not inflow) as out_all,
        max(loaded_at) as loaded_at, max(data_as_of) as data_as_of, max(source_updated_on) as source_updated_on,
        max(gate_status) as gate_status, max(held_rows) as held_rows
    from flows group by period_id
)
select
    m.period_id, m.area_code, d.period_start as month_start, d.label_ja, d.label_wareki, d.calendar_year, d.fiscal_year,
    d.month_number, d.fiscal_month_order, a.area_name, a.area_kind, a.bloc, m.in_migrants, m.out_migrants, m.net_migration,
    m.value_status, m.missing_reason, in_from_tokyo_area, out_to_tokyo_area,
    in_from_tokyo_area - out_to_tokyo_area as net_with_tokyo_area, in_from_osaka_area, out_to_osaka_area,
    in_from_osaka_area - out_to_osaka_area as net_with_osaka_area, in_from_fukuoka, out_to_fukuoka,
    in_from_fukuoka - out_to_fukuoka as net_with_fukuoka, in_from_elsewhere, out_to_elsewhere,
    in_from_elsewhere - out_to_elsewhere as net_with_elsewhere, greatest(m.loaded_at, s.loaded_at) as loaded_at,
    greatest(m.data_as_of, s.data_as_of) as data_as_of, greatest(m.source_updated_on, s.source_updated_on) as source_updated_on,
    greatest(m.gate_status, s.gate_status) as gate_status, m.held_rows + coalesce(s.held_rows, 0) as held_rows
from {schema}.fct_migration_monthly as m
join marts.dim_period as d using (period_id)
join marts.dim_area as a using (area_code)
left join splits as s on s.period_id = m.period_id and m.area_code = '43000' and in_all = in_migrants and out_all = out_migrants
where m.sex_code = '0' and m.nationality_code = '60000'
""",
    "fct_kpi_value": """
create table {schema}.fct_kpi_value as
with months as (
    select m.*, d.period_start, before.net_migration as year_before
    from {schema}.fct_migration_monthly as m
    join marts.dim_period as d using (period_id)
    left join {schema}.fct_migration_monthly as before
        on before.period_id = to_char(d.period_start - interval '1 year', 'YYYY-MM') and before.area_code = '43000'
        and before.sex_code = '0' and before.nationality_code = '60000'
    where m.area_code = '43000' and m.sex_code = '0' and m.nationality_code = '60000'
)
select
    'K12' as kpi_id, d.period_id, d.period_kind, sum(net_migration) as value, count(net_migration)::integer as covered_months,
    d.expected_months, max(loaded_at) as loaded_at, max(data_as_of) as data_as_of, max(source_updated_on) as source_updated_on,
    max(gate_status) as gate_status, sum(held_rows)::bigint as held_rows,
    case when count(year_before) filter (where net_migration is not null) = count(net_migration)
        then sum(year_before) filter (where net_migration is not null) end as same_months_year_before
from months
join marts.dim_period as d on months.period_start between d.period_start and d.period_end and d.period_kind in ('月', '暦年', '年度')
group by d.period_id, d.period_kind, d.expected_months
""",
}
# What both must hold alike, so that the unit is the price of the same work.
SAME = {
    "fct_migration_flow_monthly": "*",
    "fct_migration_monthly": "*",
    "mart_migration_monthly": "period_id, area_code, in_migrants, out_migrants, net_migration, net_with_tokyo_area,"
    " net_with_osaka_area, net_with_fukuoka, net_with_elsewhere, loaded_at, data_as_of, gate_status, held_rows",
    "fct_kpi_value": "kpi_id, period_id, period_kind, value, covered_months, expected_months, same_months_year_before,"
    " loaded_at, data_as_of, source_updated_on, gate_status, held_rows",
}


def build_by_hand(schema: str = "peer") -> float:
    """Seconds of the hand-written statements, committed; `schema` is made anew and stays."""
    with connect("kpi_transformer", autocommit=True) as connection:
        connection.execute(f"drop schema if exists {schema} cascade")  # type: ignore[arg-type]
        connection.execute(f"create schema {schema}")  # type: ignore[arg-type]
        before = time.perf_counter()
        with connection.transaction():
            for statement in STATEMENTS.values():
                connection.execute(statement.format(schema=schema))  # type: ignore[arg-type]
        return time.perf_counter() - before


def differing(connection: psycopg.Connection, schema: str = "peer") -> dict[str, int]:
    """Rows of each table that only one of ours and the hand-written ones has."""
    found = {}
    for table, listed in SAME.items():
        columns = listed
        if listed == "*":
            columns = ", ".join(
                name
                for (name,) in connection.execute(
                    "select column_name from information_schema.columns where (table_schema, table_name) = ('marts', %s)",
                    [table],
                ).fetchall()
            )
        ours, theirs = (f"select {columns} from {place}.{table}" for place in ("marts", schema))
        row = connection.execute(
            f"select (select count(*) from ({ours} except {theirs}) as o)"  # type: ignore[arg-type]
            f" + (select count(*) from ({theirs} except {ours}) as t)"
        ).fetchone()
        assert row is not None
        if row[0]:
            found[table] = int(row[0])
    return found
