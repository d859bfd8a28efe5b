{{ staged_measures('private_school_subsidy') }}
