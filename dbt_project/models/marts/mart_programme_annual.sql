-- The figures of the programmes by 年度, beside those of the year before. Between a measure's first and
-- newest 年度 none is left out: a year that nobody reported is a row that says so. Figures that are partial
-- or planned are compared with nothing.
with

figures as (

    select * from {{ ref('mart_programme_value') }}
    where period_kind = '年度'

),

periods as (

    select * from {{ ref('dim_period') }}
    where period_kind = '年度'

),

series as (

    select
        feed,
        feed_name,
        owner_name,
        measure_code,
        measure_name,
        seed_id,
        display_order,
        breakdown_ja,
        credit,
        min(fiscal_year) as first_year,
        max(fiscal_year) as last_year,
        (array_agg(unit order by fiscal_year desc))[1] as unit,
        (array_agg(is_additive order by fiscal_year desc))[1] as is_additive,
        max(data_as_of) as data_as_of
    from figures
    group by
        feed, feed_name, owner_name, measure_code, measure_name, seed_id, display_order, breakdown_ja, credit

),

spine as (

    select
        series.*,
        periods.period_id,
        periods.fiscal_year,
        periods.label_ja as period_label,
        periods.label_wareki as period_label_wareki,
        figures.value,
        figures.qualifier,
        figures.value_mark,
        figures.note,
        figures.source_cell,
        figures.loaded_at,
        coalesce(figures.value_status, 'not_published') as value_status,
        coalesce(figures.gate_status, 'no_feed') as gate_status,
        coalesce(figures.held_rows, 0) as held_rows
    from series
    inner join periods on periods.fiscal_year between series.first_year and series.last_year
    left join figures
        on
            series.feed = figures.feed
            and series.measure_code = figures.measure_code
            and series.breakdown_ja = figures.breakdown_ja
            and periods.fiscal_year = figures.fiscal_year

),

compared as (

    select
        *,
        lag(value) over in_series as value_year_before,
        lag(value_status) over in_series as status_year_before
    from spine
    window in_series as (partition by feed, measure_code, breakdown_ja order by fiscal_year)

)

select
    feed,
    measure_code,
    breakdown_ja,
    fiscal_year,
    period_id,
    period_label,
    period_label_wareki,
    feed_name,
    owner_name,
    measure_name,
    seed_id,
    display_order,
    value,
    unit,
    is_additive,
    qualifier,
    value_mark,
    value_status,
    {{ status_label('value_status', 'value_status') }} as value_status_ja,
    value_year_before,
    case
        when value_status = 'actual' and status_year_before = 'actual' then value - value_year_before
    end as change_from_year_before,
    note,
    source_cell,
    loaded_at,
    data_as_of,
    gate_status,
    {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
    held_rows,
    credit
from compared
