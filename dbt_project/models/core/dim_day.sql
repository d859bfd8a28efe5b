-- One row per day: the calendar for tools that join on a date (Power BI) or want a spine of days
-- (MetricFlow).
with

months as (

    select * from {{ ref('dim_period') }}
    where period_kind = '月'

)

select
    days.day::date as day,
    months.period_id as month_id,
    months.period_start as month_start,
    months.label_ja as month_label,
    months.label_wareki as month_label_wareki,
    months.calendar_year,
    months.fiscal_year,
    make_date(months.fiscal_year, 4, 1) as fiscal_year_start,
    months.fiscal_quarter,
    months.fiscal_half,
    months.month_number,
    months.fiscal_month_order
from months
cross join lateral generate_series(months.period_start, months.period_end, interval '1 day') as days (day)
