-- Every accepted number of the departmental feeds, one row per cell.
with

delivered as (

    select * from {{ ref('int_programme_shown') }}

),

quality as (

    select * from {{ ref('int_feed_month_gate') }}

),

cells as (

    select * from {{ ref('int_cell_gate') }}

),

touched as (

    select
        delivered.feed,
        delivered.measure_code,
        delivered.breakdown,
        delivered.period_kind,
        delivered.period_start,
        delivered.period_end,
        sum(cells.held_rows)::bigint as held_rows,
        sum(cells.flagged_rows) filter (where cells.load_id = delivered.load_id) as flagged_rows
    from cells
    inner join delivered
        on
            cells.feed = delivered.feed
            and cells.month = delivered.period_start
            and cells.period_end = delivered.period_end
            and cells.cell ->> 'measure_code' = delivered.measure_code
            and cells.cell @> delivered.breakdown
            and coalesce(cells.cell ->> 'period_kind', delivered.period_kind) = delivered.period_kind
    group by
        delivered.feed,
        delivered.measure_code,
        delivered.breakdown,
        delivered.period_kind,
        delivered.period_start,
        delivered.period_end

),

freshness as (

    select * from {{ ref('int_feed_freshness') }}

)

select
    delivered.feed,
    delivered.measure_code,
    delivered.breakdown::text as breakdown,
    delivered.period_kind,
    delivered.period_start,
    delivered.period_end,
    delivered.value,
    delivered.value_mark,
    delivered.value_text,
    delivered.unit,
    delivered.qualifier,
    delivered.value_status,
    delivered.note,
    delivered.source_cell,
    delivered.load_id,
    delivered.loaded_at,
    freshness.data_as_of,
    {{ cell_gate_status(
        "coalesce(quality.gate_status, 'passed')", 'touched.held_rows', 'touched.flagged_rows'
    ) }} as gate_status,
    coalesce(touched.held_rows, 0) as held_rows
from delivered
left join freshness on delivered.feed = freshness.feed
left join quality
    on
        delivered.feed = quality.feed
        and date_trunc('month', delivered.period_start)::date = date_trunc('month', quality.month)::date
left join touched
    on
        delivered.feed = touched.feed
        and delivered.measure_code = touched.measure_code
        and delivered.breakdown = touched.breakdown
        and delivered.period_kind = touched.period_kind
        and delivered.period_start = touched.period_start
        and delivered.period_end = touched.period_end
