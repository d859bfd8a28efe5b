-- One row: up to when the whole history speaks. Rows without a source of their own carry this instant.
with

freshness as (

    select * from {{ ref('int_feed_freshness') }}

)

select coalesce(max(data_as_of), timestamptz '{{ var("as_of") or run_started_at }}') as data_as_of
from freshness
