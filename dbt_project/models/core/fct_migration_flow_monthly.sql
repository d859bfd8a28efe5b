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

-- Few cells wait or were warned of: what they touch is found from their side.
touched as (

    select
        waiting.month,
        waiting.cell ->> 'origin_area_code' as origin_area_code,
        waiting.cell ->> 'destination_area_code' as destination_area_code,
        waiting.cell ->> 'sex_code' as sex_code,
        sum(waiting.held_rows)::bigint as held_rows,
        max(waiting.load_id) filter (where waiting.flagged_rows > 0) as flagged_by
    from {{ ref('int_cell_gate') }} as waiting
    where waiting.feed = 'estat_migration_flow_monthly'
    group by 1, 2, 3, 4

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
        when flows.persons is null then {{ missing_status('flows.persons_mark') }}
        when simulated_loads.load_id is not null then 'simulated'
        else 'actual'
    end as value_status,
    marks.label_ja as missing_reason,
    flows.loaded_at,
    quality.data_as_of,
    quality.source_updated_on,
    {{ cell_gate_status(
        'quality.gate_status', 'touched.held_rows', '(touched.flagged_by = flows.load_id)::integer'
    ) }} as gate_status,
    case when quality.gate_status is not null then coalesce(touched.held_rows, 0) end as held_rows
from flows
left join marks on flows.persons_mark = marks.code
left join simulated_loads on flows.load_id = simulated_loads.load_id
left join quality on flows.month = quality.month
left join touched
    on
        flows.month = touched.month
        and flows.origin_area_code = touched.origin_area_code
        and flows.destination_area_code = touched.destination_area_code
        and flows.sex_code = touched.sex_code
