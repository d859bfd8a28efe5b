-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
{{ staged_measures('relocation_events', axes=['event_code']) }}
