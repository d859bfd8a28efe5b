-- K12 国内間の社会増減 = 転入超過数 of 熊本県, both sexes, 移動者 (Japanese and foreign): the definition the slides use. A
-- year with a hole has no sum: between the first month that is known and the newest that was delivered, a
-- month without a number is missing, by name. A year that begins before the first known month is out of the
-- table's range.
with

periods as (

    select * from {{ ref('dim_period') }}
    where period_kind in ('月', '暦年', '年度', '学年', '累計', '時点')

),

monthly_values as (

    select
        'K12' as kpi_id,
        periods.period_start as month,
        moves.net_migration as value,
        moves.loaded_at,
        moves.data_as_of,
        moves.source_updated_on,
        moves.gate_status,
        moves.held_rows
    from {{ ref('fct_migration_monthly') }} as moves
    inner join periods on moves.period_id = periods.period_id
    where moves.area_code = '43000' and moves.sex_code = '0' and moves.nationality_code = '60000'

),

-- The same month a year before stands beside each month: a partial year is compared with nothing else.
monthly_pairs as (

    select
        this_year.*,
        year_before.value as value_year_before
    from monthly_values as this_year
    left join monthly_values as year_before
        on
            this_year.kpi_id = year_before.kpi_id
            and this_year.month - interval '1 year' = year_before.month

),

spans as (

    select
        kpi_id,
        min(month) filter (where value is not null) as first_month,
        max(month) as last_month
    from monthly_values
    group by kpi_id

),

spine as (

    select
        spans.kpi_id,
        spans.first_month,
        spans.last_month,
        periods.period_start as month,
        periods.month_number
    from spans
    inner join periods
        on periods.period_kind = '月' and periods.period_start between spans.first_month and spans.last_month

),

months as (

    select
        spine.kpi_id,
        spine.first_month,
        spine.last_month,
        spine.month,
        spine.month_number,
        monthly_pairs.value,
        monthly_pairs.value_year_before,
        monthly_pairs.loaded_at,
        monthly_pairs.data_as_of,
        monthly_pairs.source_updated_on,
        coalesce(monthly_pairs.gate_status, 'no_feed') as gate_status,
        coalesce(monthly_pairs.held_rows, 0) as held_rows
    from spine
    left join monthly_pairs on spine.kpi_id = monthly_pairs.kpi_id and spine.month = monthly_pairs.month

),

period_sums as (

    select
        months.kpi_id,
        periods.period_id,
        periods.period_kind,
        periods.expected_months,
        periods.period_start < min(months.first_month) as begins_before,
        string_agg(months.month_number || '月', '・' order by months.month)
        filter (where months.value is null) as missing_months_ja,
        count(months.value)::integer as covered_months,
        sum(months.value) as value,
        count(months.value_year_before) filter (where months.value is not null) as paired_months,
        sum(months.value_year_before) filter (where months.value is not null) as value_year_before,
        max(months.loaded_at) as loaded_at,
        max(months.data_as_of) as data_as_of,
        max(months.source_updated_on) as source_updated_on,
        {{ worst_gate_status('months.gate_status') }} as gate_status,
        sum(months.held_rows)::bigint as held_rows
    from months
    inner join periods
        on
            months.month between periods.period_start and periods.period_end
            and periods.period_kind in ('月', '暦年', '年度')
    group by
        months.kpi_id, periods.period_id, periods.period_kind, periods.period_start, periods.expected_months

),

judged_sums as (

    select
        *,
        case
            when covered_months = expected_months then 'actual'
            when period_kind = '月' then 'missing'
            when begins_before then 'out_of_range'
            when missing_months_ja is not null then 'gap'
            else 'partial'
        end as value_status
    from period_sums

),

filled_in_periods as (

    select * from {{ ref('int_kpi_filled_in') }}

)

select
    kpi_id,
    period_id,
    period_kind,
    case when value_status not in ('gap', 'out_of_range') then value end as value,
    value_status,
    covered_months,
    expected_months,
    case when value_status = 'gap' then missing_months_ja end as missing_months_ja,
    case
        when paired_months = covered_months and value_status not in ('gap', 'out_of_range')
            then value_year_before
    end as same_months_year_before,
    loaded_at,
    data_as_of,
    source_updated_on,
    gate_status,
    held_rows
from judged_sums
union all
select
    kpi_id,
    period_id,
    period_kind,
    value,
    value_status,
    covered_months,
    expected_months,
    null::text as missing_months_ja,
    null::numeric as same_months_year_before,
    loaded_at,
    coalesce(data_as_of, loaded_at) as data_as_of,
    null::date as source_updated_on,
    gate_status,
    held_rows
from filled_in_periods
