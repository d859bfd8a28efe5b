{{ staged_measures('uij_turn') }}
