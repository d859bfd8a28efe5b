"""How a division's file is laid out: the part of a contract that says which cell is what.

`layout_of` turns the YAML of a contract (`servers[0].customProperties`) into dataclasses and notes every fault at its
key. The engine that reads a file by it is `readers/layout.py`; every key of the grammar is a field of the dataclasses here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol, cast, get_args

from kpi_warehouse.contract_part import Fault, Part
from kpi_warehouse.japanese.areas import Areas

OutsideKind = Literal["title", "unit", "document_date", "as_of", "footnote", "ignored"]
ColumnKind = Literal[
    "axis",
    "period",
    "period_end",
    "measure",
    "value",
    "unit",
    "status",
    "note",
    "public_on",
    "row_total",
    "ignored",
]
Year = Literal["fiscal", "calendar"]
Policy = Literal["block", "hold", "flag"]
Blank = Literal["fault", "skip"]
Brackets = Literal["minus", "subset", "repeated", "planned"]

PERIOD_KINDS = ("月", "年度", "暦年", "年", "時点", "累計", "イベント", "年度不明")
STATUSES = (
    "actual",
    "partial",
    "planned",
    "provisional",
    "revised",
    "target",
    "not_applicable",
    "derived",
)
# The heading that stands for "every heading that reads as a period".
PERIOD = "period"
# The measure of a value column is what remains of its heading once the period is taken out.
FROM_HEADING = "heading"
MEASURE_COLUMN = "measure_code"


class CodedColumn(Protocol):
    """What the engine must know of a schema property: its closed list, other spellings, and the marks of the value."""

    @property
    def name(self) -> str:
        """Name of the column."""

    @property
    def codes(self) -> Mapping[str, str]:
        """code → label; empty where the column takes any text."""

    @property
    def synonyms(self) -> Mapping[str, Sequence[str]]:
        """code → further labels that mean it."""

    @property
    def marks(self) -> Mapping[str, str]:
        """Raw mark → meaning; of the value column only."""

    @property
    def mark_status(self) -> Mapping[str, str]:
        """Raw mark → value_status."""

    @property
    def areas(self) -> Areas | None:
        """The list of areas whose names and codes it takes; None where it has a list of its own."""

    @property
    def units(self) -> Mapping[str, str]:
        """Code → unit its values have; of the measure column only."""


@dataclass(frozen=True)
class Outside:
    """A line that may stand outside the tables. Named groups of `pattern`: `unit`, `period`, `date`."""

    pattern: re.Pattern[str]
    kind: OutsideKind
    reason: str = ""


@dataclass(frozen=True)
class ColumnSpec:
    """One column of a table, or with `period_heading` every column whose heading reads as a period.

    Args:
        headings: spellings of the heading, any of which may occur; "" is the blank corner of a cross table.
        with_parts: with `period_heading`: what must stand in the heading beside the period (`R5年度／人数`).
        column: name of the axis column the cell's code goes to.
        measure: code of the measure; `heading` looks it up by what stands in the heading beside the period.
        units: unit → measure, for several quantities in one cell.
        unit: the unit expected; `unit_aliases` maps other spellings to it.
        unit_factors: other units that are converted into `unit`: {千人: 1000} where `unit` is 人.
        brackets: what a number in brackets is: a minus, 内数 (subset), 再掲 (repeated) or 予定 (planned); None: refused.
        occurrence: which of several columns with this heading, counted from the left; None: the only one.
        stacked: its labels stand in the column of another spec with the same heading, above the rows they are for.
        constants: further axis columns and their codes.
        period: `heading`, `row`, `document`, or a period written out (`R6年度`).
        period_kind: overrides the kind the period reads as.
        statuses: text of a status cell → value_status.
        fill_down: a blank label means the label above.
        in_total: False: a part of another column (うち…), left out of row totals.
        gapless: with `period_heading`: months (years) from first to last must all be there.
    """

    headings: tuple[str, ...]
    kind: ColumnKind
    period_heading: bool = False
    with_parts: tuple[str, ...] = ()
    column: str | None = None
    measure: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    unit_aliases: Mapping[str, str] = field(default_factory=dict)
    unit_factors: Mapping[str, Decimal] = field(default_factory=dict)
    brackets: Brackets | None = None
    occurrence: int | None = None
    stacked: bool = False
    constants: Mapping[str, str] = field(default_factory=dict)
    period: str | None = None
    period_kind: str | None = None
    status: str | None = None
    statuses: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    reason: str = ""
    fill_down: bool = False
    in_total: bool = True
    gapless: bool = False
    blank: Blank | None = None

    @property
    def name_ja(self) -> str:
        """How a message names the column."""
        if self.period_heading:
            return "／".join(["（期間の見出し）", *self.with_parts[:1]])
        named = "／".join(f"「{heading}」" if heading else "（空白の見出し）" for heading in self.headings)
        return f"{named}（{self.occurrence}番目）" if self.occurrence else named


@dataclass(frozen=True)
class RowRules:
    """Which rows of a table are no data: totals to check, subtotals, parts of another row, rows ignored by name.

    `subsets` are beginnings of labels (うち…): such rows are loaded but left out of column totals.
    """

    totals: tuple[str, ...] = ()
    subtotals: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    ignore: Mapping[str, str] = field(default_factory=dict)
    until: Literal["blank", "end"] = "blank"


@dataclass(frozen=True)
class Table:
    """One table of the file, found by its headings, and by a caption above them where several look alike.

    Args:
        base_period: where the year of a bare month comes from: `caption`, `sheet`, `document`, or a year (`R6`).
        repeats: the same table may stand several times (a sheet for each year).
        spread_headings: a heading counts for the empty cells right of it too (merged cells lost in a CSV).
        brackets: what numbers in brackets are in columns that do not say it themselves.
    """

    name: str
    columns: tuple[ColumnSpec, ...]
    sheet: str | None = None
    caption: tuple[str, ...] = ()
    year: Year | None = None
    base_period: str | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    rows: RowRules = RowRules()
    blank: Blank = "fault"
    optional: bool = False
    repeats: bool = False
    spread_headings: bool = False
    brackets: Brackets | None = None

    def of_kind(self, *kinds: ColumnKind) -> tuple[ColumnSpec, ...]:
        """Columns of these kinds, in the contract's order."""
        return tuple(column for column in self.columns if column.kind in kinds)


