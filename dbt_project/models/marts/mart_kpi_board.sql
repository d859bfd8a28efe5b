{{ config(post_hook="{{ create_board_as_of() }}") }}
with

kpis as (

    select * from {{ ref('dim_kpi') }}

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

-- Only periods of the KPI's own kind: a 暦年 KPI never shows a 年度 figure.
own_history as (

    select history.*
    from {{ ref('mart_kpi_history') }} as history
    inner join kpis on history.kpi_id = kpis.kpi_id and history.period_kind = kpis.period_kind

),

-- A period that is over stays the newest, whether its figure is final, 速報, or none because a month is
-- missing.
reached as (

    select
        *,
        case
            when value_status in ('actual', 'revised', 'provisional') then 'over'
            when value_status = 'gap' and period_end <= newest_month_end then 'over'
            when value_status in ('partial', 'gap') then 'in_progress'
            else 'nothing'
        end as reach
    from (
        select
            own_history.*,
            newest.newest_month_end
        from own_history
        left join
            (
                select
                    kpi_id,
                    max(period_end) as newest_month_end
                from {{ ref('mart_kpi_history') }}
                where period_kind = '月' and value_status <> 'not_published'
                group by kpi_id
            ) as newest
            on own_history.kpi_id = newest.kpi_id
    ) as dated

),

newest_period as (

    select distinct on (kpi_id) *
    from reached
    order by kpi_id asc, reach = 'over' desc, reach = 'in_progress' desc, period_end desc

),

newest_over as (

    select * from newest_period
    where reach = 'over'

),

in_progress as (

    select distinct on (partials.kpi_id) partials.*
    from reached as partials
    left join newest_over on partials.kpi_id = newest_over.kpi_id
    where
        partials.reach = 'in_progress'
        and (newest_over.period_end is null or partials.period_end > newest_over.period_end)
    order by partials.kpi_id asc, partials.period_end desc

),

-- What stands before a newest period that has no figure; never shown in its place.
last_known as (

    select distinct on (known.kpi_id)
        known.kpi_id,
        known.value,
        known.period_label
    from reached as known
    inner join newest_over on known.kpi_id = newest_over.kpi_id
    where newest_over.value is null and known.reach = 'over' and known.value is not null
    order by known.kpi_id asc, known.period_end desc

),

shown as (

    select * from newest_period
    union
    select * from in_progress

),

quality as (

    select
        kpi_id,
        max(data_as_of) as data_as_of,
        max(source_updated_on) as source_updated_on,
        max(loaded_at) as loaded_at,
        {{ worst_gate_status('gate_status') }} as gate_status,
        sum(held_rows)::bigint as held_rows
    from shown
    group by kpi_id

),

-- Feeds of which a load is set aside: what their KPIs show is older than what was delivered.
left_out as (

    select
        feed_kpis.kpi_id,
        string_agg(distinct left_out.shown_ja, ' ') as left_out_ja
    from {{ ref('stg_ops__set_aside') }} as left_out
    inner join {{ source('ops', 'feed') }} as feeds on left_out.feed = feeds.feed
    cross join unnest(feeds.kpis) as feed_kpis (kpi_id)
    group by feed_kpis.kpi_id

),

stated as (

    select
        kpis.*,
        newest_over.value as actual_value,
        newest_over.period_id as actual_period_id,
        newest_over.period_label as actual_period_label,
        newest_over.period_label_wareki as actual_period_label_wareki,
        newest_over.missing_ja as actual_missing_ja,
        last_known.value as last_known_value,
        last_known.period_label as last_known_period_label,
        in_progress.missing_ja as in_progress_missing_ja,
        case
            when kpis.kpi_type = 'none' then 'not_applicable'
            when newest_period.reach = 'in_progress' then 'not_published'
            else newest_period.value_status
        end as value_status,
        coalesce(newest_period.judgement, 'not_judged') as judgement,
        coalesce(newest_period.judgement_reason, 'no_kpi') as judgement_reason,
        newest_period.shortfall,
        in_progress.value as in_progress_value,
        in_progress.period_id as in_progress_period_id,
        in_progress.period_label as in_progress_period_label,
        in_progress.covered_months as in_progress_covered_months,
        in_progress.expected_months as in_progress_expected_months,
        in_progress.same_months_year_before as in_progress_same_months_year_before,
        coalesce(quality.data_as_of, warehouse.data_as_of) as data_as_of,
        quality.source_updated_on,
        quality.loaded_at,
        coalesce(quality.gate_status, 'no_feed') as gate_status,
        coalesce(quality.held_rows, 0) as held_rows,
        left_out.left_out_ja
    from kpis
    left join newest_period on kpis.kpi_id = newest_period.kpi_id
    left join newest_over on kpis.kpi_id = newest_over.kpi_id
    left join last_known on kpis.kpi_id = last_known.kpi_id
    left join in_progress on kpis.kpi_id = in_progress.kpi_id
    left join quality on kpis.kpi_id = quality.kpi_id
    left join left_out on kpis.kpi_id = left_out.kpi_id
    cross join warehouse

),

worded as (

    select
        *,
        {{ status_label('target_status', 'target_status') }} as target_status_ja,
        {{ status_label('baseline_status', 'baseline_status') }} as baseline_status_ja,
        {{ status_label('value_status', 'value_status') }} as value_status_ja,
        {{ status_label('judgement', 'judgement') }} as judgement_ja,
        {{ period_status_label('judgement_reason', 'judgement_reason', 'period_kind') }}
            as judgement_reason_ja,
        {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
        in_progress_covered_months || '/' || in_progress_expected_months as in_progress_coverage
    from stated

)

select
    kpi_id,
    display_order,
    plan,
    pillar,
    theme,
    kpi_name,
    owner_body,
    unit,
    display_decimals,
    kpi_type,
    direction,
    period_kind,
    {{ target_text('target_value', 'target_upper', 'display_decimals', 'unit', 'target_status_ja') }}
        as target_ja,
    {{ figure_text('baseline_value', 'display_decimals', 'unit', 'baseline_status_ja') }} as baseline_ja,
    {{ figure_text('actual_value', 'display_decimals', 'unit', 'value_status_ja') }} as actual_ja,
    {{ figure_text('in_progress_value', 'display_decimals', 'unit', "'途中の値なし'") }} as in_progress_ja,
    target_value,
    target_upper,
    target_period,
    target_text,
    target_status,
    target_status_ja,
    baseline_value,
    baseline_period,
    baseline_status,
    baseline_status_ja,
    actual_value,
    actual_period_id,
    actual_period_label,
    actual_period_label_wareki,
    value_status,
    value_status_ja,
    judgement,
    judgement_ja,
    judgement_reason,
    judgement_reason_ja,
    shortfall,
    in_progress_value,
    in_progress_period_id,
    in_progress_period_label,
    in_progress_covered_months,
    in_progress_expected_months,
    in_progress_coverage,
    in_progress_same_months_year_before,
    nullif(concat_ws('・', actual_missing_ja, in_progress_missing_ja), '') as missing_ja,
    case
        when kpi_type = 'none' then target_status_ja
        else coalesce(nullif(concat_ws(
            '・',
            case when target_status <> 'registered' then target_status_ja end,
            case when baseline_status <> 'registered' then baseline_status_ja end,
            case when value_status <> 'actual' then coalesce(actual_missing_ja, value_status_ja) end,
            '値のある最新は' || last_known_period_label || ' '
            || {{ number_text('last_known_value', 'display_decimals') }} || unit,
            case when in_progress_coverage is not null then period_kind || '途中' || in_progress_coverage end,
            in_progress_missing_ja,
            case when judgement_reason = 'type_undetermined' then judgement_ja end
        ), ''), 'なし')
    end as conditions_ja,
    data_as_of,
    source_updated_on,
    loaded_at,
    gate_status,
    gate_status_ja,
    held_rows,
    left_out_ja
from worded
