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
    having bool_and(value_status = 'actual' or missing_reason = '該当なし')

)

select
    flow_sums.period_id,
    flow_sums.direction,
    flow_sums.movers,
    case flow_sums.direction when 'in' then moves.in_migrants else moves.out_migrants end as migrants
from flow_sums
inner join {{ ref('mart_migration_monthly') }} as moves on flow_sums.period_id = moves.period_id
where
    moves.area_code = '43000'
    and flow_sums.movers <> case flow_sums.direction when 'in' then moves.in_migrants else moves.out_migrants end
