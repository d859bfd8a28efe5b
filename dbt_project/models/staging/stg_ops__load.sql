{{ staged_loads(left_out_at_as_of()) }}
