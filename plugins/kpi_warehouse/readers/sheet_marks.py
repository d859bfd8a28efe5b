"""What a sheet says beside its values: hidden rows and columns, formulas, error values, how far it reaches.

calamine gives values fast but none of these. The formats find them each in its own way (`xlsx_marks`, `xls_marks`,
`ods_marks`) and hand them over in this shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.grid import DAY_ZERO, Remark, column_letters
from kpi_warehouse.readers.shown.cell_style import CellStyle
from kpi_warehouse.readers.shown.number_format import Says
from kpi_warehouse.readers.shown.text_runs import Run

# A yearly file of a division has some thousand cells, the largest table we publish two million. calamine builds the whole
# rectangle up to the last value at 32 bytes a cell, so one stray value at XFD1048576 would ask for 550 GB.
MAX_CELLS = 5_000_000

Position = tuple[int, int]  # 0-based row, column


@dataclass(slots=True)
class SheetMarks:
    """One sheet beside its values; rows and columns are 0-based.

    Args:
        formulas: text of the formula by cell, without `=`.
        uncached: formulas that hold no result: the file was written by a program that never calculated.
        errors: `#REF!` and its kin by cell; calamine gives these as empty.
        rows, columns: how far values reach, counted from A1; where not `exact`, they reach no further than that.
        merges: top-left and bottom-right cell of each merged area, where calamine does not give them.
        styles: of the cells that show their value otherwise than it is stored, or may; in a sheet that is searched only of
            those whose meaning it may change.
        runs: of the texts in which a font says something.
        texts: as they stand in the file, where calamine closes up a tab or a line break, or gives 1 for a TRUE.
        remarks: comments, shapes with text and printed lines.
        hides_zeros: the sheet shows a 0 as nothing.
        day_zero: the day that serials count from.
    """

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[range] = field(default_factory=list)
    formulas: dict[Position, str] = field(default_factory=dict)
    uncached: set[Position] = field(default_factory=set)
    errors: dict[Position, str] = field(default_factory=dict)
    rows: int = 0
    columns: int = 0
    exact: bool = True
    merges: list[tuple[Position, Position]] = field(default_factory=list)
    styles: dict[Position, CellStyle] = field(default_factory=dict)
    runs: dict[Position, tuple[Run, ...]] = field(default_factory=dict)
    texts: dict[Position, str] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    hides_zeros: bool = False
    day_zero: date = DAY_ZERO

    @property
    def show_more(self) -> bool:
        """Whether anything on the sheet may say another thing than the values stored in its cells."""
        return bool(
            self.runs
            or self.texts
            or self.remarks
            or self.hides_zeros
            or self.day_zero != DAY_ZERO
            or any(style.says_of_zero is Says.VALUE for style in set(self.styles.values()))
        )

    def reach(self, row: int, column: int) -> None:
        """There is a value at (row, column)."""
        self.rows = max(self.rows, row + 1)
        self.columns = max(self.columns, column + 1)

    def hides_column(self, column: int) -> bool:
        return any(column in hidden for hidden in self.hidden_columns)


def cells_of(sheets: dict[str, SheetMarks]) -> int:
    return sum(marks.rows * marks.columns for marks in sheets.values())


def guard_cells(name: str, sheets: dict[str, SheetMarks]) -> None:
    """Refuse sheets whose rectangle is too large to build, before anything builds it.

    Raises:
        UnreadableFile: naming the sheet and the cell the rectangle reaches to.
    """
    total = 0
    for sheet, marks in sheets.items():
        total += marks.rows * marks.columns
        if total > MAX_CELLS:
            raise UnreadableFile(
                f"{name}：シート「{sheet}」が {column_letters(marks.columns - 1)}{marks.rows} まで値を持ち、大きすぎます"
                f"（見つかったもの：{total:,} セル、期待：{MAX_CELLS:,} セル以下）。"
                "表から離れた場所に入った値を消すか、表を分けて出し直してください。",
                "file.too_many_cells",
            )
