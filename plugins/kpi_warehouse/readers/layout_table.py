"""The rows of one found table: labels → codes, values → measure rows, totals → checks, everything else → faults."""

from __future__ import annotations

from kpi_warehouse.contract_layout import MEASURE_COLUMN, ColumnSpec
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import fold, search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_columns import ColumnCompiler, ValueColumn
from kpi_warehouse.readers.layout_context import Context
from kpi_warehouse.readers.layout_headers import JOIN, take_references
from kpi_warehouse.readers.layout_known import KnownLabels, Line
from kpi_warehouse.readers.layout_labels import Label, Words
from kpi_warehouse.readers.layout_line import LineValues
from kpi_warehouse.readers.layout_periods import PeriodCells
from kpi_warehouse.readers.layout_tables import BLANK, Found
from kpi_warehouse.readers.layout_totals import Totals
from kpi_warehouse.readers.layout_values import Content


class TableReader:
    """Reads one found table into the context's rows, checks and findings.

    After `read`, `found.end` is the first row behind the table; `left` are cells and `left_rows` rows before it that
    nothing of the table took.
    """

    def __init__(self, found: Found, context: Context) -> None:
        self.found, self.context = found, context
        self.table, self.page, self.rules = found.table, found.page, found.table.rows
        compiler = ColumnCompiler(found, context)
        self.columns = compiler.columns()
        self.periods = PeriodCells(self.table.year, compiler.base)
        self.notes = context.outside.footnotes(found)
        self.left: list[tuple[int, int]] = []
        self.left_rows: set[int] = set()
        self._values = LineValues(found, context, self.columns, self.periods, self.notes)
        self._ignored = Words(self.rules.ignore)
        self._totals = Totals(found, self.columns)
        self._texts: dict[str, str] = {}
        self._above: dict[int, tuple[str, Cell]] = {}
        self._measured = [column.at for column in (*self.columns.values, *self.columns.totals)]
        self._known_labels = KnownLabels(self.columns.labels, off=self._totals.wanted)
        self._period_heading = any(column.spec.period_heading for column in self.columns.values)
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
        if measured and self.columns.readable and (line := self._known_labels.line(at, cells)) is not None:
            self._loose(at, cells)
            self._beside(line, [])
            self._line_values(line)
            return True
        labels = self._labels(cells)
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
        if spec.kind not in ("axis", "measure"):
            return False
        codes = self.context.code_list(spec.column or MEASURE_COLUMN)
        return not codes.open and codes.code(take_references(text)[0]) is not None

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
        if line.sound:
            self._known_labels.keep(line, labels)
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
            text, found = take_references(label.text)
            signs.extend(found)
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
        codes = self.context.code_list(spec.column or "")
        code = codes.code(text)
        if code is None:
            return codes.expected_ja(text), "unknown_label"
        line.axes[spec.column or ""] = code
        return None

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
        if spec.kind == "period":
            line.period, line.period_column, line.period_kind = (cell, text), column, spec.period_kind
            if self._period_heading:  # a bare month gets its year from each heading
                return ""
        read = self.periods.read(cell, text, kind=spec.period_kind)
        if isinstance(read, str):
            return read
        if spec.kind == "period_end":
            line.end = read.end
        return ""

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
        notes = [self.notes[sign] for sign in signs if sign in self.notes]
        for _, column in by_kind.get("note", ()):
            if line.cells[column].value is not None:
                text, more = take_references(" ".join(line.cells[column].text.split()))
                notes.extend([text] if text else [])
                notes.extend(self.notes[sign] for sign in more if sign in self.notes)
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
