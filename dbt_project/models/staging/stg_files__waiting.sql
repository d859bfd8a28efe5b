-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
select *
from (
    {{ staged_measures('kpi_progress', axes=['kpi_code'], waiting=true) }}
) as kpi_progress
