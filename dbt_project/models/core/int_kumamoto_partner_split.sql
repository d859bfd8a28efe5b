-- Per month: from where people came to 熊本県 and where they went, by the partners the prefecture reports on.
with

areas as (

    select * from {{ ref('dim_area') }}

),

flows as (

    select
        *,
        destination_area_code = '43000' as is_inflow,
        case
            when destination_area_code = '43000' then origin_area_code
            else destination_area_code
        end as partner_area_code
    from {{ ref('fct_migration_flow_monthly') }}
    where sex_code = '0' and '43000' in (origin_area_code, destination_area_code)

),

partner_flows as (

    select
        flows.*,
        areas.kumamoto_partner as partner
    from flows
    inner join areas on flows.partner_area_code = areas.area_code

)

select
    period_id,
    '43000' as area_code,
    coalesce(sum(movers) filter (where is_inflow and partner = '東京圏'), 0)::bigint as in_from_tokyo_area,
    coalesce(sum(movers) filter (where not is_inflow and partner = '東京圏'), 0)::bigint as out_to_tokyo_area,
    coalesce(sum(movers) filter (where is_inflow and partner = '大阪圏'), 0)::bigint as in_from_osaka_area,
    coalesce(sum(movers) filter (where not is_inflow and partner = '大阪圏'), 0)::bigint as out_to_osaka_area,
    coalesce(sum(movers) filter (where is_inflow and partner = '福岡県'), 0)::bigint as in_from_fukuoka,
    coalesce(sum(movers) filter (where not is_inflow and partner = '福岡県'), 0)::bigint as out_to_fukuoka,
    coalesce(sum(movers) filter (where is_inflow and partner = 'その他'), 0)::bigint as in_from_elsewhere,
    coalesce(sum(movers) filter (where not is_inflow and partner = 'その他'), 0)::bigint as out_to_elsewhere,
    sum(movers) filter (where is_inflow)::bigint as in_from_all,
    sum(movers) filter (where not is_inflow)::bigint as out_to_all,
    max(loaded_at) as loaded_at,
    max(data_as_of) as data_as_of,
    max(source_updated_on) as source_updated_on,
    {{ worst_gate_status('gate_status') }} as gate_status,
    max(held_rows) as held_rows
from partner_flows
group by period_id
