"""The preview of a draft in a terminal: the same cells and names as the page, as far as the window is wide."""

from __future__ import annotations

from rich.style import Style
from rich.table import Table
from rich.text import Text

from kpi_warehouse.drafting.preview import USES
from kpi_warehouse.readers.cell_uses import SheetUses, Use
from kpi_warehouse.readers.grid import column_letters

STYLES: dict[Use, Style] = {
    "value": Style(color="green"),
    "label": Style(color="blue"),
    "period": Style(color="yellow"),
    "total": Style(color="magenta"),
    "unit": Style(color="cyan"),
    "title": Style(bold=True),
    "footnote": Style(color="bright_magenta"),
    "note": Style(italic=True),
    "ignored": Style(dim=True, strike=True),
    "unread": Style(color="red", reverse=True, bold=True),
}
MOST_ROWS, MOST_COLUMNS, CELL_WIDTH = 24, 8, 12


def legend() -> Text:
    """What the letters before the cells mean."""
    text = Text()
    for use, (name, letter, _) in USES.items():
        text.append(f"{letter} {name}", STYLES[use])
        text.append("　")
    return text


def preview_table(found: SheetUses) -> Table:
    """A sheet: its first rows and columns, and rows further down where something is unread."""
    rows = found.sheet.rows
    width = min(len(rows[0]) if rows else 0, MOST_COLUMNS)
    unread = sorted({row for (row, _), use in found.uses.items() if use == "unread"})
    shown = sorted({*range(min(len(rows), MOST_ROWS)), *unread[:MOST_ROWS]})
    table = Table(
        "", *(column_letters(column) for column in range(width)), title=found.sheet.name, pad_edge=False
    )
    for row in shown:
        table.add_row(str(row + 1), *(_cell(found, row, column) for column in range(width)))
    if len(shown) < len(rows):
        table.caption = f"ほか {len(rows) - len(shown):,} 行"
    return table


def _cell(found: SheetUses, row: int, column: int) -> Text:
    use = found.uses.get((row, column))
    if use is None:
        return Text()
    said = " ".join(found.sheet.rows[row][column].text.split())
    said = said if len(said) <= CELL_WIDTH else f"{said[: CELL_WIDTH - 1]}…"
    return Text(f"{USES[use][1]} {said}", STYLES[use])
