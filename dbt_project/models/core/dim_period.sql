with

-- The end of the 年度 after next, as seen at the instant of the build; at least that of the plans.
span as (

    select
        date '{{ var("calendar_from") }}' as first_month,
        greatest(
            date '{{ var("calendar_to") }}',
            make_date(
                3 + extract(
                    year from {{ build_instant() }} at time zone 'Asia/Tokyo' - interval '3 months'
                )::integer,
                3,
                31
            )
        ) as last_day

),

months as (

    select
        month::date as month_start,
        (month + interval '1 month - 1 day')::date as month_end,
        extract(year from month)::integer as calendar_year,
        extract(month from month)::integer as month_number,
        extract(year from month - interval '3 months')::integer as fiscal_year,
        extract(month from month - interval '3 months')::integer as fiscal_month_order
    from generate_series(
        (select span.first_month from span), (select span.last_day from span), interval '1 month'
    ) as calendar (month)

),

month_periods as (

    select
        to_char(month_start, 'YYYY-MM') as period_id,
        '月' as period_kind,
        month_start as period_start,
        month_end as period_end,
        calendar_year || '年' || month_number || '月' as label_ja,
        {{ wareki_year('month_start') }} || month_number || '月' as label_wareki,
        calendar_year,
        fiscal_year,
        month_number,
        fiscal_month_order,
        1 as expected_months
    from months

),

calendar_years as (

    select
        'CY' || calendar_year as period_id,
        '暦年' as period_kind,
        min(month_start) as period_start,
        max(month_end) as period_end,
        calendar_year || '年' as label_ja,
        case
            when calendar_year = 2019 then '平成31年・令和元年'
            else {{ wareki_year('min(month_start)') }}
        end as label_wareki,
        calendar_year,
        null::integer as fiscal_year,
        null::integer as month_number,
        null::integer as fiscal_month_order,
        12 as expected_months
    from months
    group by calendar_year
    having count(*) = 12

),

fiscal_years as (

    select
        'FY' || fiscal_year as period_id,
        '年度' as period_kind,
        min(month_start) as period_start,
        max(month_end) as period_end,
        fiscal_year || '年度' as label_ja,
        {{ wareki_year("make_date(fiscal_year, 5, 1)") }} || '度' as label_wareki,
        null::integer as calendar_year,
        fiscal_year,
        null::integer as month_number,
        null::integer as fiscal_month_order,
        12 as expected_months
    from months
    group by fiscal_year
    having count(*) = 12

),

-- Sums since the plans began (R6年度), read at the end of each 年度.
cumulative_years as (

    select
        'CUM2024-' || fiscal_year as period_id,
        '累計' as period_kind,
        date '2024-04-01' as period_start,
        period_end,
        '2024年度から' || label_ja || 'までの累計' as label_ja,
        '令和6年度から' || label_wareki || 'までの累計' as label_wareki,
        calendar_year,
        fiscal_year,
        month_number,
        fiscal_month_order,
        12 * (fiscal_year - 2023) as expected_months
    from fiscal_years
    where fiscal_year >= 2024

),

-- School years, named by the March in which their last class leaves school.
school_years as (

    select
        'SY' || fiscal_year as period_id,
        '学年' as period_kind,
        period_start,
        period_end,
        fiscal_year || '学年（' || (fiscal_year + 1) || '年3月卒）' as label_ja,
        {{ wareki_year("make_date(fiscal_year, 5, 1)") }} || '度の学年（'
        || {{ wareki_year("make_date(fiscal_year + 1, 3, 1)") }} || '3月卒）' as label_wareki,
        calendar_year,
        fiscal_year,
        month_number,
        fiscal_month_order,
        expected_months
    from fiscal_years

),

-- States on a day: read at the end of each 年度 since the plans began.
points as (

    select
        'AT' || period_end as period_id,
        '時点' as period_kind,
        period_end as period_start,
        period_end,
        label_ja || '末時点' as label_ja,
        label_wareki || '末時点' as label_wareki,
        calendar_year,
        fiscal_year,
        month_number,
        fiscal_month_order,
        1 as expected_months
    from fiscal_years
    where fiscal_year >= 2024

),

periods as (

    select * from month_periods
    union all
    select * from calendar_years
    union all
    select * from fiscal_years
    union all
    select * from school_years
    union all
    select * from cumulative_years
    union all
    select * from points

)

select
    period_id,
    period_kind,
    period_start,
    period_end,
    label_ja,
    label_wareki,
    {{ era_label('coalesce(calendar_year, fiscal_year)') }} as era_label,
    case period_kind
        when '暦年' then {{ era_names('calendar_year', '年') }}
        when '年度' then {{ era_names('fiscal_year', '年度') }}
        else label_wareki
    end as era_names,
    calendar_year,
    fiscal_year,
    month_number,
    fiscal_month_order,
    (fiscal_month_order + 2) / 3 as fiscal_quarter,
    (fiscal_month_order + 5) / 6 as fiscal_half,
    expected_months,
    row_number() over (order by period_start, period_end, period_kind)::integer as sort_order
from periods
