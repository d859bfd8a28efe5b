{{ staged_measures('professional_matching') }}
