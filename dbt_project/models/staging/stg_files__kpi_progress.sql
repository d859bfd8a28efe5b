-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
{{ staged_measures('kpi_progress', axes=['kpi_code']) }}
