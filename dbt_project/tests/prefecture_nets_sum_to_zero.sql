select
    moves.period_id,
    moves.sex_code,
    moves.nationality_code,
    sum(moves.net_migration) as net_of_prefectures
from {{ ref('fct_migration_monthly') }} as moves
inner join {{ ref('dim_area') }} as areas on moves.area_code = areas.area_code
where areas.area_kind = '都道府県'
group by moves.period_id, moves.sex_code, moves.nationality_code
having count(moves.net_migration) = 47 and sum(moves.net_migration) <> 0
