with

left_out as (

    select * from {{ source('ops', 'set_aside') }}
    where {{ left_out_at_as_of() }}

)

select
    feed,
    load_id,
    known_from,
    shown_until,
    shown_ja
from left_out
