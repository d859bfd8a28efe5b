with

held_by_as_of as (

    select * from {{ source('ops', 'held_row') }}
    where {{ happened_by_as_of('held_at') }}

)

select
    held_id,
    load_id,
    feed,
    period as month,
    period_end,
    row as delivered,
    reason_ja,
    source_ref,
    held_at
from held_by_as_of
-- What was settled after the instant asked for was still waiting then.
where state = 'held' or not ({{ happened_by_as_of('settled_at') }})
