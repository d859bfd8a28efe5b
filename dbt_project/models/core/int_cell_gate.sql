-- Cells that wait, and cells that a check warned of, with the key that the row was delivered under: what
-- they touch is what is made of them, and nothing else of their month.
with

held as (

    select * from {{ ref('stg_ops__held_row') }}

),

warnings as (

    select * from {{ ref('stg_ops__warning') }}
    where found_rows is not null

)

select
    held.feed,
    held.delivered as cell,
    held.month,
    held.period_end,
    held.load_id,
    1 as held_rows,
    0 as flagged_rows
from held
union all
select
    warnings.feed,
    found.cell,
    (found.cell ->> 'period')::date as month,
    coalesce((found.cell ->> 'period_end')::date, (found.cell ->> 'period')::date) as period_end,
    warnings.load_id,
    0 as held_rows,
    1 as flagged_rows
from warnings
cross join lateral jsonb_array_elements(warnings.found_rows) as found (cell)
