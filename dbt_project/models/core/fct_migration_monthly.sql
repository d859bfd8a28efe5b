with

cells as (

    select * from {{ ref('stg_estat__migration_monthly') }}

),

marks as (

    select * from {{ ref('dim_status') }}
    where domain = 'missing_mark'

),

quality as (

    select * from {{ ref('int_feed_month_quality') }}
    where feed = 'estat_migration_monthly'

),

-- One row per area and month: the three indicators side by side.
moves as (

    select
        month,
        area_code,
        sex_code,
        nationality_code,
        max(persons) filter (where indicator_code = '02') as in_migrants,
        max(persons) filter (where indicator_code = '03') as out_migrants,
        max(persons) filter (where indicator_code = '04') as net_migration,
        min(persons_mark) as mark,
        max(loaded_at) as loaded_at
    from cells
    group by month, area_code, sex_code, nationality_code

)

select
    to_char(moves.month, 'YYYY-MM') as period_id,
    moves.area_code,
    moves.sex_code,
    moves.nationality_code,
    moves.in_migrants,
    moves.out_migrants,
    moves.net_migration,
    case
        when moves.in_migrants + moves.out_migrants + moves.net_migration is null then 'missing'
        else 'actual'
    end as value_status,
    marks.label_ja as missing_reason,
    moves.loaded_at,
    quality.data_as_of,
    quality.source_updated_on,
    quality.gate_status,
    quality.held_rows
from moves
left join marks on moves.mark = marks.code
left join quality on moves.month = quality.month
