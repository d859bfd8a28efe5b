-- A line of a chart breaks where nothing is known: each year of a KPI's plan is a row, and between the
-- first and the newest figure of a KPI no period of that kind is left out.
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

figures as (

    select
        facts.kpi_id,
        facts.period_kind,
        min(periods.period_end) as first_end,
        max(periods.period_end) as last_end
    from {{ ref('fct_kpi_value') }} as facts
    inner join periods on facts.period_id = periods.period_id
    group by facts.kpi_id, facts.period_kind

),

wanted as (

    select
        kpis.kpi_id,
        periods.period_id
    from kpis
    inner join periods
        on
            kpis.period_kind = periods.period_kind
            and periods.year between kpis.plan_first_year and kpis.plan_last_year
    union
    select
        figures.kpi_id,
        periods.period_id
    from figures
    inner join periods
        on
            figures.period_kind = periods.period_kind
            and periods.period_end between figures.first_end and figures.last_end

)

select wanted.*
from wanted
left join {{ ref('mart_kpi_history') }} as history
    on wanted.kpi_id = history.kpi_id and wanted.period_id = history.period_id
where history.kpi_id is null
