-- Every accepted number of the departmental feeds, one row per cell.
with

delivered as (

    select * from {{ ref('stg_files__company_support') }}
    union all
    select * from {{ ref('stg_files__expo') }}
    union all
    select * from {{ ref('stg_files__internship_rate') }}
    union all
    select * from {{ ref('stg_files__kpi_progress') }}
    union all
    select * from {{ ref('stg_files__line_subscribers') }}
    union all
    select * from {{ ref('stg_files__migration_briefing') }}
    union all
    select * from {{ ref('stg_files__private_school_subsidy') }}
    union all
    select * from {{ ref('stg_files__professional_matching') }}
    union all
    select * from {{ ref('stg_files__relocation_events') }}
    union all
    select * from {{ ref('stg_files__semiconductor_training') }}
    union all
    select * from {{ ref('stg_files__uij_turn') }}
    union all
    select * from {{ ref('stg_files__vacant_house_support') }}

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
