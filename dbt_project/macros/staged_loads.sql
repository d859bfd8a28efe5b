{#- The books of the loads, with those that are set aside named as such; `left_out` is the condition on ops.set_aside. -#}
{% macro staged_loads(left_out) %}
with

loads as (

    select * from {{ source('ops', 'load') }}
    where
        {{ happened_by_as_of('opened_at') }}
        and {{ happened_by_as_of("coalesce(finished_at, opened_at)") }}

),

-- What a person decided after the instant asked for had not been decided then.
by_then as (

    select
        loads.*,
        answers.load_id is not null and not ({{ happened_by_as_of('answers.answered_at') }}) as was_asked,
        undone.load_id is not null and {{ happened_by_as_of('undone.undone_at') }} as is_undone
    from loads
    left join {{ source('ops', 'answer') }} as answers on loads.load_id = answers.load_id
    left join {{ source('ops', 'undo') }} as undone on loads.load_id = undone.load_id

),

left_out as (

    select
        feed,
        load_id,
        known_from
    from {{ source('ops', 'set_aside') }}
    where {{ left_out }}

)

select
    loads.load_id,
    loads.feed,
    loads.requested_period,
    loads.period_from,
    loads.period_to,
    -- A load that is set aside is accepted and not shown. What was found unchanged since is so against it, and is not shown either.
    case
        when loads.was_asked then 'asked'
        when loads.is_undone then 'undone'
        when left_out.load_id is not null then 'set_aside'
        when loads.state = 'unchanged' and loads.load_id > feed_left_out.load_id then 'repeats_set_aside'
        when loads.state = 'undone' then 'published'
        else loads.state
    end as state,
    case when loads.was_asked then 'asked' else loads.verdict end as verdict,
    loads.source_updated_on,
    loads.opened_at,
    case when left_out.load_id is null and not loads.was_asked and not loads.is_undone then loads.published_at end as published_at,
    loads.finished_at,
    -- A message quotes cells: of a feed under embargo it could tell what is not public yet.
    case
        when loads.embargoed and loads.error_ja is not null then '公表前の値を含みうるため、ここには出しません。'
        else loads.error_ja
    end as error_ja
from by_then as loads
left join left_out on loads.load_id = left_out.load_id and loads.published_at = left_out.known_from
left join (
    select
        feed,
        min(load_id) as load_id
    from left_out
    group by feed
) as feed_left_out on loads.feed = feed_left_out.feed
{% endmacro %}
