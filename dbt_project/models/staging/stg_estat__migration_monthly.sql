with

in_force as (

    select * from {{ accepted('estat_migration_monthly') }}
    where {{ known_at_as_of() }}

)

select
    period as month,
    area_code,
    sex_code,
    nationality_code,
    indicator_code,
    persons::bigint as persons,
    persons_mark,
    load_id,
    source_page,
    known_from as loaded_at
from in_force
