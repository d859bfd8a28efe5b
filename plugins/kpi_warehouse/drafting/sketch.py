"""A draft while it is being made: the layout as it will stand in the contract, and the columns it needs.

The reader takes a `Sketch` as it takes a contract, so a draft is tried before anything is written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.contract_layout import CodedColumn, Layout, layout_of
from kpi_warehouse.drafting.texts import USUAL_MARKS
from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.areas import Areas

# A list of more labels is no closed list of codes.
MOST_LABELS = 5000


class GrammarError(ValueError):
    """A layout that the grammar of contracts does not take."""


@dataclass(frozen=True)
class SketchColumn:
    """A column as the reader asks for it (`CodedColumn`)."""

    name: str
    codes: Mapping[str, str] = field(default_factory=dict)
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    mark_status: Mapping[str, str] = field(default_factory=dict)
    areas: Areas | None = None
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Axis:
    """An axis: its heading, and code → label."""

    label: str
    codes: dict[str, str]


@dataclass
class Sketch:
    """Everything a draft says of the file and its columns.

    Args:
        how: format and encoding.
        outside: lines around the tables.
        axes: column name → axis.
        measures, units: measure code → label, and → unit.
        kinds: period kinds that occur.
        open_points: what the draft guessed or could not find out, in Japanese, in the order of finding.
    """

    how: dict[str, Any]
    tables: list[dict[str, Any]] = field(default_factory=list)
    outside: list[dict[str, str]] = field(default_factory=list)
    ignored_sheets: dict[str, str] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    measures: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    marks: dict[str, str] = field(
        default_factory=lambda: {mark: USUAL_MARKS[mark][0] for mark in ("-", "－", "…", "未定")}
    )
    open_points: list[str] = field(default_factory=list)

    def ask(self, point: str) -> None:
        """Note what a person must look at, once."""
        if point not in self.open_points:
            self.open_points.append(point)

    @property
    def mark_status(self) -> dict[str, str]:
        """Mark → status of the value, for the marks whose usual meaning has one."""
        known = {mark: USUAL_MARKS[mark][1] for mark in self.marks if mark in USUAL_MARKS}
        return {mark: status for mark, status in known.items() if status}

    def layout_yaml(self) -> dict[str, Any]:
        """The layout as the contract has it."""
        layout: dict[str, Any] = {"outside": self.outside} if self.outside else {}
        if self.ignored_sheets:
            layout["ignoreSheets"] = self.ignored_sheets
        layout["tables"] = self.tables
        return layout

    def layout(self) -> Layout:
        """The layout as the reader takes it.

        Raises:
            GrammarError: the grammar of layouts does not take it; a defect of the draft.
        """
        wrong: list[str] = []

        def fault(path: object, found: object, expected: str) -> None:
            wrong.append(f"{path}: {found!r}, {expected}")

        layout = layout_of({"layout": self.layout_yaml()}, fault)
        if wrong:
            raise GrammarError("；".join(wrong))
        return layout

    def columns(self) -> list[CodedColumn]:
        """The columns as the reader takes them."""
        return [
            SketchColumn("period"),
            SketchColumn("period_kind"),
            *(SketchColumn(name, axis.codes) for name, axis in self.axes.items()),
            SketchColumn("measure_code", self.measures, units=self.units),
            SketchColumn("value", marks=self.marks, mark_status=self.mark_status),
        ]

    def measure(self, label: str, unit: str | None) -> str:
        """Code of a measure, the one that has this label already or a new one."""
        known = next((code for code, text in self.measures.items() if text == label), None)
        code = known or f"m{len(self.measures) + 1}"
        self.measures[code] = label
        if unit:
            self.units.setdefault(code, unit)
        return code

    def axis(self, label: str, labels: list[str], codes: list[str] | None = None) -> str:
        """Name of a new axis with these labels; `codes` where the file has its own.

        Raises:
            KpiError: they are too many for a list of codes.
        """
        if len(labels) > MOST_LABELS:
            raise KpiError(
                f"「{label}」の項目が {len(labels):,} 種類以上あります（上限 {MOST_LABELS:,}）。"
                "集計する前の、1件ごとのデータではありませんか。集計した表を見本にしてください。",
                "draft.too_many_labels",
            )
        name = f"axis{len(self.axes) + 1}_code"
        keys = codes or [f"c{at}" for at in range(1, len(labels) + 1)]
        self.axes[name] = Axis(label, dict(zip(keys, labels, strict=True)))
        return name

    def reason(self, text: str) -> str:
        """A reason that somebody must confirm."""
        return f"{text}{TO_BE_CHECKED}"
