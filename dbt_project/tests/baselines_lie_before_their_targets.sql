-- A baseline beyond its target would make every progress negative: its direction says which way.
select
    kpi_id,
    baseline_value,
    target_value,
    target_upper
from {{ ref('dim_kpi') }}
where
    (
        kpi_type in ('level_up', 'level_down', 'annual_flow', 'stock_cumulative')
        and case
            when kpi_type = 'level_down' or direction = 'down' then target_value - baseline_value
            else baseline_value - target_value
        end > 0
    )
    or target_upper < target_value
