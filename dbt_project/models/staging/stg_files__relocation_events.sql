{{ staged_measures('relocation_events', axes=['event_code']) }}
