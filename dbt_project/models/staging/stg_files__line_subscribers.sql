{{ staged_measures('line_subscribers') }}
