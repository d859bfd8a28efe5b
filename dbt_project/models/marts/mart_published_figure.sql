-- What the prefecture has published, beside what the accepted history gives for the same table and period.
-- A figure that was met once and is no more was revised; one that never was met differs without a reason that
-- this warehouse knows.
with

stated as (

    select * from {{ ref('published_figures') }}

),

versions as (

    select * from {{ ref('int_published_figure') }}

),

compared as (

    select
        figure_id,
        max(value) filter (where is_newest) as value_now,
        bool_or(is_met) as was_met,
        bool_or(is_met) filter (where is_newest) as is_met,
        max(instant) filter (where is_met) as last_met_at
    from versions
    group by figure_id

),

-- The first change after the figure was met last.
revisions as (

    select
        versions.figure_id,
        min(versions.instant) as revised_at
    from versions
    inner join compared on versions.figure_id = compared.figure_id
    where versions.instant > compared.last_met_at
    group by versions.figure_id

),

freshness as (

    select * from {{ ref('int_feed_freshness') }}

),

-- Every figure is one of 熊本県: a cell of another prefecture that waits is none of it.
waiting as (

    select
        stated.figure_id,
        sum(cells.held_rows)::bigint as held_rows
    from stated
    inner join {{ ref('int_cell_gate') }} as cells
        on
            stated.feed = cells.feed
            and cells.month between coalesce(stated.period_start, cells.month)
            and coalesce(stated.period_end, cells.month)
            and coalesce(cells.cell ->> 'area_code', '43000') = '43000'
    group by stated.figure_id

),

gates as (

    select
        stated.figure_id,
        {{ worst_gate_status('gate.gate_status') }} as gate_status
    from stated
    inner join {{ ref('int_feed_month_gate') }} as gate
        on
            stated.feed = gate.feed
            and gate.month between coalesce(stated.period_start, gate.month)
            and coalesce(stated.period_end, gate.month)
    group by stated.figure_id

),

feeds as (

    select * from {{ source('ops', 'feed') }}

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

judged as (

    select
        stated.*,
        coalesce(feeds.title_ja, stated.feed) as feed_name,
        compared.value_now,
        compared.value_now - stated.published_value as difference,
        case
            when compared.value_now is null then 'not_comparable'
            when compared.is_met then 'met'
            when compared.was_met then 'revised'
            else 'differs'
        end as figure_status,
        case when compared.was_met and not compared.is_met then revisions.revised_at end as revised_at,
        coalesce(freshness.data_as_of, warehouse.data_as_of) as data_as_of,
        {{ cell_gate_status("coalesce(gates.gate_status, 'no_feed')", 'waiting.held_rows', '0') }}
            as gate_status,
        coalesce(waiting.held_rows, 0) as held_rows
    from stated
    left join compared on stated.figure_id = compared.figure_id
    left join revisions on stated.figure_id = revisions.figure_id
    left join gates on stated.figure_id = gates.figure_id
    left join waiting on stated.figure_id = waiting.figure_id
    left join freshness on stated.feed = freshness.feed
    left join feeds on stated.feed = feeds.feed
    cross join warehouse

)

select
    figure_id,
    statement_ja,
    feed,
    feed_name,
    period_start,
    period_end,
    published_value,
    published_on,
    published_on_assumed,
    value_now,
    difference,
    figure_status,
    {{ status_label('figure_status', 'figure_status') }} as figure_status_ja,
    revised_at,
    case figure_status
        when 'revised'
            then
                to_char(revised_at at time zone 'Asia/Tokyo', 'YYYY-MM-DD') || ' に改定済み（公表値 '
                || published_value || '、現在の値 ' || value_now || '、差 '
                || case when difference > 0 then '+' else '' end || difference || '）'
        when 'differs'
            then
                '公表値 ' || published_value || ' と現在の値 ' || value_now || ' の差 '
                || case when difference > 0 then '+' else '' end || difference || ' を説明する改定の記録がありません'
    end as note_ja,
    source,
    case figure_status
        when 'not_comparable' then 'not_published'
        when 'revised' then 'revised'
        else 'actual'
    end as value_status,
    data_as_of,
    gate_status,
    {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
    held_rows
from judged
