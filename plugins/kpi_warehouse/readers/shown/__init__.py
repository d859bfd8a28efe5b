"""What a person sees of what a spreadsheet stores: number formats, and the parts of a text by their font."""
