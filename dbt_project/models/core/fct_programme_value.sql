-- Every accepted number of the departmental feeds, one row per cell.
with

delivered as (

    select * from {{ ref('int_programme_shown') }}

),

quality as (

    select * from {{ ref('int_feed_month_gate') }}

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
    coalesce(quality.gate_status, 'passed') as gate_status,
    coalesce(quality.held_rows, 0) as held_rows
from delivered
left join freshness on delivered.feed = freshness.feed
left join quality
    on
        delivered.feed = quality.feed
        and date_trunc('month', delivered.period_start)::date = date_trunc('month', quality.month)::date
