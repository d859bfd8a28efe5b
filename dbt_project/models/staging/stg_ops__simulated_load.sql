-- Loads whose answers came from another host than e-Stat: the simulator's cells are allocated, not published.
with

pages as (

    select * from {{ source('ops', 'load_page') }}

)

select distinct load_id
from pages
where url like '%/json/getStatsData?%' and url not like 'https://api.e-stat.go.jp/%'
