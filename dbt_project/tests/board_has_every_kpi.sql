-- As many as the catalogue has, each once, at a place of its own.
select
    coalesce(catalogue.kpi_id, board.kpi_id) as kpi_id,
    count(*) as board_rows
from {{ ref('kpi_catalogue') }} as catalogue
full outer join {{ ref('mart_kpi_board') }} as board on catalogue.kpi_id = board.kpi_id
group by coalesce(catalogue.kpi_id, board.kpi_id)
having count(catalogue.kpi_id) <> 1 or count(board.kpi_id) <> 1
union all
select
    min(kpi_id) as kpi_id,
    count(*) as board_rows
from {{ ref('mart_kpi_board') }}
group by display_order
having count(*) > 1
