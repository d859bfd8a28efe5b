{{ staged_measures('vacant_house_support') }}
