with

in_force as (

    select * from {{ accepted('estat_migration_flow_monthly') }}
    where {{ known_at_as_of() }}

)

select
    period as month,
    origin_area_code,
    destination_area_code,
    sex_code,
    persons::bigint as persons,
    persons_mark,
    load_id,
    known_from as loaded_at
from in_force
-- The diagonal is no move between prefectures; the table shows marks there.
where origin_area_code <> destination_area_code
