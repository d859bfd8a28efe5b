-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
{{ staged_measures('expo', axes=['event_code']) }}
