-- A baseline beyond its target would make every progress negative; which way is better is the KPI's direction.
select
    kpi_id,
    baseline_value,
    target_value,
    target_upper
from {{ ref('dim_kpi') }}
where
    kpi_type in ('level_up', 'level_down', 'annual_flow', 'stock_cumulative')
    and case when kpi_type = 'level_down' or direction = 'down' then -1 else 1 end * (baseline_value - target_value) > 0
    or target_upper < target_value
