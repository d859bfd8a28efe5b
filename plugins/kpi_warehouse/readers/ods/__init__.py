"""What an OpenDocument spreadsheet says beside its values: styles, texts of several fonts, comments and shapes."""
