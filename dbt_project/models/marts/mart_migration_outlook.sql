-- Where K12 ends its year, seen from the end of each month, by two methods and with what became of it.
-- The straight line (so far × 12 ÷ months) is shown because it is what everyone computes; March and
-- April hold more than a year's net, so it is wrong from April to December. The seasonal line adds
-- what the remaining months brought in up to five years before.
with

months as (

    select
        actuals.period_id,
        actuals.value,
        actuals.data_as_of,
        actuals.gate_status,
        actuals.held_rows,
        periods.period_end as as_of_month_end,
        periods.label_ja as month_label,
        periods.calendar_year,
        periods.month_number
    from {{ ref('fct_kpi_value') }} as actuals
    inner join {{ ref('dim_period') }} as periods on actuals.period_id = periods.period_id
    where actuals.kpi_id = 'K12' and actuals.period_kind = '月' and actuals.value is not null

),

-- Only years without a gap before the month: a sum with a hole is no estimate.
so_far as (

    select
        *,
        sum(value) over year_to_month as value_to_date,
        count(*) over year_to_month as covered_months
    from months
    window year_to_month as (partition by calendar_year order by month_number rows unbounded preceding)

),

years as (

    select
        calendar_year,
        sum(value) as year_value
    from months
    group by calendar_year
    having count(*) = 12

),

-- What the rest of a full year brought after each of its months.
remainders as (

    select
        so_far.calendar_year,
        so_far.month_number,
        years.year_value - so_far.value_to_date as rest_of_year
    from so_far
    inner join years on so_far.calendar_year = years.calendar_year

),

seasons as (

    select
        so_far.period_id,
        count(*) as seasonal_years,
        avg(remainders.rest_of_year) as mean_rest,
        min(remainders.rest_of_year) as lowest_rest,
        max(remainders.rest_of_year) as highest_rest
    from so_far
    inner join remainders
        on
            so_far.month_number = remainders.month_number
            and remainders.calendar_year between so_far.calendar_year - 5 and so_far.calendar_year - 1
    group by so_far.period_id

),

target as (

    select
        target_value,
        target_year,
        plan_first_year
    from {{ ref('dim_kpi') }}
    where kpi_id = 'K12'

),

estimated as (

    select
        so_far.*,
        seasons.seasonal_years,
        so_far.value_to_date * 12 / so_far.month_number as straight_line_estimate,
        so_far.value_to_date + seasons.mean_rest as seasonal_estimate,
        so_far.value_to_date + seasons.lowest_rest as seasonal_low,
        so_far.value_to_date + seasons.highest_rest as seasonal_high,
        years.year_value as year_actual,
        case when so_far.calendar_year >= target.plan_first_year then target.target_value end as target_value,
        12 - so_far.month_number as months_left
    from so_far
    -- A range of fewer than three years says nothing.
    inner join seasons on so_far.period_id = seasons.period_id and seasons.seasonal_years >= 3
    left join years on so_far.calendar_year = years.calendar_year
    cross join target
    where so_far.covered_months = so_far.month_number

)

select
    period_id,
    month_label,
    as_of_month_end,
    calendar_year,
    month_number,
    value_to_date,
    target_value as linear_expected_value,
    target_value + value_to_date - seasonal_estimate as seasonal_expected_value,
    straight_line_estimate,
    seasonal_estimate,
    seasonal_low,
    seasonal_high,
    seasonal_years::integer as seasonal_years,
    -- How many more people a month than the usual season, in every month that is left, meet the target
    -- exactly.
    case when months_left > 0 then (target_value - seasonal_estimate) / months_left end
        as required_pace_per_month,
    months_left,
    case
        when target_value is null then 'この年の目標値はありません'
        when months_left = 0 then '年の値が確定しています'
        when seasonal_estimate >= target_value then '例年どおりなら目標値に届きます'
        else '例年より あと' || ceil((target_value - seasonal_estimate) / months_left)::integer || '人/月'
    end as required_pace_ja,
    year_actual,
    straight_line_estimate - year_actual as straight_line_error,
    seasonal_estimate - year_actual as seasonal_error,
    year_actual between seasonal_low and seasonal_high as is_actual_in_range,
    case when year_actual is null then 'partial' else 'actual' end as value_status,
    data_as_of,
    gate_status,
    held_rows
from estimated
