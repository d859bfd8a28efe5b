{{ config(post_hook="{{ create_receipt() }}") }}

-- The rows of accepted history that each number of a KPI was made of: the first step back from a figure.
with

cells as (

    select * from {{ ref('stg_estat__migration_monthly') }}
    where area_code = '43000' and sex_code = '0' and nationality_code = '60000' and indicator_code = '04'

),

periods as (

    select * from {{ ref('dim_period') }}
    where period_kind in ('月', '暦年', '年度')

),

filled_in as (

    select * from {{ ref('int_kpi_filled_in') }}

)

select
    'K12' as kpi_id,
    periods.period_id,
    cells.month as row_period,
    cells.persons::numeric as row_value,
    cells.persons_mark as row_mark,
    'estat_migration_monthly' as feed,
    cells.load_id,
    cells.source_page::integer as page,
    null::text as source_cell,
    null::text as note,
    cells.loaded_at
from cells
inner join periods on cells.month between periods.period_start and periods.period_end
union all
select
    kpi_id,
    period_id,
    filled_in_from as row_period,
    value as row_value,
    null::text as row_mark,
    'kpi_progress' as feed,
    load_id,
    1 as page,
    source_cell,
    note,
    loaded_at
from filled_in
