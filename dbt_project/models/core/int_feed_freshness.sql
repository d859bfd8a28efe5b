-- Per feed: up to when its history speaks.
with

loads as (

    select * from {{ ref('stg_ops__load') }}

)

select
    feed,
    max(published_at) as data_as_of,
    max(source_updated_on) as source_updated_on
from loads
where published_at is not null or state = 'unchanged'
group by feed
