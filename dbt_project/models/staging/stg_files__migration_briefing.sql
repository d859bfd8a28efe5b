-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
{{ staged_measures('migration_briefing', axes=['direction_code', 'counterpart_code']) }}
