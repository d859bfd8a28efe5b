"""Parts of an xlsx beside its sheets of values: styles, texts with fonts, comments and shapes."""
