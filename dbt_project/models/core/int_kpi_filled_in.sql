-- What the divisions filled in. A figure belongs to the period of the KPI's own kind that ends with the
-- year of its last day; as long as that year is not over, the figure is partial.
with

filled_in as (

    select
        breakdown ->> 'kpi_code' as kpi_id,
        period_start,
        period_end,
        value,
        note,
        source_cell,
        load_id,
        loaded_at
    from {{ ref('stg_files__kpi_progress') }}
    where value_status in ('actual', 'partial', 'provisional', 'revised')

),

kpis as (

    select * from {{ ref('dim_kpi') }}

),

periods as (

    select * from {{ ref('dim_period') }}
    where period_kind in ('暦年', '年度', '学年', '累計', '時点')

),

freshness as (

    select * from {{ ref('int_feed_freshness') }}
    where feed = 'kpi_progress'

),

gates as (

    select * from {{ ref('int_feed_month_gate') }}
    where feed = 'kpi_progress'

)

select distinct on (filled_in.kpi_id, periods.period_id)
    filled_in.kpi_id,
    periods.period_id,
    periods.period_kind,
    filled_in.value,
    case periods.period_kind
        when '時点' then (filled_in.period_end = periods.period_end)::integer
        else
            least(
                periods.expected_months,
                {{ months_between('periods.period_start', 'filled_in.period_end + 1') }}
            )
    end as covered_months,
    periods.expected_months,
    filled_in.period_start as filled_in_from,
    filled_in.note,
    filled_in.source_cell,
    filled_in.load_id,
    filled_in.loaded_at,
    freshness.data_as_of,
    coalesce(gates.gate_status, 'passed') as gate_status,
    coalesce(gates.held_rows, 0) as held_rows
from filled_in
inner join kpis on filled_in.kpi_id = kpis.kpi_id
inner join periods
    on
        kpis.period_kind = periods.period_kind
        and filled_in.period_end > periods.period_end - interval '1 year'
        and filled_in.period_end <= periods.period_end
left join freshness on true
left join gates on date_trunc('month', filled_in.period_start) = date_trunc('month', gates.month)
-- K12 is computed from the source; a figure typed beside it would only disagree.
where filled_in.kpi_id <> 'K12'
order by filled_in.kpi_id asc, periods.period_id asc, filled_in.period_end desc