@dataclass(frozen=True)
class Drift:
    """What to do when the form changed: `block` refuses the file, `hold` and `flag` read what is known and say so."""

    new_column: Policy = "block"
    missing_column: Policy = "block"
    changed_unit: Policy = "block"


@dataclass(frozen=True)
class Layout:
    """The layout of a feed's file. `hidden` tells whether values in hidden rows, columns and sheets are read."""

    tables: tuple[Table, ...]
    outside: tuple[Outside, ...] = ()
    drift: Drift = Drift()
    hidden: Literal["refuse", "read"] = "refuse"
    ignored_sheets: Mapping[str, str] = field(default_factory=dict)


def layout_of(custom: Mapping[str, Any], fault: Fault) -> Layout:
    """The layout a contract declares.

    Args:
        custom: the server's customProperties as name → value; `layout` and `drift` are read here.
        fault: told (key path, found, expected) of every fault; the path begins with the property's name.

    Returns:
        The layout; where faults were told, a layout of what could be understood.
    """
    part = Part(custom.get("layout"), ("layout",), fault)
    outside = tuple(each for each in map(_outside, part.parts("outside")) if each is not None)
    tables = tuple(_table(each) for each in part.parts("tables"))
    if not tables:
        fault(("layout", "tables"), None, "表ひとつ以上（tables）")
    for at, table in enumerate(tables):
        if table.name in {before.name for before in tables[:at]}:
            fault(("layout", "tables", at, "name"), table.name, "ほかの表と重ならない名前")
        if table.base_period == "document" and not any(
            "period" in line.pattern.groupindex for line in outside
        ):
            expected = "outside のどれかの行に (?P<period>…)（base_period: document の年の出どころ）"
            fault(("layout", "tables", at, "base_period"), table.base_period, expected)
    hidden = part.choice("hidden", ("refuse", "read"), "refuse")
    ignored = part.pairs("ignoreSheets")
    part.close()
    changes = Part(custom.get("drift") or {}, ("drift",), fault)
    policies = ("block", "hold", "flag")
    drift = Drift(
        new_column=cast(Policy, changes.choice("newColumn", policies, "block")),
        missing_column=cast(Policy, changes.choice("missingColumn", policies, "block")),
        changed_unit=cast(Policy, changes.choice("changedUnit", policies, "block")),
    )
    changes.close()
    return Layout(tables, outside, drift, cast(Literal["refuse", "read"], hidden), ignored)


def _outside(part: Part) -> Outside | None:
    kinds = get_args(OutsideKind)
    written, kind = part.text("pattern", "正規表現"), part.choice("is", kinds, None)
    reason = part.text("reason") or ""
    part.close()
    if "is" not in part.values:
        part.wrong("is", " / ".join(kinds))
    if written is None or kind is None:
        return None
    try:
        pattern = re.compile(written)
    except re.error as error:
        part.wrong("pattern", f"正しい正規表現（{error}）")
        return None
    group = {"unit": "unit", "document_date": "date", "as_of": "period"}.get(kind)
    if group and group not in pattern.groupindex:
        part.wrong("pattern", f"名前つきの括弧 (?P<{group}>…)")
    if kind == "ignored" and not reason:
        part.wrong("reason", "読み飛ばす理由")
    return Outside(pattern, cast(OutsideKind, kind), reason)


