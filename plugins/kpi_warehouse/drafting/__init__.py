"""Drafts of contracts: from what an e-Stat table says of itself, or from sample files of a division.

`shapes` finds tables in a sheet; `columns`, `labels`, `row_words` and `outside` say what their parts are; `roles` writes a table in
the words of the layout into the `sketch`; `trial` lets the reader that will read the feed try it, and amends it; `document` writes it
down, `place` puts it where it belongs, `preview` shows it. `sample` and `make` lead through all of it.
"""
