"""A place in a text file is said as a spreadsheet shows it."""

from __future__ import annotations

from kpi_warehouse.readers.places import places_in_words


def test_rows_and_columns_of_a_text_are_said_as_a_spreadsheet_shows_them() -> None:
    assert places_in_words("・行12:4、行3:27（計）：「行」") == "・12行目のD列、3行目のAA列（計）：「行」"


def test_cells_of_a_workbook_and_other_words_stay() -> None:
    said = "・移住!C5：銀行1:2、行12:x、Sheet!行1:2"
    assert places_in_words(said) == said
