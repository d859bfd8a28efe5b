-- 東京圏 + 大阪圏 + 福岡県 + その他 = 計, in both directions of the long table and in the net of the wide one.
select
    period_id,
    direction as compared,
    max(total_movers) as stated,
    sum(movers) as summed
from {{ ref('mart_migration_by_bloc_monthly') }}
where movers is not null
group by period_id, direction
having count(*) <> 4 or sum(movers) <> max(total_movers)
union all
select
    period_id,
    'net' as compared,
    net_migration as stated,
    net_with_tokyo_area + net_with_osaka_area + net_with_fukuoka + net_with_elsewhere as summed
from {{ ref('mart_migration_monthly') }}
where
    partner_status in ('actual', 'simulated')
    and net_with_tokyo_area + net_with_osaka_area + net_with_fukuoka + net_with_elsewhere
    is distinct from net_migration
