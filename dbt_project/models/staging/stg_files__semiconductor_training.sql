{{ staged_measures('semiconductor_training', axes=['activity_code']) }}
