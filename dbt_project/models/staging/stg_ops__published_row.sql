with

shown as (

    select * from {{ source('ops', 'published_row') }}
    where {{ happened_by_as_of('published_from') }}

)

select
    relation,
    row_key,
    published_from,
    build_id,
    row as shown
from shown
