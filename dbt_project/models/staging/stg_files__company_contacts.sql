-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
{{ staged_measures('company_contacts', axes=['activity_code']) }}
