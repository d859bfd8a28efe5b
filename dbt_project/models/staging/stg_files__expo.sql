{{ staged_measures('expo', axes=['event_code']) }}
