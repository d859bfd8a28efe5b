with

months as (

    select
        actuals.kpi_id,
        actuals.value,
        periods.calendar_year,
        periods.fiscal_year
    from {{ ref('fct_kpi_value') }} as actuals
    inner join {{ ref('dim_period') }} as periods on actuals.period_id = periods.period_id
    where actuals.period_kind = '月' and actuals.value is not null

),

years as (

    select
        kpi_id,
        'CY' || calendar_year as period_id,
        count(*) as months,
        sum(value) as value
    from months
    group by kpi_id, calendar_year
    union all
    select
        kpi_id,
        'FY' || fiscal_year as period_id,
        count(*) as months,
        sum(value) as value
    from months
    group by kpi_id, fiscal_year

)

select
    actuals.kpi_id,
    actuals.period_id,
    actuals.value,
    years.value as sum_of_months
from {{ ref('fct_kpi_value') }} as actuals
left join years on actuals.kpi_id = years.kpi_id and actuals.period_id = years.period_id
where
    actuals.period_kind in ('暦年', '年度')
    -- A KPI that comes without months (a stock, a figure a division filled in) has nothing to add up.
    and actuals.kpi_id in (select months.kpi_id from months)
    and (
        (actuals.value is distinct from years.value and actuals.value_status in ('actual', 'partial'))
        or actuals.covered_months <> coalesce(years.months, 0)
        or (actuals.value_status = 'actual') <> (coalesce(years.months, 0) = 12)
    )
