-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
{{ staged_measures('semiconductor_training', axes=['activity_code']) }}
