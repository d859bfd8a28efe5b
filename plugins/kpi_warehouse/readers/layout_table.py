"""The rows of one found table: labels → codes, values → measure rows, totals → checks, everything else → faults."""

from __future__ import annotations

from kpi_warehouse.contract_layout import MEASURE_COLUMN, ColumnSpec
from kpi_warehouse.japanese.periods import Period, is_bare_month
from kpi_warehouse.japanese.signs import note_of, raised_signs, take_references
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import fold, search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_columns import ColumnCompiler, ValueColumn
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_headers import JOIN, Heading, Matched
from kpi_warehouse.readers.layout_labels import Label, Words
from kpi_warehouse.readers.layout_line import Line, LineValues
from kpi_warehouse.readers.layout_periods import WHOLE_YEARS, PeriodCells, PeriodsAbove
from kpi_warehouse.readers.layout_tables import BLANK, Found
from kpi_warehouse.readers.layout_totals import Totals
from kpi_warehouse.readers.layout_values import Content


class TableReader:
    """Reads one found table into the context's rows, checks and findings.

    After `read`, `found.end` is the first row behind the table; `left` are cells and `left_rows` rows before it that
    nothing of the table took; `inherits` says that a period took its era or year from a row above it.
    """

    def __init__(self, found: Found, context: Context) -> None:
        self.found, self.context = found, context
        self.table, self.page, self.rules = found.table, found.page, found.table.rows
        compiler = ColumnCompiler(found, context)
        self.columns = compiler.columns()
        self.periods = PeriodCells(self.table.year, compiler.base, found.page.sheet.day_zero)
        self.notes = context.outside.footnotes(found)
        self.inherits = False
        self.left: list[tuple[int, int]] = []
        self.left_rows: set[int] = set()
        self._values = LineValues(found, context, self.columns, self.periods, self.notes)
        self._ignored = Words(self.rules.ignore)
        self._totals = Totals(found, self.columns)
        self._texts: dict[str, str] = {}
        self._names: dict[tuple[int, str], tuple[str, tuple[str, ...]]] = {}
        self._above: dict[int, tuple[str, Cell]] = {}
        self._measured = [column.at for column in (*self.columns.values, *self.columns.totals)]
        self._above_periods: dict[int, PeriodsAbove] = {}
        # Label columns that two specs share, and what the stacked one of them said last: position in `labels` → label.
        at = [column for _, column in self.columns.labels]
        self._shared = {column for column in at if at.count(column) > 1}
        self._stack: dict[int, tuple[str, Cell]] = {}
        self._repeated = [
            (matched, heading, _place_of(matched, self.columns.labels)) for matched, heading in found.repeated
        ]
        self._pairs: dict[tuple[int, str], str] = {}
        # A bare month of a row gets its year from each heading; unless the headings are months, and the rows their years.
        self._period_heading = any(
            column.spec.period_heading and column.within is None for column in self.columns.values
        )
        self._statuses = {
            column: {search_key(word): status for word, status in spec.statuses.items()}
            for spec, column in self.columns.by_kind.get("status", ())
        }

    def read(self) -> None:
        """Read all rows; never raises for what stands in a cell."""
        found, kinds, to_end = self.found, self.page.kinds, self.rules.until == "end"
        at = found.bottom + 1
        while at < found.limit:
            if kinds[at] == BLANK:
                if not to_end:
                    break
            elif not self._row(at) and not to_end:
                break
            at += 1
        found.end = at
        if self.columns.readable:
            self.context.checks.extend(self._totals.checks())

    def _row(self, at: int) -> bool:
        """Read one row; False where the table ended before it."""
        cells = self.page.sheet.rows[at]
        measured = False
        for column in self._measured:
            if cells[column].value is not None or cells[column].formula is not None:
                measured = True
                break
        labels = self._labels(cells)
        if not measured and (self._opens_group(cells, labels) or self._opens_year(at, cells, labels)):
            self._loose(at, cells)
            return True
        if not measured and self._ends(cells, labels):
            self.left_rows.add(at)
            return False
        if self.columns.labels and not any(label.own for label in labels):
            # A number without a label is no value of the table: a page number, a tick of an axis. Nor is a word.
            self.left_rows.add(at)
            return True
        self._loose(at, cells)
        if not self.columns.readable:
            return True
        if self._ignored and any(self._ignored.equals(label.text) for label in labels if label.text):
            return True
        if self._totals.is_total(labels):
            self._total_row(at, cells, labels)
        else:
            self._data_row(at, cells, labels, measured=measured)
        return True

    def _loose(self, at: int, cells: list[Cell]) -> None:
        for column in self.columns.loose:
            if cells[column].value is not None:
                self.left.append((at, column))

    def _ends(self, cells: list[Cell], labels: list[Label]) -> bool:
        """Whether a row without values is no row of the table: nothing in its columns, or a line of the contract."""
        filled = [column for column, cell in enumerate(cells) if cell.value is not None]
        if all(column in self.columns.loose for column in filled):
            return True
        if self.context.outside.recognise(cells[filled[0]].text) is None:
            return False
        # A label that the contract knows is a row whose values are blank, whatever else it looks like.
        return not any(
            label.text and self._known(spec, label.text)
            for (spec, _), label in zip(self.columns.labels, labels, strict=True)
        )

    def _known(self, spec: ColumnSpec, text: str) -> bool:
        return spec.kind in ("axis", "measure") and self.context.lists.recognise(
            spec, take_references(text)[0]
        )

    def _opens_group(self, cells: list[Cell], labels: list[Label]) -> bool:
        """Whether a row without values only says what the rows below it belong to: one label of a stacked column."""
        own = [number for number, label in enumerate(labels) if label.own]
        filled = sum(cell.value is not None for cell in cells)
        return len(own) == 1 and filled == 1 and self.columns.labels[own[0]][0].stacked

    def _opens_year(self, at: int, cells: list[Cell], labels: list[Label]) -> bool:
        """Whether a row without values is the year of the months (or of the years without era) in the rows below it."""
        own = [number for number, label in enumerate(labels) if label.own]
        if len(own) != 1 or sum(cell.value is not None for cell in cells) != 1 or self._period_heading:
            return False
        spec, column = self.columns.labels[own[0]]
        below = next((row for row in range(at + 1, self.found.limit) if self.page.kinds[row] != BLANK), None)
        if spec.kind != "period" or below is None or not is_bare_month(self.page.cell(below, column).text):
            return False
        read = self._read_period(spec, column, labels[own[0]].cell, labels[own[0]].text)
        return not isinstance(read, str) and read[1].kind in WHOLE_YEARS

    def _labels(self, cells: list[Cell]) -> list[Label]:
        """Labels of a row; merged areas and, where the contract says so, blanks take theirs from above."""
        labels = []
        for spec, column in self.columns.labels:
            cell, own = cells[column], True
            if cell.value is None:
                own = False
                origin = cell.merged_from
                if origin is not None and origin[0] > self.found.bottom:
                    cell = self.page.cell(*origin)
                elif spec.fill_down and column in self._above:
                    cell = self._above[column][1]
            text = self._folded(cell.text) if cell.value is not None else ""
            if text and spec.fill_down:
                self._above[column] = (text, cell)
            labels.append(Label(text, own and bool(text), cell))
        return self._unstacked(labels) if self._shared else labels

    def _unstacked(self, labels: list[Label]) -> list[Label]:
        """Labels with each cell of a shared column given to the spec it is of; what a stacked one said last stays with it."""
        for column in self._shared:
            sharing = [at for at, (_, each) in enumerate(self.columns.labels) if each == column]
            stacked = [at for at in sharing if self.columns.labels[at][0].stacked]
            label = labels[sharing[0]]
            owner = next(
                (
                    at
                    for at in stacked
                    if label.text and self.context.lists.recognise(self.columns.labels[at][0], label.text)
                ),
                None,
            )
            if owner is not None:
                self._stack[owner] = (label.text, label.cell)
                for below in stacked[stacked.index(owner) + 1 :]:
                    self._stack.pop(below, None)
            for at in sharing:
                if at == owner:
                    continue
                if at in self._stack:
                    labels[at] = Label(self._stack[at][0], False, self._stack[at][1])
                elif at in stacked or owner is not None:
                    labels[at] = Label("", False, label.cell)
        return labels

    def _folded(self, text: str) -> str:
        known = self._texts.get(text)
        if known is None:
            known = self._texts[text] = fold(text)
        return known

    def _fault(self, at: int, column: int, label: str, expected: str, code: str) -> None:
        cell = self.page.cell(at, column)
        self.context.findings.fault((self.page.number, at, column), cell, label, expected, code)

    # -- rows of data

    def _data_row(self, at: int, cells: list[Cell], labels: list[Label], *, measured: bool) -> None:
        line = self._line(at, cells, labels, measured=measured)
        if line is None:
            return
        self._totals.data(cells, labels)
        self._line_values(line)

    def _line_values(self, line: Line) -> None:
        self._values.read_row(line)
        for column in self.columns.totals:
            content = self._values.content(line, column)
            if content is not None:
                self._totals.row_total(line.cells, line.label, column, content)

    def _line(self, at: int, cells: list[Cell], labels: list[Label], *, measured: bool) -> Line | None:
        """What the labels of a row say; None where there is no value beside them that could be missing."""
        line = Line(at, cells, [], {})
        signs: list[str] = []
        measures: list[str] = []
        wrong: list[tuple[int, str, str]] = []
        for (spec, column), label in zip(self.columns.labels, labels, strict=True):
            text, found = self._named(spec, label.text)
            signs.extend(found)
            if label.own and label.cell.seen is not None:
                signs.extend(sign for part in label.cell.seen.raised for sign in raised_signs(part))
            line.texts.append(text)
            if text and spec.kind == "measure":
                measures.append(text)
                line.measure_column = column
            elif problem := self._label(line, spec, column, label.cell, text):
                wrong.append((column, *problem))
        if measures:
            codes = self.context.measures
            line.measure_label = JOIN.join(measures)
            line.measure = codes.code(line.measure_label)
            if line.measure is None and not codes.has_units_of(line.measure_label):
                expected = codes.expected_ja(line.measure_label)
                wrong.append((line.measure_column, expected, "unknown_label"))
        if not measured:
            if wrong and self._without_values(at, cells, line, wrong):
                return None
            # Where no value is, no period need be; but a period without its item is half a row.
            periods = {
                column for spec, column in self.columns.labels if spec.kind in ("period", "period_end")
            }
            wrong = [each for each in wrong if each[2] != "blank_label" or each[0] not in periods]
        for column, expected, code in wrong:
            self._fault(at, column, line.label, expected, code)
        line.sound = not wrong
        if line.sound and self._repeated:
            self._same_again(line, labels)
        if len(line.axes) > 1:
            line.axes = dict(sorted(line.axes.items()))
        self._beside(line, signs)
        return line

    def _label(
        self, line: Line, spec: ColumnSpec, column: int, cell: Cell, text: str
    ) -> tuple[str, str] | None:
        """Keep what one label says; what was expected, and a code, where it says nothing known."""
        if not text:
            wanted = f"{spec.name_ja}（空欄になっています）"
            return None if spec.optional else (wanted, "blank_label")
        if spec.kind != "axis":
            problem = self._period_label(line, spec, column, cell, text)
            return (problem, "unreadable_period") if problem else None
        codes = self.context.lists.of(spec.column or "")
        code = codes.code(text)
        if code is None:
            return codes.expected_ja(text), "unknown_label"
        line.axes[spec.column or ""] = code
        return None

    def _named(self, spec: ColumnSpec, text: str) -> tuple[str, tuple[str, ...]]:
        """A label without its footnote signs, and the signs; a circled number may be part of a name the contract has."""
        found = self._names.get((id(spec), text))
        if found is None:
            known = spec.kind in ("axis", "measure") and self.context.lists.recognise(spec, text)
            found = self._names[id(spec), text] = (text, ()) if known else take_references(text)
        return found

    def _same_again(self, line: Line, labels: list[Label]) -> None:
        """Columns whose heading stands twice: what is written there must be what the row's label says already."""
        for matched, heading, number in self._repeated:
            cell = line.cells[heading.column]
            if cell.value is None:
                continue
            spec, label = matched.spec, labels[number]
            text, signs = self._named(spec, self._folded(cell.text))
            line.signs.extend(signs)
            if search_key(text) == search_key(line.texts[number]) or self._means(spec, text, label, line):
                continue
            if self._is_paired(matched, heading, text, line.texts[number]):
                continue
            expected = (
                f"{label.cell.place} の「{label.text}」と同じ項目（同じ見出し「{heading.text}」の列です）"
            )
            self._fault(line.at, heading.column, line.label, expected, "label_differs")
            line.sound = False

    def _means(self, spec: ColumnSpec, text: str, label: Label, line: Line) -> bool:
        if spec.kind != "period":
            known = line.axes.get(spec.column or "") if spec.kind == "axis" else line.measure
            return (
                known is not None and self.context.lists.of(spec.column or MEASURE_COLUMN).code(text) == known
            )
        one = self.periods.read(label.cell, take_references(label.text)[0], kind=spec.period_kind)
        other = self.periods.read(label.cell, text, kind=spec.period_kind)
        if isinstance(one, str) or isinstance(other, str):
            return False
        return (one.start, one.end) == (other.start, other.end)

    def _is_paired(self, matched: Matched, heading: Heading, text: str, label: str) -> bool:
        """One heading merged over a code and its name: a code stands at one name, a name at one code, in the whole table."""
        top = self.found.top
        spread = {
            self.page.cell(row, heading.column).merged_from for row in range(top, self.found.bottom + 1)
        }
        main = matched.heading.column
        over = {(row, main) for row in range(top, self.found.bottom + 1)}
        over |= {
            self.page.cell(row, main).merged_from or (-1, -1) for row in range(top, self.found.bottom + 1)
        }
        own = {(row, heading.column) for row in range(top, self.found.bottom + 1)}
        over_own = {self.page.cell(row, main).merged_from for row in range(top, self.found.bottom + 1)}
        if spread.isdisjoint(over - {(-1, -1)}) and own.isdisjoint(over_own):
            return False
        forth, back = (heading.column, f"> {text}"), (heading.column, f"< {search_key(label)}")
        return self._pairs.setdefault(forth, label) == label and self._pairs.setdefault(back, text) == text

    def _without_values(
        self, at: int, cells: list[Cell], line: Line, wrong: list[tuple[int, str, str]]
    ) -> bool:
        """Words without values: True where they are no row of data, and then each of them is left over."""
        if line.axes or line.measure or not any(code == "unknown_label" for *_, code in wrong):
            return False
        self.left.extend((at, column) for column, cell in enumerate(cells) if cell.value is not None)
        return True

    def _period_label(self, line: Line, spec: ColumnSpec, column: int, cell: Cell, text: str) -> str:
        """Keep the period a label says for the values of its row; what was expected, where it says none."""
        if spec.kind == "period" and self._period_heading:  # a bare month gets its year from each heading
            line.period, line.period_column, line.period_kind = (cell, text, None), column, spec.period_kind
            return ""
        read = self._read_period(spec, column, cell, text)
        if isinstance(read, str):
            return read
        whole, period, base = read
        if spec.kind == "period_end":
            line.end = period.end
        elif line.period is None:
            line.period, line.period_column, line.period_kind = (cell, whole, base), column, spec.period_kind
        else:  # 和暦 beside 西暦
            first = self.periods.read(line.period[0], line.period[1], line.period[2], line.period_kind)
            if not isinstance(first, str) and (first.start, first.end) != (period.start, period.end):
                return f"{line.period[0].place} の「{line.period[0].text}」と同じ期間"
        return ""

    def _read_period(
        self, spec: ColumnSpec, column: int, cell: Cell, text: str
    ) -> tuple[str, Period, Period | None] | str:
        """The text of a period cell with the era above it, its period, and the year above it that a bare month is of."""
        above = self._above_periods.setdefault(column, PeriodsAbove())
        whole = above.with_era(text)
        base = above.base(whole)
        self.inherits = self.inherits or whole != text or base is not None
        read = self.periods.read(cell, whole, base, kind=spec.period_kind)
        if isinstance(read, str):
            return read
        above.note(whole, read)
        return whole, read, base

    def _beside(self, line: Line, signs: list[str]) -> None:
        """Unit, status, day of publication and notes that stand in columns of their own."""
        by_kind = self.columns.by_kind
        for _, column in by_kind.get("unit", ()):
            if line.cells[column].value is not None:
                line.unit = canonical_unit(fold(line.cells[column].text))
        for spec, column in by_kind.get("status", ()):
            text = fold(line.cells[column].text)
            if not text:
                continue
            line.status = self._statuses[column].get(search_key(text))
            if line.status is None:
                expected = f"{'、'.join(spec.statuses)} のいずれか"
                self._fault(line.at, column, line.label, expected, "unknown_status")
        for _, column in by_kind.get("public_on", ()):
            cell = line.cells[column]
            if cell.value is not None:
                read = self.periods.read(cell, self._folded(cell.text))
                if isinstance(read, str) or read.start != read.end:
                    self._fault(line.at, column, line.label, "公表する日（例：R6.11.27）", "unreadable_date")
                else:
                    line.public_on = read.end
        notes = [note_of(sign, self.notes) or sign for sign in (*signs, *line.signs)]
        if self.page.remarks:
            said = [
                each for _, column in self.columns.labels for each in self.page.remarks.at(line.at, column)
            ]
            notes.extend(each.text for each in said)
            line.status = next((each.status for each in said if each.status), None)
        for _, column in by_kind.get("note", ()):
            if line.cells[column].value is not None:
                text, more = take_references(" ".join(line.cells[column].text.split()))
                notes.extend([text] if text else [])
                notes.extend(note_of(sign, self.notes) or sign for sign in more)
        line.note = JOIN.join(dict.fromkeys(notes)) or None

    # -- rows of totals

    def _total_row(self, at: int, cells: list[Cell], labels: list[Label]) -> None:
        line = Line(at, cells, [label.text for label in labels if label.own], {})
        contents: list[tuple[ValueColumn, bool, Content]] = []
        for corner, columns in ((False, self.columns.values), (True, self.columns.totals)):
            for column in columns:
                content = self._values.content(line, column)
                if content is not None:
                    contents.append((column, corner, content))
        self._totals.total_row(labels, cells, contents)


def _place_of(matched: Matched, labels: list[tuple[ColumnSpec, int]]) -> int:
    """Where the labels of a matched column stand among the labels of a row."""
    return next(at for at, (spec, _) in enumerate(labels) if spec is matched.spec)
