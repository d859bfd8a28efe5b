"""A feed's history again from its landed bytes, as the books say it came to be."""
