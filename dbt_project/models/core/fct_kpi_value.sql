-- K12 国内間の社会増減 = 転入超過数 of 熊本県, both sexes, 移動者 (Japanese and foreign): the definition the slides use.
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

period_sums as (

    select
        months.kpi_id,
        periods.period_id,
        periods.period_kind,
        periods.expected_months,
        count(months.value)::integer as covered_months,
        sum(months.value) as value,
        count(months.value_year_before) filter (where months.value is not null) as paired_months,
        sum(months.value_year_before) filter (where months.value is not null) as value_year_before,
        max(months.loaded_at) as loaded_at,
        max(months.data_as_of) as data_as_of,
        max(months.source_updated_on) as source_updated_on,
        {{ worst_gate_status('months.gate_status') }} as gate_status,
        sum(months.held_rows)::bigint as held_rows
    from monthly_pairs as months
    inner join periods
        on
            months.month between periods.period_start and periods.period_end
            and periods.period_kind in ('月', '暦年', '年度')
    group by months.kpi_id, periods.period_id, periods.period_kind, periods.expected_months
),

filled_in_periods as (

    select * from {{ ref('int_kpi_filled_in') }}

)

select
    kpi_id,
    period_id,
    period_kind,
    value,
    case
        when covered_months = 0 then 'missing'
        when covered_months < expected_months then 'partial'
        else 'actual'
    end as value_status,
    covered_months,
    expected_months,
    case when paired_months = covered_months then value_year_before end as same_months_year_before,
    loaded_at,
    data_as_of,
    source_updated_on,
    gate_status,
    held_rows
from period_sums
union all
select
    kpi_id,
    period_id,
    period_kind,
    value,
    case
        when value is null then 'missing'
        when covered_months < expected_months then 'partial'
        else 'actual'
    end as value_status,
    covered_months,
    expected_months,
    null::numeric as same_months_year_before,
    loaded_at,
    coalesce(data_as_of, loaded_at) as data_as_of,
    null::date as source_updated_on,
    gate_status,
    held_rows
from filled_in_periods
