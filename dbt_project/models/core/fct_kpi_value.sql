-- K12 国内間の社会増減 = 転入超過数 of 熊本県, both sexes, 移動者 (Japanese and foreign): the definition the slides use.
with

periods as (

    select * from {{ ref('dim_period') }}
    where period_kind in ('月', '暦年', '年度', '累計', '時点')

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

-- What the divisions filled in. A figure belongs to the period of the KPI's own kind that ends with the
-- year of its last day; as long as that year is not over, the figure is partial.
filled_in as (

    select
        delivered.breakdown ->> 'kpi_code' as kpi_id,
        delivered.period_end,
        delivered.value,
        delivered.value_status,
        delivered.load_id,
        delivered.loaded_at,
        delivered.period_start
    from {{ ref('stg_files__kpi_progress') }} as delivered
    where delivered.value_status in ('actual', 'partial', 'provisional', 'revised')

),

filled_in_periods as (

    select distinct on (filled_in.kpi_id, periods.period_id)
        filled_in.kpi_id,
        periods.period_id,
        periods.period_kind,
        filled_in.value,
        case periods.period_kind
            when '時点' then (filled_in.period_end = periods.period_end)::integer
            else
                least(
                    periods.expected_months,
                    {{ months_between('periods.period_start', 'filled_in.period_end + 1') }}
                )
        end as covered_months,
        periods.expected_months,
        filled_in.loaded_at,
        freshness.data_as_of,
        coalesce(gates.gate_status, 'passed') as gate_status,
        coalesce(gates.held_rows, 0) as held_rows
    from filled_in
    inner join {{ ref('dim_kpi') }} as kpis on filled_in.kpi_id = kpis.kpi_id
    inner join periods
        on
            kpis.period_kind = periods.period_kind
            and periods.period_kind <> '月'
            and filled_in.period_end > periods.period_end - interval '1 year'
            and filled_in.period_end <= periods.period_end
    left join {{ ref('int_feed_freshness') }} as freshness on freshness.feed = 'kpi_progress'
    left join {{ ref('int_feed_month_gate') }} as gates
        on
            gates.feed = 'kpi_progress'
            and date_trunc('month', filled_in.period_start) = date_trunc('month', gates.month)
    -- K12 is computed from the source; a figure typed beside it would only disagree.
    where filled_in.kpi_id <> 'K12'
    order by filled_in.kpi_id asc, periods.period_id asc, filled_in.period_end desc

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
