select
    period_id,
    area_code,
    sex_code,
    nationality_code
from {{ ref('fct_migration_monthly') }}
where net_migration <> in_migrants - out_migrants
