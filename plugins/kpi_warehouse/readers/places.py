"""Places as people say them: a cell of a text file has the row and the column that a spreadsheet shows it at."""

from __future__ import annotations

import re

from kpi_warehouse.readers.grid import column_letters

_OF_TEXT = re.compile(r"(?<![\w!])行(\d+):(\d+)(?!\d)")


def places_in_words(text: str) -> str:
    """A message with the places of a text file in words: `行12:4` → `12行目のD列`. Cells of a workbook stay `移住!C5`."""
    return _OF_TEXT.sub(lambda found: f"{found[1]}行目の{column_letters(int(found[2]) - 1)}列", text)
