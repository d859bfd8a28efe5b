{{ staged_measures('kpi_progress', axes=['kpi_code']) }}
