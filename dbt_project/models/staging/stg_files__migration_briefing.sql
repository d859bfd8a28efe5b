{{ staged_measures('migration_briefing', axes=['direction_code', 'counterpart_code']) }}
