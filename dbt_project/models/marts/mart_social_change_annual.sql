-- 社会増減 of 熊本県 by year: every 暦年 and every 年度 is a row of its own kind, and a change is only ever
-- from the year before of the same kind. What the prefecture printed stands beside it.
with

months as (

    select * from {{ ref('mart_migration_monthly') }}
    where area_code = '43000'

),

spans as (

    select
        min(month_start) as first_month,
        max(month_start) as last_month
    from months

),

periods as (

    select calendar.*
    from {{ ref('dim_period') }} as calendar
    inner join spans
        on calendar.period_end >= spans.first_month and calendar.period_start <= spans.last_month
    where calendar.period_kind in ('暦年', '年度')

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

history as (

    select * from {{ ref('mart_kpi_history') }}
    where kpi_id = 'K12'

),

stated as (

    select * from {{ ref('published_figures') }}

),

years as (

    select
        periods.period_id,
        periods.period_kind,
        periods.period_start,
        periods.period_end,
        periods.label_ja,
        periods.label_wareki,
        periods.era_label,
        periods.sort_order,
        periods.expected_months,
        coalesce(periods.calendar_year, periods.fiscal_year) as year,
        count(months.period_id)::integer as covered_months,
        case
            when count(months.in_migrants) = count(months.period_id) then sum(months.in_migrants)
        end::bigint as in_migrants,
        case
            when count(months.out_migrants) = count(months.period_id) then sum(months.out_migrants)
        end::bigint as out_migrants,
        sum(months.net_migration)::bigint as net_migration,
        case
            when count(months.net_year_before) = count(months.period_id) then sum(months.net_year_before)
        end::bigint as same_months_year_before,
        max(months.data_as_of) as data_as_of,
        max(months.source_updated_on) as source_updated_on,
        max(months.loaded_at) as loaded_at,
        {{ worst_gate_status('months.gate_status') }} as gate_status,
        sum(months.held_rows)::bigint as held_rows
    from periods
    left join months
        on
            months.month_start between periods.period_start and periods.period_end
            and months.net_migration is not null
    group by
        periods.period_id, periods.period_kind, periods.period_start, periods.period_end, periods.label_ja,
        periods.label_wareki, periods.era_label, periods.sort_order, periods.expected_months,
        periods.calendar_year, periods.fiscal_year

),

compared as (

    select
        *,
        case
            when
                covered_months = expected_months
                and lag(covered_months) over in_kind = lag(expected_months) over in_kind
                then net_migration - lag(net_migration) over in_kind
        end as change_from_year_before
    from years
    window in_kind as (partition by period_kind order by period_start)

)

select
    compared.period_id,
    compared.period_kind,
    compared.year,
    compared.label_ja as period_label,
    compared.label_wareki as period_label_wareki,
    compared.era_label,
    compared.period_start,
    compared.period_end,
    compared.sort_order as period_sort_order,
    -- A year with a hole has no sum.
    case when history.value is not null then compared.in_migrants end as in_migrants,
    case when history.value is not null then compared.out_migrants end as out_migrants,
    case when history.value is not null then compared.net_migration end as net_migration,
    history.value_status,
    {{ period_status_label('value_status', 'history.value_status', 'compared.period_kind') }}
        as value_status_ja,
    compared.covered_months,
    compared.expected_months,
    compared.covered_months || '/' || compared.expected_months as coverage,
    compared.change_from_year_before,
    case when history.value is not null then compared.same_months_year_before end as same_months_year_before,
    case
        when history.value is not null then compared.net_migration - compared.same_months_year_before
    end as change_from_same_months,
    history.target_value,
    history.target_status,
    {{ status_label('target_status', 'history.target_status') }} as target_status_ja,
    history.judgement,
    history.judgement_ja,
    stated.published_value as published_net_migration,
    compared.net_migration - stated.published_value as difference_from_published,
    stated.source as published_source,
    coalesce(compared.data_as_of, warehouse.data_as_of) as data_as_of,
    compared.source_updated_on,
    compared.loaded_at,
    coalesce(compared.gate_status, 'no_feed') as gate_status,
    {{ status_label('gate_status', "coalesce(compared.gate_status, 'no_feed')") }} as gate_status_ja,
    coalesce(compared.held_rows, 0) as held_rows
from compared
inner join history on compared.period_id = history.period_id
left join stated on compared.period_id = stated.figure_id and history.value_status = 'actual'
cross join warehouse
