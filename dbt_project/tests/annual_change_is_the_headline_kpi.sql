-- Two ways to the same number: the years of K12, and the in- and out-migrants of the years.
with

figures as (

    select * from {{ ref('fct_kpi_value') }}
    where kpi_id = 'K12' and period_kind in ('暦年', '年度') and value_status <> 'missing'

),

years as (

    select * from {{ ref('mart_social_change_annual') }}
    where value_status <> 'missing'

)

select
    coalesce(figures.period_id, years.period_id) as period_id,
    figures.value,
    years.net_migration,
    years.in_migrants - years.out_migrants as in_minus_out
from figures
full outer join years on figures.period_id = years.period_id
where
    figures.value is distinct from years.net_migration
    or figures.value <> years.in_migrants - years.out_migrants
    or figures.value_status is distinct from years.value_status
