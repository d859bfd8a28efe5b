with

catalogue as (

    select * from {{ ref('kpi_catalogue') }}

),

policy as (

    select * from {{ ref('dim_policy') }}

),

pillars as (

    select distinct
        plan,
        plan_first_year,
        plan_last_year,
        pillar_id,
        pillar
    from policy

),

-- Every KPI has one; a day without any fails the build, by this model's own contract.
owners as (

    select
        owned.kpi_id,
        owned.owner_id,
        owned.owner_assumed,
        bodies.owner_name
    from {{ ref('kpi_owners') }} as owned
    inner join {{ ref('dim_owner') }} as bodies on owned.owner_id = bodies.owner_id
    where {{ stated_at_as_of() }}

),

targets as (

    select * from {{ ref('kpi_targets') }}
    where {{ stated_at_as_of() }}

),

baselines as (

    select * from {{ ref('kpi_baselines') }}
    where {{ stated_at_as_of() }}

),

-- The newest definition; the older ones break the series where they end.
definitions as (

    select distinct on (kpi_id) *
    from {{ ref('kpi_definitions') }}
    order by kpi_id asc, definition_version desc

)

select
    catalogue.kpi_id,
    catalogue.display_order,
    pillars.plan,
    pillars.pillar_id,
    pillars.pillar,
    catalogue.measure_id,
    policy.measure,
    catalogue.theme,
    catalogue.kpi_name,
    owners.owner_id,
    owners.owner_name as owner_body,
    catalogue.unit,
    catalogue.display_decimals,
    catalogue.kpi_type,
    catalogue.direction,
    catalogue.accumulation,
    catalogue.accumulation = 'annual' as is_additive,
    catalogue.is_survey,
    catalogue.survey_noise,
    catalogue.period_kind,
    definitions.definition_version,
    definitions.definition_ja,
    targets.target_version,
    targets.target_value,
    targets.target_upper,
    targets.target_year,
    targets.target_period,
    targets.target_text,
    case
        when catalogue.kpi_type = 'none' then 'no_kpi'
        when targets.target_value is null then 'no_target'
        else 'registered'
    end as target_status,
    baselines.baseline_version,
    baselines.baseline_value,
    baselines.baseline_year,
    baselines.baseline_period,
    case
        when catalogue.kpi_type = 'none' then 'no_kpi'
        when baselines.baseline_value is null then 'no_baseline'
        else 'registered'
    end as baseline_status,
    pillars.plan_first_year,
    pillars.plan_last_year,
    catalogue.lower_bound,
    catalogue.upper_bound,
    catalogue.unit_assumed,
    coalesce(targets.target_period_assumed, false) as target_period_assumed,
    catalogue.direction_assumed,
    catalogue.kpi_type_assumed,
    catalogue.accumulation_assumed,
    catalogue.period_kind_assumed,
    owners.owner_assumed as owner_body_assumed,
    catalogue.pillar_assumed,
    -- No slide binds a theme to one of the 施策: every such link is ours.
    catalogue.measure_id is not null as measure_assumed,
    coalesce(definitions.definition_assumed, false) as definition_assumed,
    catalogue.note,
    catalogue.source
from catalogue
inner join pillars on catalogue.pillar_id = pillars.pillar_id
left join owners on catalogue.kpi_id = owners.kpi_id
left join policy on catalogue.measure_id = policy.measure_id
left join targets on catalogue.kpi_id = targets.kpi_id
left join baselines on catalogue.kpi_id = baselines.kpi_id
left join definitions on catalogue.kpi_id = definitions.kpi_id
