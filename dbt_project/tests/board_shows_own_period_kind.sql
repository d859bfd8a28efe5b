select
    board.kpi_id,
    periods.period_id
from {{ ref('mart_kpi_board') }} as board
inner join {{ ref('dim_period') }} as periods
    on periods.period_id in (board.actual_period_id, board.in_progress_period_id)
where periods.period_kind <> board.period_kind
