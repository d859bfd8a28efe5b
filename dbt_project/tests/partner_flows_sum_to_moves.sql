-- Both tables count the same people. Months with a flow that is a mark hiding a number cannot be compared.
with

kumamoto_flows as (

    select
        *,
        case when destination_area_code = '43000' then 'in' else 'out' end as direction
    from {{ ref('fct_migration_flow_monthly') }}
    where sex_code = '0' and '43000' in (origin_area_code, destination_area_code)

),

flow_sums as (

    select
        period_id,
        direction,
        sum(movers) as movers
    from kumamoto_flows
    group by period_id, direction
    having bool_and(value_status <> 'missing' or missing_reason = '該当なし')

),

migrants as (

    select
        period_id,
        'in' as direction,
        in_migrants as persons
    from {{ ref('mart_migration_monthly') }}
    where area_code = '43000'
    union all
    select
        period_id,
        'out' as direction,
        out_migrants as persons
    from {{ ref('mart_migration_monthly') }}
    where area_code = '43000'

)

select
    flow_sums.period_id,
    flow_sums.direction,
    flow_sums.movers,
    migrants.persons
from flow_sums
inner join migrants on flow_sums.period_id = migrants.period_id and flow_sums.direction = migrants.direction
where flow_sums.movers <> migrants.persons
