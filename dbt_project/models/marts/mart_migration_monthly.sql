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

partner_sums as (

    select * from {{ ref('int_kumamoto_partner_split') }}

),

-- Cells that are marks hide nobody when the others already sum to the month's total; else no split is shown.
splits as (

    select partner_sums.*
    from partner_sums
    inner join moves on partner_sums.period_id = moves.period_id and partner_sums.area_code = moves.area_code
    where partner_sums.in_from_all = moves.in_migrants and partner_sums.out_to_all = moves.out_migrants

),

parts as (

    select
        period_id,
        area_code,
        loaded_at,
        data_as_of,
        source_updated_on,
        gate_status,
        held_rows
    from moves
    union all
    select
        period_id,
        area_code,
        loaded_at,
        data_as_of,
        source_updated_on,
        gate_status,
        held_rows
    from partner_sums

),

-- A row made of two feeds is as sound as the worse of them.
quality as (

    select
        period_id,
        area_code,
        max(loaded_at) as loaded_at,
        max(data_as_of) as data_as_of,
        max(source_updated_on) as source_updated_on,
        {{ worst_gate_status('gate_status') }} as gate_status,
        sum(held_rows)::bigint as held_rows
    from parts
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
    splits.in_from_tokyo_area,
    splits.out_to_tokyo_area,
    splits.in_from_tokyo_area - splits.out_to_tokyo_area as net_with_tokyo_area,
    splits.in_from_osaka_area,
    splits.out_to_osaka_area,
    splits.in_from_osaka_area - splits.out_to_osaka_area as net_with_osaka_area,
    splits.in_from_fukuoka,
    splits.out_to_fukuoka,
    splits.in_from_fukuoka - splits.out_to_fukuoka as net_with_fukuoka,
    splits.in_from_elsewhere,
    splits.out_to_elsewhere,
    splits.in_from_elsewhere - splits.out_to_elsewhere as net_with_elsewhere,
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
left join partner_sums
    on moves.period_id = partner_sums.period_id and moves.area_code = partner_sums.area_code
left join splits
    on moves.period_id = splits.period_id and moves.area_code = splits.area_code
