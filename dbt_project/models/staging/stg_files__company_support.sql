{{ staged_measures('company_support') }}
