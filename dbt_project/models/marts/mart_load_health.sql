-- A view on purpose: it tells the truth about the last load even when the marts could not be built since.
with

loads as (

    select * from ({{ staged_loads(left_out_of_what_is_shown()) }}) as staged

),

held_rows as (

    select
        feed,
        count(*) as held_rows
    from {{ ref('stg_ops__held_row') }}
    group by feed

),

left_out as (

    select
        feed,
        max(shown_ja) as left_out_ja
    from {{ source('ops', 'set_aside') }}
    where {{ left_out_of_what_is_shown() }}
    group by feed

),

newest_load as (

    select distinct on (feed) *
    from loads
    order by feed asc, load_id desc

),

open_question as (

    select distinct feed
    from loads
    where state = 'asked'

),

newest_decision as (

    select distinct on (feed)
        feed,
        state,
        verdict
    from loads
    where published_at is not null or state in ('unchanged', 'rejected', 'set_aside', 'asked')
    order by feed asc, load_id desc

),

published as (

    select
        feed,
        max(published_at) as data_as_of,
        max(source_updated_on) as source_updated_on,
        max(period_to) as newest_month
    from loads
    where published_at is not null or state = 'unchanged'
    group by feed

),

stated as (

    select
        newest_load.*,
        published.data_as_of,
        published.newest_month,
        published.source_updated_on as newest_source_update,
        case when published.data_as_of is null then 'not_published' else 'actual' end as value_status,
        case
            when newest_decision.state = 'rejected' then 'rejected'
            when left_out.feed is not null then 'set_aside'
            when open_question.feed is not null then 'asked'
            when held_rows.held_rows > 0 then 'held'
            when newest_decision.verdict in ('flagged', 'released') then newest_decision.verdict
            when published.data_as_of is not null then 'passed'
            else 'no_feed'
        end as gate_status,
        coalesce(held_rows.held_rows, 0) as held_rows,
        left_out.left_out_ja
    from newest_load
    left join newest_decision on newest_load.feed = newest_decision.feed
    left join open_question on newest_load.feed = open_question.feed
    left join published on newest_load.feed = published.feed
    left join held_rows on newest_load.feed = held_rows.feed
    left join left_out on newest_load.feed = left_out.feed

)

select
    feed,
    load_id,
    requested_period as requested_month,
    state,
    {{ status_label('load_state', 'state') }} as state_ja,
    opened_at,
    finished_at,
    error_ja,
    newest_month,
    newest_source_update as source_updated_on,
    data_as_of,
    value_status,
    gate_status,
    {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
    held_rows,
    left_out_ja
from stated
