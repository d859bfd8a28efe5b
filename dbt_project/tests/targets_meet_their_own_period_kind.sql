select
    history.kpi_id,
    history.period_id
from {{ ref('mart_kpi_history') }} as history
inner join {{ ref('dim_kpi') }} as kpis on history.kpi_id = kpis.kpi_id
inner join {{ ref('dim_period') }} as periods on history.period_id = periods.period_id
where
    history.period_kind <> periods.period_kind
    or (
        (history.target_value is not null or history.expected_value is not null)
        and history.period_kind <> kpis.period_kind
    )
