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

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

-- Every period of the plan has its row, with or without a figure: a line breaks where nothing is known.
planned_periods as (

    select
        kpis.kpi_id,
        periods.period_id
    from kpis
    inner join periods
        on
            kpis.period_kind = periods.period_kind
            and coalesce(periods.calendar_year, periods.fiscal_year)
            between kpis.plan_first_year and kpis.plan_last_year

),

spine as (

    select
        kpi_id,
        period_id
    from planned_periods
    union
    select
        kpi_id,
        period_id
    from actuals

),

measured as (

    select
        kpis.kpi_id,
        kpis.display_order,
        kpis.kpi_name,
        kpis.unit,
        kpis.kpi_type,
        kpis.baseline_value,
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
            when coalesce(periods.calendar_year, periods.fiscal_year) < kpis.plan_first_year
                then 'before_target'
            else 'registered'
        end as target_status,
        kpis.target_value as target_of_kpi,
        actuals.loaded_at,
        coalesce(actuals.data_as_of, warehouse.data_as_of) as data_as_of,
        actuals.source_updated_on,
        coalesce(actuals.gate_status, 'no_feed') as gate_status,
        coalesce(actuals.held_rows, 0) as held_rows
    from spine
    inner join kpis on spine.kpi_id = kpis.kpi_id
    inner join periods on spine.period_id = periods.period_id
    left join actuals on spine.kpi_id = actuals.kpi_id and spine.period_id = actuals.period_id
    cross join warehouse

),

reasoned as (

    select
        *,
        case when target_status = 'registered' then target_of_kpi end as target_value,
        {{ judgement_reason('kpi_type', 'target_status', 'value_status') }} as judgement_reason
    from measured

),

judged as (

    select
        *,
        {{ judgement('judgement_reason', 'kpi_type', 'value', 'target_value') }} as judgement,
        {{ progress_basis('kpi_type', 'target_value', 'baseline_value') }} as progress_basis
    from reasoned

)

select
    kpi_id,
    period_id,
    display_order,
    kpi_name,
    unit,
    period_kind,
    period_start,
    period_end,
    period_label,
    period_label_wareki,
    period_sort_order,
    value,
    value_status,
    {{ period_status_label('value_status', 'value_status', 'period_kind') }} as value_status_ja,
    covered_months,
    expected_months,
    same_months_year_before,
    target_value,
    target_status,
    {{ status_label('target_status', 'target_status') }} as target_status_ja,
    judgement,
    {{ status_label('judgement', 'judgement') }} as judgement_ja,
    judgement_reason,
    {{ period_status_label('judgement_reason', 'judgement_reason', 'period_kind') }} as judgement_reason_ja,
    case when judgement = 'missed' then abs(value - target_value) end as shortfall,
    {{ progress_percent('progress_basis', 'value', 'target_value', 'baseline_value') }} as progress_percent,
    progress_basis,
    data_as_of,
    source_updated_on,
    loaded_at,
    gate_status,
    {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
    held_rows
from judged
