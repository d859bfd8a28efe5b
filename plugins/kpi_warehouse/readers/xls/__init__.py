"""What an old xls says beside its values: number formats, fonts, texts of several fonts, comments and text boxes."""
