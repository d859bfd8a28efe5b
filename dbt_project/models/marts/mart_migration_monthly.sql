with

areas as (

    select * from {{ ref('dim_area') }}

),

periods as (

    select * from {{ ref('dim_period') }}

),

-- Both sexes, 移動者 (Japanese and foreign): the definition of K12.
moves as (

    select
        facts.*,
        areas.area_name,
        areas.area_kind,
        areas.bloc,
        periods.period_start as month_start,
        periods.label_ja as month_label,
        periods.label_wareki as month_label_wareki,
        periods.calendar_year,
        periods.fiscal_year,
        periods.month_number,
        periods.fiscal_month_order
    from {{ ref('fct_migration_monthly') }} as facts
    inner join areas on facts.area_code = areas.area_code
    inner join periods on facts.period_id = periods.period_id
    where facts.sex_code = '0' and facts.nationality_code = '60000'

),

-- The same rows as in the long table, side by side.
{% set partners = {
    'tokyo_area': '東京圏', 'osaka_area': '大阪圏', 'fukuoka': '福岡県', 'elsewhere': 'その他'
} -%}
splits as (

    select
        period_id,
        '43000' as area_code,
        {%- for name, bloc in partners.items() %}
            max(movers) filter (where direction = 'in' and bloc = '{{ bloc }}') as in_from_{{ name }},
            max(movers) filter (where direction = 'out' and bloc = '{{ bloc }}') as out_to_{{ name }},
        {%- endfor %}
        max(value_status) as partner_status,
        max(data_as_of) as data_as_of,
        max(source_updated_on) as source_updated_on,
        max(loaded_at) as loaded_at,
        max(gate_status) as gate_status,
        max(held_rows) as held_rows
    from {{ ref('mart_migration_by_bloc_monthly') }}
    group by period_id

),

-- A sum with a hole in it is none.
so_far as (

    select
        *,
        count(in_migrants + out_migrants + net_migration) over year_to_month = month_number as is_unbroken,
        sum(in_migrants) over year_to_month as in_sum,
        sum(out_migrants) over year_to_month as out_sum,
        sum(net_migration) over year_to_month as net_sum
    from moves
    window
        year_to_month as (
            partition by area_code, calendar_year
            order by month_number rows unbounded preceding
        )

),

to_date as (

    select
        *,
        case when is_unbroken then in_sum end::bigint as in_to_date,
        case when is_unbroken then out_sum end::bigint as out_to_date,
        case when is_unbroken then net_sum end::bigint as net_to_date
    from so_far

),

-- A place among some of the prefectures is no place among the 47.
ranked as (

    select
        period_id,
        area_code,
        case
            when count(net_migration) over in_month = 47
                then rank() over (partition by period_id order by net_migration desc)
        end::integer as net_rank,
        case
            when count(net_to_date) over in_month = 47
                then rank() over (partition by period_id order by net_to_date desc)
        end::integer as net_to_date_rank
    from to_date
    where area_kind = '都道府県'
    window in_month as (partition by period_id)

)

select
    to_date.period_id,
    to_date.area_code,
    to_date.month_start,
    to_date.month_label,
    to_date.month_label_wareki,
    to_date.calendar_year,
    to_date.fiscal_year,
    to_date.month_number,
    to_date.fiscal_month_order,
    to_date.area_name,
    to_date.area_kind,
    to_date.bloc,
    to_date.in_migrants,
    to_date.out_migrants,
    to_date.net_migration,
    to_date.value_status,
    {{ status_label('value_status', 'to_date.value_status') }} as value_status_ja,
    to_date.missing_reason,
    to_date.in_to_date,
    to_date.out_to_date,
    to_date.net_to_date,
    year_before.in_migrants as in_year_before,
    year_before.out_migrants as out_year_before,
    year_before.net_migration as net_year_before,
    year_before.in_to_date as in_to_date_year_before,
    year_before.out_to_date as out_to_date_year_before,
    year_before.net_to_date as net_to_date_year_before,
    ranked.net_rank,
    ranked.net_to_date_rank,
    {%- for name in partners %}
        splits.in_from_{{ name }},
        splits.out_to_{{ name }},
        splits.in_from_{{ name }} - splits.out_to_{{ name }} as net_with_{{ name }},
    {%- endfor %}
    coalesce(splits.partner_status, 'not_applicable') as partner_status,
    {{ status_label('value_status', "coalesce(splits.partner_status, 'not_applicable')") }}
        as partner_status_ja,
    coalesce(splits.data_as_of, to_date.data_as_of) as data_as_of,
    coalesce(splits.source_updated_on, to_date.source_updated_on) as source_updated_on,
    coalesce(splits.loaded_at, to_date.loaded_at) as loaded_at,
    coalesce(splits.gate_status, to_date.gate_status) as gate_status,
    {{ status_label('gate_status', 'coalesce(splits.gate_status, to_date.gate_status)') }} as gate_status_ja,
    coalesce(splits.held_rows, to_date.held_rows) as held_rows
from to_date
left join to_date as year_before
    on
        to_date.area_code = year_before.area_code
        and to_date.month_number = year_before.month_number
        and to_date.calendar_year = year_before.calendar_year + 1
left join ranked
    on to_date.period_id = ranked.period_id and to_date.area_code = ranked.area_code
left join splits
    on to_date.period_id = splits.period_id and to_date.area_code = splits.area_code
