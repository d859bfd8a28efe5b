with

still_held as (

    select * from {{ source('ops', 'held_row') }}
    where
        {% if var('as_of') -%}
        {{ happened_by_as_of('held_at') }}
        and not (settled_at is not null and {{ happened_by_as_of('settled_at') }})
        {%- else -%}
        state = 'held'
        {%- endif %}

)

select
    held_id,
    feed,
    period as month
from still_held
