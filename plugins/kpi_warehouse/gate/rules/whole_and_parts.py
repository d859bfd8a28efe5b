"""Wholes and their parts: sums that must hold, and shares that are possible."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kpi_warehouse.contract import Contract
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, cell_ja, column_of, number_ja, period_ja


class _WholeRule(SliceRule):
    """A rule about the codes of one key column, of which one is the whole."""

    column: str
    whole: str

    def check(self, contract: Contract) -> None:
        super().check(contract)
        column = column_of(contract, self.column)
        if column is None or not column.is_key or not column.codes:
            raise ValueError("column：コード表のあるキー列の名前")
        if self.whole not in column.codes:
            raise ValueError(f"whole：{self.column} のコード")


class SumsWith(_WholeRule):
    """The parts add up to the whole, cell by cell; where a part is a mark, the others are at most the whole.

    Args:
        column: key column whose codes are the parts and the whole.
        whole: code of the whole.
    """

    name: ClassVar[str] = "sums_with"
    likely_ja: ClassVar[tuple[str, str]] = (
        "合計か内訳のどちらかの写し誤り",
        "内訳の範囲が変わった（地域や区分の増減）",
    )

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        codes = column_of(contract, self.column)
        count = len(codes.codes) - 1 if codes else 0
        by = ", ".join(name for name in (*part.period, *part.unit) if name != self.column)
        whole, parts = f"{self.column} = '{self.whole}'", f"{self.column} <> '{self.whole}'"
        return (
            f"select {by}, max(value) filter (where {whole}) as whole, sum(value) filter (where {parts}) as parts"
            f" from {{{part.view}}} group by {by} having bool_or(delivered)"
            f" and (count(value) filter (where {parts}) = {count}"
            f" and sum(value) filter (where {parts}) <> max(value) filter (where {whole})"
            f" or min(value) >= 0 and sum(value) filter (where {parts}) > max(value) filter (where {whole}))"
            " order by abs(sum(value) filter (where "
            + parts
            + ") - max(value) filter (where "
            + whole
            + ")) desc"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        return (
            f"{period_ja(row)} {cell_ja(contract, row)}：内訳の合計 {number_ja(row['parts'], contract)} と"
            f"全体 {number_ja(row['whole'], contract)} が合わない"
        )


class ShareWithin(_WholeRule):
    """The share of one part in the whole lies in the range that the definition of the part allows.

    Args:
        column: key column whose codes are the part and the whole.
        whole, part: their codes.
        low, high: bounds of the share, 0 to 1.
        at_least: smaller wholes say nothing.
    """

    name: ClassVar[str] = "share_within"
    likely_ja: ClassVar[tuple[str, str]] = (
        "別の系列（男女・国籍などの区分）の数値がこの区分の欄に入った",
        "区分の定義が変わった",
    )

    part: str
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    at_least: float = Field(default=100, gt=0)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        by = ", ".join(f"w.{name}" for name in (*part.period, *part.unit) if name != self.column)
        same = " and ".join(
            f"p.{name} = w.{name}" for name in (*part.period, *part.unit) if name != self.column
        )
        return (
            f"select {by}, p.value as part, w.value as whole, p.value / w.value as share from {{{part.view}}} as w"
            f" join {{{part.view}}} as p on {same} and p.{self.column} = '{self.part}'"
            f" where w.{self.column} = '{self.whole}' and w.value >= {self.at_least:g} and (p.fresh or w.fresh)"
            f" and p.value / w.value not between {self.low} and {self.high}"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        column = column_of(contract, self.column)
        label = column.codes.get(self.part, self.part) if column else self.part
        return (
            f"{period_ja(row)} {cell_ja(contract, row)}：{label}の割合が {row['share']:.0%}"
            f"（{self.low:.0%}〜{self.high:.0%} のはず）"
        )
