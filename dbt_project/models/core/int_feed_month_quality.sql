-- The quality columns that every row made of a feed carries, per feed and month.
with

gate as (

    select * from {{ ref('int_feed_month_gate') }}

),

freshness as (

    select * from {{ ref('int_feed_freshness') }}

)

select
    gate.feed,
    gate.month,
    freshness.data_as_of,
    freshness.source_updated_on,
    gate.gate_status
from gate
inner join freshness on gate.feed = freshness.feed
