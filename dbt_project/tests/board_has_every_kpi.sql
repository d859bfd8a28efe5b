select count(*) as kpis
from {{ ref('mart_kpi_board') }}
having count(*) <> 32 or count(distinct display_order) <> 32
