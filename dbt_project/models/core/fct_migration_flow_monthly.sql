with

flows as (

    select * from {{ ref('stg_estat__migration_flow_monthly') }}

),

marks as (

    select * from {{ ref('dim_status') }}
    where domain = 'missing_mark'

),

simulated_loads as (

    select * from {{ ref('stg_ops__simulated_load') }}

),

-- The month is written out once here, not once for each of its 6,486 flows.
quality as (

    select
        *,
        to_char(month, 'YYYY-MM') as period_id
    from {{ ref('int_feed_month_quality') }}
    where feed = 'estat_migration_flow_monthly'

)

select
    coalesce(quality.period_id, to_char(flows.month, 'YYYY-MM')) as period_id,
    flows.origin_area_code,
    flows.destination_area_code,
    flows.sex_code,
    flows.persons as movers,
    case
        when flows.persons is null then 'missing'
        when simulated_loads.load_id is not null then 'simulated'
        else 'actual'
    end as value_status,
    marks.label_ja as missing_reason,
    flows.loaded_at,
    quality.data_as_of,
    quality.source_updated_on,
    quality.gate_status,
    quality.held_rows
from flows
left join marks on flows.persons_mark = marks.code
left join simulated_loads on flows.load_id = simulated_loads.load_id
left join quality on flows.month = quality.month
