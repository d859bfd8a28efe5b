{{ staged_measures('internship_rate', axes=['series_code']) }}
