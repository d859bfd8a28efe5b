"""Blocks of a plain table → lines for COPY, as the layout engine would have read them.

What a text means is never decided here. Of every new text (or combination of texts that mean something together: period
and status, measure and unit) one row is given to the layout engine, and what it made of that row is repeated for all others
with the same texts. Rows whose value is more than a number (a mark, ▲, a unit) are given to the engine one and all. A fault,
a change of the form, a total, a line that is no row, a key that comes twice: then the file is not plain and the engine reads
the whole of it, so that what people are told never depends on which way was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kpi_warehouse.contract import Contract, file_source
from kpi_warehouse.contract_layout import MEASURE_COLUMN
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import fold
from kpi_warehouse.readers.grid import Book, Cell, Sheet, Value
from kpi_warehouse.readers.layout import Understood, understand
from kpi_warehouse.readers.layout_columns import Columns
from kpi_warehouse.readers.layout_result import MeasureRow
from kpi_warehouse.readers.layout_tables import MAX_DEPTH
from kpi_warehouse.readers.plain_block import (
    Block,
    Labels,
    NotPlain,
    Numbers,
    Source,
    arrow_numbers,
    arrow_texts,
)
from kpi_warehouse.readers.plain_groups import NULL, Group, Ids, combined, copy_field, first_rows, groups_of
from kpi_warehouse.warehouse.tables import stage_defaults

# Texts learned, and rows read by the engine one and all: with more of them a table is not plain but long.
MOST_LEARNED = 100_000
MOST_ODD = 100_000
_KEY_BITS = 63
# Kinds of columns whose texts are learned here; a table with any other (a day of publication) is for the engine.
_KINDS = frozenset(("axis", "period", "period_end", "measure", "value", "unit", "status", "note", "ignored"))


class PlainTable:
    """Makes lines for COPY of the blocks of one source.

    Args:
        contract: of a feed that comes as a file.
        source: the file.
        opening: its first block: the heading is judged together with the rows right below it.

    Raises:
        NotPlain: the layout, or the heading of this file, asks for the layout engine.
    """

    def __init__(self, contract: Contract, source: Source, opening: Block) -> None:
        self._contract, self._source = contract, source
        self._layout = file_source(contract).layout
        below = [opening.cells(row) for row in range(min(MAX_DEPTH + 1, opening.rows))]
        self._columns = self._opened(self._understood(below, whole=False))
        values = self._columns.values
        self._at = [column.at for column in values]
        self._skips = [not column.blank_is_fault for column in values]
        self._places = [source.place(at) for at in self._at]
        self._axes = [
            column.name for column in contract.axes if column.name not in ("period_kind", MEASURE_COLUMN)
        ]
        self._parts: list[dict[object, int]] = [{} for _ in range(2 + len(self._axes))]
        self._bits = _KEY_BITS // len(self._parts)
        self._groups = groups_of(self._columns, self._axes)
        # Texts nobody loads may still look like a heading: the engine is shown each of them once.
        self._ignored: dict[int, set[Value]] = {
            at: set() for _, at in self._columns.by_kind.get("ignored", ())
        }
        self._learned = 0
        self._defaults = {name: copy_field(text) for name, text in stage_defaults(contract).items()}
        self._left_out = {name for group in self._groups for name in group.names}
        for group in self._groups:
            group.fields = [[] for _ in values]
            group.keys = [[] for _ in values]
            group.periods = [[] for _ in values]
        self._keys: list[NDArray[np.int64]] = []
        self._used: set[date] = set()
        self.odd: list[MeasureRow] = []
        self.rows = 0

    @property
    def periods(self) -> tuple[date, date]:
        """First and last period start of all rows so far."""
        used = self._used | {row.period for row in self.odd}
        return min(used), max(used)

    def lines(self, block: Block) -> list[tuple[tuple[str, ...], Any]]:
        """Lines for COPY of a block, as columns of the stage and an Arrow buffer; what needs more is added to `odd`.

        Columns in which every row so far has what the stage has of itself are left out.

        Raises:
            NotPlain: see above.
        """
        if not all(block.is_empty(at) for at in self._columns.loose):
            raise NotPlain("values without heading")
        numbers = [block.numbers(at) for at in self._at]
        ids = self._ids(block)
        odd = self._odd(numbers, block.rows)
        if odd is not None:
            self._read_odd(block, np.flatnonzero(odd))
        sent = [name for group in self._groups for name in group.names if name not in self._left_out]
        columns = (*sent, self._contract.value.name, "source_cell")
        lines = []
        for at, each in enumerate(numbers):
            chosen = _chosen(each, odd)
            count = block.rows if chosen is None else len(chosen)
            if count:
                lines.append((columns, self._copy_text(block, at, each, ids, chosen)))
                self.rows += count
        return lines

    def finish(self) -> None:
        """What only the whole file can tell.

        Raises:
            NotPlain: a key comes twice.
        """
        keys = np.sort(np.concatenate([*self._keys, np.zeros(0, np.int64)]))
        if (keys[1:] == keys[:-1]).any():
            raise NotPlain("a key comes twice")

    # -- the heading

    def _opened(self, understood: Understood) -> Columns:
        """The columns, where heading and layout are of the kind this is for."""
        reader = understood.readers[0]
        columns, table = reader.columns, reader.table
        marks = self._contract.value.marks
        labels = [at for _, at in columns.labels]
        axes = [spec.column for spec, _ in columns.labels if spec.kind == "axis"]
        if (
            not columns.readable
            or columns.totals
            or not _KINDS.issuperset(columns.by_kind)
            or not columns.labels
            or not columns.values
            or reader.found.repeated
            or any(column.units or column.signs or column.remarks for column in columns.values)
            # A number that is multiplied is not the one that stands there.
            or any(column.factors or column.within for column in columns.values)
            or any("" in spec.headings for spec in table.columns)
            or any(mark[:1].isdigit() or (mark[:1] == "-" and len(mark) > 1) for mark in marks)
            or len(set(labels)) < len(labels)
            or len(set(axes)) < len(axes)
        ):
            raise NotPlain("layout")
        return columns

    # -- learning

    def _understood(self, rows: Sequence[list[Cell]], *, whole: bool = True) -> Understood:
        """What the layout engine makes of the heading with some rows below it; `whole`: all of them are rows of the table."""
        sheet = Sheet(self._source.name, [self._source.heading, *rows])
        understood = understand(Book([sheet], "plain"), self._layout, self._contract.columns)
        reading, search = understood.reading, understood.search
        if reading.faults or reading.drift or reading.notices or reading.checks or understood.lines_outside:
            raise NotPlain("faults, drift, totals or lines outside")
        if len(search.found) != 1 or search.found[0].bottom or search.ambiguous:
            raise NotPlain("heading")
        if any(reader.inherits for reader in understood.readers):
            raise NotPlain("a period that depends on the rows above it")
        found = search.found[0]
        if found.top or found.caption or found.page.landmarks != [0] or found.end != 1 + len(rows):
            raise NotPlain("rows that are none")
        if whole and [each.at for each in understood.readers[0].columns.values] != self._at:
            raise NotPlain("columns")
        return understood

    def _ids(self, block: Block) -> list[Ids | None]:
        """For each group the id of every row's combination, new ones being learned; None where all rows are alike."""
        ids: list[Ids | None] = []
        learn: list[tuple[Group, int]] = []  # group, row: its ids are given in the order of this list
        seen: dict[int, Labels] = {}
        labelled = {at for _, at in self._columns.labels}
        for group in self._groups:
            for column in group.columns:
                if column not in seen:
                    seen[column] = self._labels(block, column, label=column in labelled)
            found, new = combined(group, [seen[column] for column in group.columns], block.rows)
            ids.append(found)
            learn.extend((group, row) for row in new)
        also: set[int] = set()
        for column, shown in self._ignored.items():
            labels = block.labels(column)
            new = [at for at, value in enumerate(labels.values) if value not in shown]
            shown.update(labels.values)
            also.update(first_rows(labels.codes, new))
        self._learn(block, learn, also)
        return ids

    def _labels(self, block: Block, column: int, *, label: bool) -> Labels:
        labels = block.labels(column)
        shown: set[str] = set()
        for value in labels.values:
            text = value if isinstance(value, str) else "" if value is None else str(value)
            if label and (not text.strip() or take_references(fold(text))[1]):
                raise NotPlain("a label that is blank or points to a footnote")
            if text in shown:
                raise NotPlain("a number and a text that look alike")
            shown.add(text)
        return labels

    def _learn(self, block: Block, learn: Sequence[tuple[Group, int]], also: set[int]) -> None:
        """Let the engine read one row of each new combination, with 1 for every value."""
        rows = sorted({row for _, row in learn} | also)
        if not rows:
            return
        self._learned += len(rows)
        if self._learned > MOST_LEARNED:
            raise NotPlain("too many different texts")
        cells = [block.cells(row) for row in rows]
        for line in cells:
            for at in self._at:
                line[at] = Cell(1, line[at].place, "1")
        by_place = {row.source_cell: row for row in self._understood(cells).reading.rows}
        at_row = dict(zip(rows, cells, strict=True))
        for group, row in learn:
            for number, at in enumerate(self._at):
                read = by_place.get(at_row[row][at].place)
                if read is None or (read.note is not None and not self._groups[2].columns):
                    raise NotPlain("a row that is not loaded, or notes from elsewhere")
                try:
                    said = group.of_row(read)
                    key = self._key(group.of_key(read))
                except KeyError as error:
                    raise NotPlain("an axis that is not said") from error
                fields = tuple(map(copy_field, said))
                group.fields[number].append(fields)
                self._left_out -= {
                    name
                    for name, text in zip(group.names, fields, strict=True)
                    if text != self._defaults.get(name, NULL)
                }
                group.keys[number].append(key)
                group.periods[number].append(read.period)

    def _key(self, parts: tuple[tuple[int, object], ...]) -> int:
        packed = 0
        for number, what in parts:
            known = self._parts[number]
            value = known.setdefault(what, len(known))
            if value >> self._bits:
                raise NotPlain("too many different keys")
            packed |= value << (number * self._bits)
        return packed

    # -- values

    def _odd(self, numbers: Sequence[Numbers], rows: int) -> NDArray[np.bool_] | None:
        """Rows that the engine must read: a value that is more than a number, or none at all."""
        if all(each.plain is None for each in numbers):
            return None
        odd, empty = np.zeros(rows, bool), np.ones(rows, bool)
        for each, skips in zip(numbers, self._skips, strict=True):
            if each.plain is None:
                empty[:] = False
                continue
            blank = each.blank if each.blank is not None else np.zeros(rows, bool)
            odd |= ~each.plain & ~(blank if skips else np.zeros(rows, bool))
            empty &= blank
        odd |= empty
        return odd if odd.any() else None

    def _read_odd(self, block: Block, rows: NDArray[np.intp]) -> None:
        if len(self.odd) + len(rows) > MOST_ODD:
            raise NotPlain("too many values that are more than a number")
        reading = self._understood([block.cells(int(row)) for row in rows]).reading
        keys = []
        for row in reading.rows:
            parts = [(0, (row.period, row.period_end, row.period_kind)), (1, row.measure_code)]
            try:
                parts += [(part, row.axes[axis]) for part, axis in enumerate(self._axes, 2)]
            except KeyError as error:
                raise NotPlain("an axis that is not said") from error
            keys.append(self._key(tuple(parts)))
        self._keys.append(np.array(keys, np.int64))
        self.odd.extend(reading.rows)

    def _copy_text(
        self,
        block: Block,
        number: int,
        numbers: Numbers,
        ids: Sequence[Ids | None],
        chosen: NDArray[np.intp] | None,
    ) -> Any:
        """Lines of one value column of a block."""
        count = block.rows if chosen is None else len(chosen)
        keys = np.zeros(count, np.int64)
        pieces: list[Any] = []
        constant = ""
        for group, every in zip(self._groups, ids, strict=True):
            texts = self._texts(group, number)
            own = every if every is None or chosen is None else every[chosen]
            if own is None or len(texts) == 1:
                constant += texts[0]
                keys |= group.keys[number][0]
            else:
                if any(texts):
                    pieces += [constant] if constant else []
                    pieces.append(arrow_texts(texts).take(arrow_numbers(own)))
                    constant = ""
                keys |= np.array(group.keys[number], np.int64)[own]
            if group is self._groups[0]:
                used = [0] if own is None else np.flatnonzero(np.bincount(own))
                self._used.update(group.periods[number][each] for each in used)
        self._keys.append(keys)
        before, behind = self._places[number]
        at = np.arange(block.first, block.first + block.rows)
        values = numbers.texts
        if chosen is not None:
            values, at = values.take(arrow_numbers(chosen)), at[chosen]
        pieces += [constant] if constant else []
        pieces += [values, f"\t{copy_field(before)}", arrow_numbers(at).cast(pa.string())]
        pieces += [f"{copy_field(behind)}\n", ""]
        joined = pc.binary_join_element_wise(
            *(arrow_texts([piece])[0] if isinstance(piece, str) else piece for piece in pieces)
        )
        _, offsets, data = joined.buffers()
        return data.slice(0, np.frombuffer(offsets, np.int32)[len(joined)])

    def _texts(self, group: Group, number: int) -> list[str]:
        """The fields of a group that are written, each with the TAB behind it."""
        sent = [at for at, name in enumerate(group.names) if name not in self._left_out]
        return ["".join(f"{fields[at]}\t" for at in sent) for fields in group.fields[number]]


def _chosen(numbers: Numbers, odd: NDArray[np.bool_] | None) -> NDArray[np.intp] | None:
    """Rows with a number of a column that the engine need not read; None: all."""
    if numbers.plain is None:
        return None if odd is None else np.flatnonzero(~odd)
    return np.flatnonzero(numbers.plain if odd is None else numbers.plain & ~odd)
