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
    error_ja
from loads
