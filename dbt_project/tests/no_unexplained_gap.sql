-- A figure and its status say the same: a missing figure has a state that names why, and none hides one.
select
    kpi_id,
    period_id,
    value_status
from {{ ref('mart_kpi_history') }}
where (value is not null) <> (value_status in ('actual', 'revised', 'provisional', 'partial'))
union all
select
    kpi_id,
    actual_period_id as period_id,
    value_status
from {{ ref('mart_kpi_board') }}
where
    (actual_value is not null) <> (value_status in ('actual', 'revised', 'provisional'))
    or (target_value is not null) <> (target_status = 'registered')
    or (baseline_value is not null) <> (baseline_status = 'registered')
