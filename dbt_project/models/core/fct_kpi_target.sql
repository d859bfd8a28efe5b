-- Target and expected value at the grain of the actual: one row per KPI and period of the KPI's own
-- kind, plan years only and the years of its baseline. A KPI without a target has its rows too, with
-- the reason.
with

kpis as (

    select * from {{ ref('dim_kpi') }}

),

periods as (

    select
        *,
        coalesce(calendar_year, fiscal_year) as year
    from {{ ref('dim_period') }}

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

paired as (

    select
        kpis.*,
        periods.period_id,
        periods.year,
        warehouse.data_as_of,
        case
            when kpis.target_status <> 'registered' then kpis.target_status
            when periods.year < kpis.plan_first_year then 'before_target'
            else 'registered'
        end as period_target_status,
        {{ expected_basis(
            'kpis.kpi_type', 'kpis.target_value', 'periods.year', 'kpis.target_year', 'kpis.baseline_value',
            'kpis.baseline_year'
        ) }} as expected_basis
    from kpis
    inner join periods
        on
            kpis.period_kind = periods.period_kind
            and periods.year between least(kpis.plan_first_year, kpis.baseline_year) and kpis.plan_last_year
    cross join warehouse

)

select
    kpi_id,
    period_id,
    period_kind,
    target_version,
    case when period_target_status = 'registered' then target_value end as target_value,
    case when period_target_status = 'registered' then target_upper end as target_upper,
    target_year,
    year = target_year as is_target_period,
    period_target_status as target_status,
    baseline_value,
    case
        when period_target_status = 'registered'
            then
                {{ expected_value(
                    'expected_basis', 'target_value', 'year', 'plan_first_year', 'target_year', 'baseline_value',
                    'baseline_year'
                ) }}
    end as expected_value,
    case when period_target_status = 'registered' then expected_basis else 'none' end as expected_basis,
    -- Decided, not delivered: no feed and no gate stands behind a target.
    case when period_target_status = 'registered' then 'target' else 'not_applicable' end as value_status,
    data_as_of,
    'no_feed' as gate_status,
    0::bigint as held_rows
from paired
