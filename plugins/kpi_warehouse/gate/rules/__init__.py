"""Named rules: a contract names one and gives its parameters; no SQL stands in the contract."""
