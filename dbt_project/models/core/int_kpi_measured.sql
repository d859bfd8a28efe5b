-- KPI × period with actual, target and expected value side by side: what a rule needs to judge. Every
-- period of the plan, and every one between a KPI's first and newest figure, has its row, with or without
-- a figure: a line breaks where nothing is known.
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

-- A first figure that waits for its owner's word has no actual row to be counted on.
waiting as (

    select
        kpis.kpi_id,
        periods.period_id,
        sum(cells.held_rows)::bigint as held_rows
    from {{ ref('int_cell_gate') }} as cells
    inner join kpis on cells.cell ->> 'kpi_code' = kpis.kpi_id
    inner join periods
        on
            kpis.period_kind = periods.period_kind
            and cells.period_end > periods.period_end - interval '1 year'
            and cells.period_end <= periods.period_end
    where cells.feed = 'kpi_progress' and cells.held_rows > 0 and kpis.kpi_id <> 'K12'
    group by kpis.kpi_id, periods.period_id

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

definitions as (

    select * from {{ ref('kpi_definitions') }}

),

figure_spans as (

    select
        actuals.kpi_id,
        actuals.period_kind,
        min(periods.period_end) as first_end,
        max(periods.period_end) as last_end
    from actuals
    inner join periods on actuals.period_id = periods.period_id
    group by actuals.kpi_id, actuals.period_kind

),

spine as (

    select
        targets.kpi_id,
        targets.period_id
    from targets
    where targets.target_status <> 'before_target'
    union
    select
        figure_spans.kpi_id,
        periods.period_id
    from figure_spans
    inner join periods
        on
            figure_spans.period_kind = periods.period_kind
            and periods.period_end between figure_spans.first_end and figure_spans.last_end

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
    kpis.is_additive,
    definitions.definition_version,
    -- A new definition that cannot be compared with the one before starts with the first of its years.
    coalesce(
        definitions.breaks_series
        and coalesce(periods.calendar_year, periods.fiscal_year) = definitions.first_year,
        false
    ) as is_series_break,
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
    actuals.missing_months_ja,
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
    coalesce(actuals.gate_status, case when waiting.held_rows > 0 then 'held' end, 'no_feed') as gate_status,
    coalesce(actuals.held_rows, waiting.held_rows, 0) as held_rows
from spine
inner join kpis on spine.kpi_id = kpis.kpi_id
inner join periods on spine.period_id = periods.period_id
left join actuals on spine.kpi_id = actuals.kpi_id and spine.period_id = actuals.period_id
left join waiting on spine.kpi_id = waiting.kpi_id and spine.period_id = waiting.period_id
left join targets
    on
        spine.kpi_id = targets.kpi_id
        and spine.period_id = targets.period_id
        and periods.period_kind = targets.period_kind
left join definitions
    on
        spine.kpi_id = definitions.kpi_id
        and coalesce(periods.calendar_year, periods.fiscal_year)
        between coalesce(definitions.first_year, 0) and coalesce(definitions.last_year, 9999)
cross join warehouse
