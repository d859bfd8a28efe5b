with

loads as (

    select * from {{ source('ops', 'load') }}
    where
        {{ happened_by_as_of('opened_at') }}
        and {{ happened_by_as_of("coalesce(finished_at, opened_at)") }}

),

answers as (

    select * from {{ source('ops', 'answer') }}

),

undone as (

    select * from {{ source('ops', 'undo') }}

),

-- What a person decided after the instant asked for had not been decided then.
by_then as (

    select
        loads.*,
        answers.load_id is not null and not ({{ happened_by_as_of('answers.answered_at') }}) as was_asked,
        undone.load_id is not null and {{ happened_by_as_of('undone.undone_at') }} as is_undone
    from loads
    left join answers on loads.load_id = answers.load_id
    left join undone on loads.load_id = undone.load_id

)

select
    load_id,
    feed,
    requested_period,
    period_from,
    period_to,
    case
        when was_asked then 'asked'
        when state = 'undone' and not is_undone then 'published'
        else state
    end as state,
    case when was_asked then 'asked' else verdict end as verdict,
    source_updated_on,
    opened_at,
    case when not was_asked and not is_undone then published_at end as published_at,
    finished_at,
    -- A message quotes cells: of a feed under embargo it could tell what is not public yet.
    case
        when embargoed and error_ja is not null then '公表前の値を含みうるため、ここには出しません。'
        else error_ja
    end as error_ja
from by_then
