-- KPI × period with actual, target and expected value side by side: what a rule needs to judge. Every
-- period of the plan has its row, with or without a figure: a line breaks where nothing is known.
with

kpis as (

    select * from {{ ref('dim_kpi') }}

),

periods as (

    select * from {{ ref('dim_period') }}

),

actuals as (

    select * from {{ ref('fct_kpi_value') }}

),

targets as (

    select * from {{ ref('fct_kpi_target') }}

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

spine as (

    select
        targets.kpi_id,
        targets.period_id
    from targets
    where targets.target_status <> 'before_target'
    union
    select
        actuals.kpi_id,
        actuals.period_id
    from actuals

)

select
    kpis.kpi_id,
    kpis.display_order,
    kpis.kpi_name,
    kpis.unit,
    kpis.kpi_type,
    kpis.is_survey,
    kpis.survey_noise,
    -- +1 where more is better, −1 where less is.
    case
        when kpis.kpi_type in ('level_down', 'maintain_at_most') or kpis.direction = 'down' then -1
        else 1
    end as direction_sign,
    kpis.definition_version,
    periods.period_id,
    periods.period_kind,
    periods.period_start,
    periods.period_end,
    periods.label_ja as period_label,
    periods.label_wareki as period_label_wareki,
    periods.sort_order as period_sort_order,
    actuals.value,
    coalesce(actuals.value_status, 'not_published') as value_status,
    coalesce(actuals.covered_months, 0) as covered_months,
    periods.expected_months,
    actuals.same_months_year_before,
    case
        when kpis.target_status <> 'registered' then kpis.target_status
        when kpis.period_kind <> periods.period_kind then 'other_period_kind'
        else coalesce(targets.target_status, 'before_target')
    end as target_status,
    targets.target_version,
    targets.target_value,
    targets.target_upper,
    targets.expected_value,
    coalesce(targets.expected_basis, 'none') as expected_basis,
    kpis.baseline_value,
    actuals.loaded_at,
    coalesce(actuals.data_as_of, warehouse.data_as_of) as data_as_of,
    actuals.source_updated_on,
    coalesce(actuals.gate_status, 'no_feed') as gate_status,
    coalesce(actuals.held_rows, 0) as held_rows
from spine
inner join kpis on spine.kpi_id = kpis.kpi_id
inner join periods on spine.period_id = periods.period_id
left join actuals on spine.kpi_id = actuals.kpi_id and spine.period_id = actuals.period_id
left join targets
    on
        spine.kpi_id = targets.kpi_id
        and spine.period_id = targets.period_id
        and periods.period_kind = targets.period_kind
cross join warehouse
