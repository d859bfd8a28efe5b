with

catalogue as (

    select * from {{ ref('kpi_catalogue') }}

),

plans as (

    select * from {{ ref('plans') }}

)

select
    catalogue.kpi_id,
    catalogue.display_order,
    catalogue.plan,
    catalogue.pillar,
    catalogue.theme,
    catalogue.kpi_name,
    catalogue.owner_body,
    catalogue.unit,
    catalogue.display_decimals,
    catalogue.kpi_type,
    catalogue.direction,
    catalogue.accumulation,
    catalogue.accumulation = 'annual' as is_additive,
    catalogue.period_kind,
    catalogue.target_value,
    catalogue.target_period,
    catalogue.target_text_exact as target_text,
    case
        when catalogue.kpi_type = 'none' then 'no_kpi'
        when catalogue.target_value is null then 'no_target'
        else 'registered'
    end as target_status,
    catalogue.baseline_value,
    catalogue.baseline_period,
    case
        when catalogue.kpi_type = 'none' then 'no_kpi'
        when catalogue.baseline_value is null then 'no_baseline'
        else 'registered'
    end as baseline_status,
    plans.first_year as plan_first_year,
    plans.last_year as plan_last_year,
    catalogue.lower_bound,
    catalogue.upper_bound,
    catalogue.unit_assumed,
    catalogue.target_period_assumed,
    catalogue.direction_assumed,
    catalogue.kpi_type_assumed,
    catalogue.accumulation_assumed,
    catalogue.period_kind_assumed,
    catalogue.owner_body_assumed,
    catalogue.pillar_assumed,
    catalogue.note,
    catalogue.source
from catalogue
inner join plans on catalogue.plan = plans.plan
