{{ config(post_hook="{{ only_for_owners() }}") }}

-- Figures that only their owner may see: held back until the owner says whether they are right, or accepted
-- and under embargo.
with

held as (

    select
        load_id,
        feed,
        'held' as draft_status,
        reason_ja,
        held_at as loaded_at,
        null::timestamptz as public_from,
        source_ref as source_cell,
        delivered ->> 'kpi_code' as kpi_id,
        delivered ->> 'measure_code' as measure_code,
        delivered ->> 'period_kind' as period_kind,
        month as period_start,
        (delivered ->> 'period_end')::date as period_end,
        coalesce(delivered ->> 'value', delivered ->> 'persons')::numeric as value,
        delivered ->> 'unit' as unit,
        delivered ->> 'value_status' as value_status,
        delivered ->> 'note' as note
    from {{ ref('stg_ops__held_row') }}

),

waiting as (

    select
        load_id,
        feed,
        'embargoed' as draft_status,
        null as reason_ja,
        loaded_at,
        public_from,
        source_cell,
        breakdown ->> 'kpi_code' as kpi_id,
        measure_code,
        period_kind,
        period_start,
        period_end,
        value,
        unit,
        value_status,
        note
    from {{ ref('stg_files__waiting') }}

),

drafts as (

    select * from held
    union all
    select * from waiting

),

kpis as (

    select * from {{ ref('dim_kpi') }}

),

feeds as (

    select * from {{ source('ops', 'feed') }}

),

freshness as (

    select * from {{ ref('int_feed_freshness') }}

)

select
    drafts.feed,
    feeds.title_ja as feed_name,
    -- The body that owns the KPI; of other figures, the division that hands in the feed.
    'kpi_draft_' || coalesce(kpis.owner_id, drafts.feed) as owner_role,
    coalesce(kpis.owner_body, feeds.owner_ja) as owner_name,
    drafts.kpi_id,
    coalesce(kpis.kpi_name, drafts.measure_code) as figure_name,
    drafts.period_kind,
    drafts.period_start,
    drafts.period_end,
    drafts.value,
    drafts.unit,
    drafts.value_status,
    drafts.note,
    drafts.draft_status,
    {{ status_label('draft_status', 'drafts.draft_status') }} as draft_status_ja,
    drafts.reason_ja,
    drafts.public_from,
    drafts.source_cell,
    drafts.load_id,
    drafts.loaded_at,
    coalesce(freshness.data_as_of, drafts.loaded_at) as data_as_of,
    case drafts.draft_status when 'held' then 'held' else 'passed' end as gate_status
from drafts
left join kpis on drafts.kpi_id = kpis.kpi_id
left join feeds on drafts.feed = feeds.feed
left join freshness on drafts.feed = freshness.feed
