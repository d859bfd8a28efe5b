{%- set partners = {'tokyo_area': '東京圏', 'osaka_area': '大阪圏', 'fukuoka': '福岡県', 'elsewhere': 'その他'} -%}

with

areas as (

    select * from {{ ref('dim_area') }}

),

periods as (

    select * from {{ ref('dim_period') }}

),

-- Both sexes, 移動者 (Japanese and foreign): the definition of K12.
moves as (

    select * from {{ ref('fct_migration_monthly') }}
    where sex_code = '0' and nationality_code = '60000'

),

kumamoto_flows as (

    select
        flows.*,
        flows.destination_area_code = '43000' as is_inflow,
        partners.kumamoto_partner as partner
    from {{ ref('fct_migration_flow_monthly') }} as flows
    inner join areas as partners
        on
            partners.area_code
            = case when flows.destination_area_code = '43000' then flows.origin_area_code else flows.destination_area_code end
    where flows.sex_code = '0' and '43000' in (flows.origin_area_code, flows.destination_area_code)

),

partner_sums as (

    select
        period_id,
        '43000' as area_code,
        {%- for name, label in partners.items() %}
        coalesce(sum(movers) filter (where is_inflow and partner = '{{ label }}'), 0)::bigint as in_from_{{ name }},
        coalesce(sum(movers) filter (where not is_inflow and partner = '{{ label }}'), 0)::bigint as out_to_{{ name }},
        {%- endfor %}
        sum(movers) filter (where is_inflow) as in_from_all,
        sum(movers) filter (where not is_inflow) as out_to_all,
        max(loaded_at) as loaded_at,
        max(data_as_of) as data_as_of,
        max(source_updated_on) as source_updated_on,
        {{ worst_gate_status('gate_status') }} as gate_status,
        max(held_rows) as held_rows
    from kumamoto_flows
    group by period_id

),

-- Cells that are marks hide nobody when the others already sum to the month's total; else there is no split to show.
splits as (

    select partner_sums.*
    from partner_sums
    inner join moves on partner_sums.period_id = moves.period_id and partner_sums.area_code = moves.area_code
    where partner_sums.in_from_all = moves.in_migrants and partner_sums.out_to_all = moves.out_migrants

),

quality as (

    select
        period_id,
        area_code,
        max(loaded_at) as loaded_at,
        max(data_as_of) as data_as_of,
        max(source_updated_on) as source_updated_on,
        {{ worst_gate_status('gate_status') }} as gate_status,
        sum(held_rows)::bigint as held_rows
    from (
        select period_id, area_code, loaded_at, data_as_of, source_updated_on, gate_status, held_rows from moves
        union all
        select period_id, area_code, loaded_at, data_as_of, source_updated_on, gate_status, held_rows from partner_sums
    ) as parts
    group by period_id, area_code

)

select
    moves.period_id,
    moves.area_code,
    periods.period_start as month_start,
    periods.label_ja as month_label,
    periods.label_wareki as month_label_wareki,
    periods.calendar_year,
    periods.fiscal_year,
    periods.month_number,
    periods.fiscal_month_order,
    areas.area_name,
    areas.area_kind,
    areas.bloc,
    moves.in_migrants,
    moves.out_migrants,
    moves.net_migration,
    moves.value_status,
    {{ status_label('value_status', 'moves.value_status') }} as value_status_ja,
    moves.missing_reason,
    {%- for name in partners %}
    splits.in_from_{{ name }},
    splits.out_to_{{ name }},
    splits.in_from_{{ name }} - splits.out_to_{{ name }} as net_with_{{ name }},
    {%- endfor %}
    case
        when moves.area_code <> '43000' then 'not_applicable'
        when splits.period_id is not null then 'actual'
        when partner_sums.period_id is not null then 'missing'
        else 'not_published'
    end as partner_status,
    quality.data_as_of,
    quality.source_updated_on,
    quality.loaded_at,
    quality.gate_status,
    {{ status_label('gate_status', 'quality.gate_status') }} as gate_status_ja,
    quality.held_rows
from moves
inner join areas on moves.area_code = areas.area_code
inner join periods on moves.period_id = periods.period_id
inner join quality on moves.period_id = quality.period_id and moves.area_code = quality.area_code
left join partner_sums on moves.period_id = partner_sums.period_id and moves.area_code = partner_sums.area_code
left join splits on moves.period_id = splits.period_id and moves.area_code = splits.area_code
