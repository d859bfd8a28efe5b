with

loads as (

    select * from {{ source('ops', 'load') }}
    where
        {{ happened_by_as_of('opened_at') }}
        and {{ happened_by_as_of("coalesce(finished_at, opened_at)") }}

)

select
    load_id,
    feed,
    requested_period,
    period_from,
    period_to,
    state,
    verdict,
    source_updated_on,
    opened_at,
    published_at,
    finished_at,
    -- A message quotes cells: of a feed under embargo it could tell what is not public yet.
    case
        when embargoed and error_ja is not null then '公表前の値を含みうるため、ここには出しません。'
        else error_ja
    end as error_ja
from loads