def _table(part: Part) -> Table:
    rules = part.part("rows")
    table = Table(
        name=part.text("name", "表の名前") or "",
        columns=tuple(_column(each) for each in part.parts("columns")),
        sheet=part.text("sheet"),
        caption=part.texts("caption"),
        year=cast(Year | None, part.choice("year", ("fiscal", "calendar"), None)),
        base_period=part.text("base_period"),
        constants=part.pairs("set"),
        rows=RowRules(
            totals=rules.texts("totals"),
            subtotals=rules.texts("subtotals"),
            subsets=rules.texts("subsets"),
            ignore=rules.pairs("ignore"),
            until=cast(Literal["blank", "end"], rules.choice("until", ("blank", "end"), "blank")),
        ),
        blank=cast(Blank, part.choice("blank", ("fault", "skip"), "fault")),
        optional=part.flag("optional"),
        repeats=part.flag("repeats"),
        spread_headings=part.flag("spreadHeadings"),
        brackets=cast(Brackets | None, part.choice("brackets", get_args(Brackets), None)),
    )
    rules.close()
    part.close()
    _check_table(table, part)
    return table


def _check_table(table: Table, part: Part) -> None:
    seen: dict[tuple[str, int | None], int] = {}
    for at, column in enumerate(table.columns):
        for heading in column.headings:
            named = (heading, column.occurrence)
            here = (*part.path, "columns", at, "heading")
            if named in seen and not (column.stacked or table.columns[seen[named]].stacked):
                expected = f"{seen[named] + 1}番目の列と重ならない見出し（同じ見出しの列は occurrence で何番目かを示す）"
                part.fault(here, heading, expected)
            seen.setdefault(named, at)
    for at, column in enumerate(table.columns):
        if column.stacked and not any(
            other is not column and not other.stacked and set(other.headings) & set(column.headings)
            for other in table.columns
        ):
            part.fault(
                (*part.path, "columns", at, "stacked"), True, "同じ見出しの、stacked でない列もうひとつ"
            )
    if not table.of_kind("value"):
        part.wrong("columns", "is: value の列ひとつ以上")
    if all(column.optional or column.period_heading for column in table.columns):
        # A period alone is no landmark: a row of dates would pass for a header.
        part.wrong("columns", "optional でない、名前のある見出しひとつ以上（表を見つける手がかり）")
    from_row = bool(table.of_kind("measure")) or MEASURE_COLUMN in table.constants
    for at, column in enumerate(table.columns):
        here = (*part.path, "columns", at)
        if column.kind == "value" and not (column.measure or column.units or from_row):
            part.fault((*here, "measure"), None, "measure か units、または is: measure の列")
        if column.period == "row" and not table.of_kind("period"):
            part.fault((*here, "period"), column.period, "is: period の列のある表")


def _column(part: Part) -> ColumnSpec:
    kind = cast(ColumnKind, part.choice("is", get_args(ColumnKind), None))
    if "is" not in part.values:
        part.wrong("is", " / ".join(get_args(ColumnKind)))
    headings = part.texts("heading")
    if not headings:
        part.wrong("heading", "見出し（同じ意味の書き方を並べてよい）")
    period_heading = headings == (PERIOD,) and kind == "value"
    blank = part.choice("blank", ("fault", "skip"), None)
    column = ColumnSpec(
        headings=() if period_heading else headings,
        kind=kind,
        period_heading=period_heading,
        with_parts=part.texts("with"),
        column=part.text("column"),
        measure=part.text("measure"),
        units=part.pairs("units"),
        unit=part.text("unit"),
        unit_aliases=part.pairs("unitAliases"),
        unit_factors=part.factors("unitFactors"),
        brackets=cast(Brackets | None, part.choice("brackets", get_args(Brackets), None)),
        occurrence=part.number("occurrence"),
        stacked=part.flag("stacked"),
        constants=part.pairs("set"),
        period=part.text("period"),
        period_kind=part.choice("periodKind", PERIOD_KINDS, None),
        status=part.choice("status", STATUSES, None),
        statuses=part.pairs("statuses"),
        optional=part.flag("optional"),
        reason=part.text("reason") or "",
        fill_down=part.flag("fillDown"),
        in_total=part.flag("inTotal", default=True),
        gapless=part.flag("gapless"),
        blank=cast(Blank | None, blank),
    )
    part.close()
    if kind == "axis" and not column.column:
        part.wrong("column", "軸の列名")
    if kind == "ignored" and not column.reason:
        part.wrong("reason", "読み飛ばす理由")
    if kind == "status":
        if not column.statuses:
            part.wrong("statuses", "セルの語から value_status への対応")
        for word, status in column.statuses.items():
            if status not in STATUSES:
                part.fault((*part.path, "statuses", word), status, " / ".join(STATUSES))
    if column.unit_factors and not column.unit:
        part.wrong("unit", "unitFactors で換算した先の単位")
    if column.stacked and kind not in ("axis", "period", "measure"):
        part.wrong("stacked", "is: axis / period / measure の列だけ")
    if column.measure == FROM_HEADING and not period_heading:
        part.wrong("measure", "指標のコード（heading は「heading: period」の列だけ）")
    return column
