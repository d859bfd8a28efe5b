-- What the divisions filled in. A figure belongs to the period of its KPI's own kind: a sum to the one that
-- it ends in and starts with, a flow to its year, a level or a stock to the year that its day lies in. What
-- ends before its period is partial; what its division calls 速報 stays so.
with

filled_in as (

    select
        breakdown ->> 'kpi_code' as kpi_id,
        period_kind,
        period_start,
        period_end,
        value,
        value_status,
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

),

cells as (

    select
        cell ->> 'kpi_code' as kpi_id,
        period_end,
        load_id,
        held_rows,
        flagged_rows
    from {{ ref('int_cell_gate') }}
    where feed = 'kpi_progress'

),

placed as (

    select
        filled_in.*,
        periods.period_id,
        periods.period_kind as own_kind,
        periods.period_end as own_end,
        periods.expected_months,
        case periods.period_kind
            when '時点' then (filled_in.period_end = periods.period_end)::integer
            else
                least(
                    periods.expected_months,
                    {{ months_between('periods.period_start', 'filled_in.period_end + 1') }}
                )
        end as covered_months
    from filled_in
    inner join kpis on filled_in.kpi_id = kpis.kpi_id
    inner join periods
        on
            kpis.period_kind = periods.period_kind
            and filled_in.period_end > periods.period_end - interval '1 year'
            and filled_in.period_end <= periods.period_end
            and case
                when periods.period_kind = '累計'
                    then
                        filled_in.period_kind = '累計'
                        and filled_in.period_start = periods.period_start
                when kpis.accumulation = 'annual'
                    then
                        (
                            filled_in.period_kind = periods.period_kind
                            or (
                                filled_in.value_status = 'partial'
                                and filled_in.period_kind in ('時点', '累計')
                            )
                        )
                        and filled_in.period_start >= periods.period_start
                when kpis.accumulation = 'cumulative'
                    then filled_in.period_kind in (periods.period_kind, '年度', '累計')
                else filled_in.period_kind in (periods.period_kind, '時点')
            end
    -- K12 is computed from the source; a figure typed beside it would only disagree.
    where filled_in.kpi_id <> 'K12'

),

-- The figure that reaches furthest; of two that reach as far the final one.
newest as (

    select distinct on (kpi_id, period_id) *
    from placed
    order by
        kpi_id asc,
        period_id asc,
        period_end desc,
        value_status in ('actual', 'revised') desc,
        loaded_at desc

)

select
    newest.kpi_id,
    newest.period_id,
    newest.own_kind as period_kind,
    newest.value,
    case
        when newest.value is null then 'missing'
        when newest.covered_months < newest.expected_months then 'partial'
        else newest.value_status
    end as value_status,
    newest.covered_months,
    newest.expected_months,
    newest.period_start as filled_in_from,
    newest.note,
    newest.source_cell,
    newest.load_id,
    newest.loaded_at,
    freshness.data_as_of,
    {{ cell_gate_status(
        "coalesce(gates.gate_status, 'passed')", 'waiting.held_rows', 'waiting.flagged_rows'
    ) }} as gate_status,
    coalesce(waiting.held_rows, 0) as held_rows
from newest
left join freshness on true
left join
    gates on date_trunc('month', newest.period_start) = date_trunc('month', gates.month)
left join lateral (
    select
        sum(cells.held_rows)::bigint as held_rows,
        sum(cells.flagged_rows) filter (where cells.load_id = newest.load_id)::bigint as flagged_rows
    from cells
    where
        cells.kpi_id = newest.kpi_id
        and cells.period_end > newest.own_end - interval '1 year'
        and cells.period_end <= newest.own_end
) as waiting on true
