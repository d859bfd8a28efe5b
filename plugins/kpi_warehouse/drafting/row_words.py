"""Rows of a sample that are no data: totals, subtotals, parts of another row, numbers of columns, and lines above the rows they are for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kpi_warehouse.drafting.columns import Column, number_in
from kpi_warehouse.drafting.shapes import Block
from kpi_warehouse.drafting.texts import (
    SUBSETS,
    SUBTOTALS,
    TEXT,
    TOTALS,
    begins,
    is_word,
)
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import fold, search_key


def column_numbers(block: Block) -> list[tuple[int, str]]:
    """A first row that only numbers the columns: (1) (2) (3)."""
    at = block.rows[0]
    said = [fold(cell.text).strip("() ") for cell in block.sheet.rows[at] if cell.value is not None]
    first = next(cell.text for cell in block.sheet.rows[at] if cell.value is not None)
    return [(at, fold(first))] if len(said) > 2 and said == [str(n) for n in range(1, len(said) + 1)] else []


def sections_of(block: Block, columns: list[Column]) -> list[tuple[int, str]]:
    """Rows of one text in the first column of labels, that say what the rows below them belong to."""
    if not columns:
        return []
    column = columns[0].at
    found: list[tuple[int, str]] = []
    others: set[str] = set()
    for at in block.rows:
        row = block.sheet.rows[at]
        said = [
            number
            for number, cell in enumerate(row)
            if cell.value is not None or cell.merged_from is not None
        ]
        text = take_references(fold(row[column].text))[0]
        if said == [column] and text:
            found.append((at, text))
        else:
            others.add(text)
    texts = [text for _, text in found]
    whole = len(found) > 1 and found[0][0] == block.rows[0]
    return found if whole and len(set(texts)) == len(texts) and others.isdisjoint(texts) else []


def row_rules(labels: list[Column], values: list[Column]) -> tuple[dict[str, Any], set[str]]:
    """Rows that are totals (and are the sum of the others), subtotals and parts of another row; and the labels of the first two."""
    totals: set[str] = set()
    rows: dict[str, Any] = {}
    texts = [column for column in labels if column.share(TEXT) > 0]
    for words, key in ((TOTALS, "totals"), (SUBTOTALS, "subtotals")):
        said = [label for column in texts for label in column.labels() if is_word(label, words)]
        if key == "totals":
            said = [label for label in said if _adds_up(label, texts, values)]
        if said:
            rows[key] = list(dict.fromkeys(said))
            totals |= set(said)
    subsets = [label for column in texts for label in column.labels() if begins(label, SUBSETS)]
    if subsets and rows:
        rows["subsets"] = (
            sorted(
                {
                    next(word for word in ("うち", "再掲", "内訳") if word in search_key(label))
                    for label in subsets
                    if any(word in search_key(label) for word in ("うち", "再掲", "内訳"))
                }
            )
            or subsets
        )
    return rows, totals


def _adds_up(label: str, texts: list[Column], values: list[Column]) -> bool:
    """Whether the row of a total is the sum of other rows in at least one column; then the draft lets the gate check it."""
    for column in values:
        numbers: list[tuple[str, Decimal]] = []
        stated: list[Decimal] = []
        for at, cell in enumerate(column.cells):
            number = number_in(cell)
            names = [fold(text.cells[at].text) for text in texts if text.cells[at].value is not None]
            if number is None:
                continue
            if any(search_key(name) == search_key(label) for name in names):
                stated.append(number)
            elif not any(is_word(name, (*TOTALS, *SUBTOTALS)) or begins(name, SUBSETS) for name in names):
                numbers.append((" ".join(names), number))
        total = sum((number for _, number in numbers), Decimal(0))
        if stated and numbers and (sum(stated) == total or all(each == total for each in stated)):
            return True
    return False
