"""The benchmark of the load path: `make bench`."""
