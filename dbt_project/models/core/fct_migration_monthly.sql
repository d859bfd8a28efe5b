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

waiting as (

    select
        month,
        cell ->> 'area_code' as area_code,
        cell ->> 'sex_code' as sex_code,
        cell ->> 'nationality_code' as nationality_code,
        load_id,
        held_rows,
        flagged_rows
    from {{ ref('int_cell_gate') }}
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
        max(loaded_at) as loaded_at,
        array_agg(load_id) as load_ids
    from cells
    group by month, area_code, sex_code, nationality_code

),

-- Few cells wait or were warned of: what they touch is found from their side.
touched as (

    select
        moves.month,
        moves.area_code,
        moves.sex_code,
        moves.nationality_code,
        sum(waiting.held_rows)::bigint as held_rows,
        sum(waiting.flagged_rows) filter (where waiting.load_id = any(moves.load_ids)) as flagged_rows
    from waiting
    inner join moves
        on
            waiting.month = moves.month
            and waiting.area_code = moves.area_code
            and waiting.sex_code = moves.sex_code
            and waiting.nationality_code = moves.nationality_code
    group by moves.month, moves.area_code, moves.sex_code, moves.nationality_code

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
        when moves.in_migrants + moves.out_migrants + moves.net_migration is not null then 'actual'
        else {{ missing_status('moves.mark') }}
    end as value_status,
    marks.label_ja as missing_reason,
    moves.loaded_at,
    quality.data_as_of,
    quality.source_updated_on,
    {{ cell_gate_status('quality.gate_status', 'touched.held_rows', 'touched.flagged_rows') }} as gate_status,
    case when quality.gate_status is not null then coalesce(touched.held_rows, 0) end as held_rows
from moves
left join marks on moves.mark = marks.code
left join quality on moves.month = quality.month
left join touched
    on
        moves.month = touched.month
        and moves.area_code = touched.area_code
        and moves.sex_code = touched.sex_code
        and moves.nationality_code = touched.nationality_code
