"""A sketch tried on its samples by the reader that will read the feed, and amended by what the reader says.

What a cell is, is the reader's word: the draft changes its layout until nothing more can be explained without a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kpi_warehouse.drafting.columns import columns_of
from kpi_warehouse.drafting.outside import line_for
from kpi_warehouse.drafting.shapes import Block
from kpi_warehouse.drafting.sketch import MOST_LABELS, Sketch
from kpi_warehouse.drafting.texts import USUAL_MARKS
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import fold
from kpi_warehouse.readers.grid import Book, Cell
from kpi_warehouse.readers.layout import Understood, understand
from kpi_warehouse.readers.layout_result import CellFault

MOST_ROUNDS = 8
LONGEST_MARK = 8
# A text with one of these is a number that nobody can read, and no mark.
_NUMERAL = re.compile(r"[0-9一二三四五六七八九十百千万億〇零約]")
_STRAY = ("stray_cell",)
_NUMBER = ("unreadable_number", "not_a_number")


@dataclass
class Sample:
    """A sample file as it was opened, and where its cells are by their place."""

    name: str
    book: Book

    def __post_init__(self) -> None:
        self._places: dict[str, tuple[int, int, int]] | None = None

    def at(self, place: str) -> tuple[int, int, int] | None:
        """Sheet, row and column of a place, 0-based; None for a place that is no cell."""
        if self._places is None:
            self._places = {
                cell.place: (number, row, column)
                for number, sheet in enumerate(self.book.sheets)
                for row, cells in enumerate(sheet.rows)
                for column, cell in enumerate(cells)
                if cell.value is not None
            }
        return self._places.get(place)

    def cell(self, place: str) -> Cell | None:
        """The cell of a place."""
        at = self.at(place)
        return None if at is None else self.book.sheets[at[0]].rows[at[1]][at[2]]


def read(sketch: Sketch, sample: Sample) -> Understood:
    """What the reader makes of a sample under a sketch."""
    return understand(sample.book, sketch.layout(), sketch.columns())


def amend(sketch: Sketch, samples: Sequence[Sample], blocks: Sequence[Block]) -> list[Understood]:
    """Try a sketch on all samples and amend it until it no longer gets better; returns the last readings."""
    readings = [read(sketch, sample) for sample in samples]
    for _ in range(MOST_ROUNDS):
        changed = False
        for sample, understood in zip(samples, readings, strict=True):
            changed |= _amended(sketch, sample, understood, blocks)
        if not changed:
            break
        readings = [read(sketch, sample) for sample in samples]
    return readings


def _amended(sketch: Sketch, sample: Sample, understood: Understood, blocks: Sequence[Block]) -> bool:
    changed, faults = False, understood.reading.faults
    strays = [fault for fault in faults if fault.code in _STRAY or _below(sample, fault, blocks)]
    for fault in strays:
        changed |= _outside(sketch, sample, fault, blocks, strays)
    for fault in faults:
        if fault.code in _NUMBER:
            changed |= _mark(sketch, sample, fault)
        elif fault.code == "remark":
            changed |= _remark(sketch, fault)
        elif fault.code == "brackets":
            changed |= _brackets(sketch, fault)
        elif fault.code == "blank":
            changed |= _blank(sketch)
        elif fault.code == "unknown_label":
            changed |= _label(sketch, sample, understood, fault)
        elif fault.code == "unknown_sheet":
            changed |= _sheet(sketch, fault)
    if not changed and any(fault.code == "duplicate_key" for fault in faults):
        changed = _another_axis(sketch, blocks)
    return changed


def _below(sample: Sample, fault: CellFault, blocks: Sequence[Block]) -> bool:
    """Whether what was taken for a label is a line right under a table, with nothing beside it."""
    at = sample.at(fault.place)
    if at is None or fault.code not in ("unreadable_period", "unknown_label"):
        return False
    number, row, _ = at
    last = max((block.last for block in blocks if block.number == number), default=row)
    filled = sum(cell.value is not None for cell in sample.book.sheets[number].rows[row])
    return row > last and filled == 1


def _outside(
    sketch: Sketch, sample: Sample, fault: CellFault, blocks: Sequence[Block], strays: list[CellFault]
) -> bool:
    at = sample.at(fault.place)
    if at is None:
        return False
    number, row, _ = at
    # Several cells in a row may be another table: its author must see that it is not read yet.
    beside = sum(1 for other in strays if (place := sample.at(other.place)) and place[:2] == (number, row))
    tops = [block.top for block in blocks if block.number == number]
    above = not tops or row < max(tops)
    text = fold(fault.found)
    line = line_for(text, above=above)
    numbers = text.replace(",", "").replace(".", "").isdigit()
    if numbers or (line["is"] == "ignored" and "reason" in line and beside > 2 and not above):
        return False
    return _add(sketch, line)


def _add(sketch: Sketch, line: dict[str, str]) -> bool:
    if any(known["pattern"] == line["pattern"] for known in sketch.outside):
        return False
    sketch.outside.append(line)
    # What states something is looked for before what only explains: no footnote takes a unit line.
    order = ("unit", "as_of", "document_date", "title", "footnote", "ignored")
    sketch.outside.sort(key=lambda each: order.index(each["is"]))
    return True


def _remark(sketch: Sketch, fault: CellFault) -> bool:
    """A comment or a text box that may change what numbers mean becomes a line of the layout, for somebody to judge."""
    text = " ".join(fault.found.split())
    if not text or not _add(sketch, line_for(text, above=False)):
        return False
    sketch.ask(f"{fault.label}「{text[:30]}」が値の読み方（速報・暫定・単位など）を変えないか。")
    return True


def _brackets(sketch: Sketch, fault: CellFault) -> bool:
    """Numbers in brackets: 内数 where a word says so, else a minus; either way somebody must say."""
    meant = "subset" if re.search("うち|内|再掲|新規", fault.label) else "minus"
    changed = False
    for table in sketch.tables:
        if "brackets" not in table:
            table["brackets"] = meant
            changed = True
    if changed:
        said = {"subset": "内数", "minus": "負の値"}[meant]
        sketch.ask(
            f"「{fault.found.strip()}」の括弧は{said}とみなす（brackets: {meant}）。"
            "負の値 minus、内数 subset、再掲 repeated、予定 planned のどれか。"
        )
    return changed


def _mark(sketch: Sketch, sample: Sample, fault: CellFault) -> bool:
    cell = sample.cell(fault.place)
    if cell is None or not isinstance(cell.value, str):
        return False
    text = fault.found.strip()
    rest = take_references(text)[0] or text
    if not text or len(rest) > LONGEST_MARK or _NUMERAL.search(fold(rest)):
        return False
    if rest in sketch.marks:
        return False
    sketch.marks[rest] = USUAL_MARKS.get(rest, USUAL_MARKS.get(fold(rest), ("意味を書く", None)))[0]
    sketch.ask(f"数値の代わりの「{rest}」の意味（marks）。")
    return True


def _blank(sketch: Sketch) -> bool:
    changed = False
    for table in sketch.tables:
        if table.get("blank") != "skip":
            table["blank"] = "skip"
            changed = True
    if changed:
        sketch.ask("空欄の値は読み飛ばす（blank: skip）。値が必ず入る表なら fault に直す。")
    return changed


def _label(sketch: Sketch, sample: Sample, understood: Understood, fault: CellFault) -> bool:
    """A label that only another sample has goes into the list of its column."""
    cell = sample.cell(fault.place)
    if cell is None:
        return False
    text = take_references(fold(cell.text))[0]
    column = _column_of(sketch, sample, understood, fault.place)
    if column is None or not text:
        return False
    if column["is"] == "measure":
        if text in sketch.measures.values():
            return False
        sketch.measure(text, next(iter(sketch.units.values()), None))
        return True
    axis = sketch.axes.get(str(column.get("column")))
    if axis is None or text in axis.codes.values() or text in axis.codes or len(axis.codes) >= MOST_LABELS:
        return False
    own = all(code == label or code.isdigit() for code, label in axis.codes.items())
    axis.codes[text if own else f"c{len(axis.codes) + 1}"] = text
    return True


def _column_of(sketch: Sketch, sample: Sample, understood: Understood, place: str) -> dict[str, Any] | None:
    """The column of labels a cell stands in, by the headings of the tables as the reader found them."""
    at = sample.at(place)
    if at is None:
        return None
    for found in understood.search.found:
        if found.page.number != at[0] or not found.bottom < at[1] <= max(found.end, found.limit):
            continue
        for matched in found.columns:
            if matched.heading.column == at[2]:
                for table in sketch.tables:
                    for column in table["columns"]:
                        if (
                            column["is"] == matched.spec.kind
                            and list(matched.spec.headings) == column["heading"]
                        ):
                            return dict(column)
    return None


def _sheet(sketch: Sketch, fault: CellFault) -> bool:
    name = fault.place.partition("!")[0]
    if name in sketch.ignored_sheets:
        return False
    sketch.ignored_sheets[name] = sketch.reason("読まないシート。")
    return True


def _another_axis(sketch: Sketch, blocks: Sequence[Block]) -> bool:
    """Rows that the chosen labels do not tell apart: the next column of labels becomes an axis, too."""
    for table in sketch.tables:
        for at, column in enumerate(table["columns"]):
            if column["is"] != "ignored" or "見分けるのに要らない" not in column.get("reason", ""):
                continue
            labels = _labels_below(column["heading"], blocks)
            if labels:
                name = sketch.axis(column["heading"][0] or "区分", labels)
                table["columns"][at] = {"heading": column["heading"], "is": "axis", "column": name}
                return True
    return False


def _labels_below(heading: list[str], blocks: Sequence[Block]) -> list[str]:
    labels: dict[str, None] = {}
    for block in blocks:
        for column in columns_of(block):
            if column.name == heading[0]:
                labels |= dict.fromkeys(column.labels())
    return list(labels)
