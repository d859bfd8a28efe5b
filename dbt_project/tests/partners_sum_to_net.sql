select
    period_id,
    net_migration
from {{ ref('mart_migration_monthly') }}
where
    partner_status = 'actual'
    and net_with_tokyo_area + net_with_osaka_area + net_with_fukuoka + net_with_elsewhere
    is distinct from net_migration
