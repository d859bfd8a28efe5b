"""What a delivery changes of what was accepted."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kpi_warehouse.contract import Contract, Scope
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, cell_ja, number_ja, period_ja
from kpi_warehouse.gate.rules.slices import has_status


class RevisionSize(SliceRule):
    """An accepted number changes by more than it ever did, or many numbers of one period change at once.

    Args:
        by: change that is always usual, in the unit of the value.
        share: share of the accepted number that is usual too; the larger of both counts.
        many: share of a period's accepted numbers that may change at once.
        many_at_least: fewer changed cells than this are not many.
    """

    name: ClassVar[str] = "revision_size"
    scopes: ClassVar[tuple[Scope, ...]] = ("table", "rows")
    likely_ja: ClassVar[tuple[str, str]] = (
        "提供元が過去の数値を改定した（改定のお知らせがあるはず）",
        "別の期間や別の範囲の数値が、この期間の欄に入った",
    )

    by: float = Field(ge=0)
    share: float = Field(ge=0)
    many: float = Field(default=1.0, gt=0)
    many_at_least: int = Field(default=12, ge=2)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        changed = "k.delivered and k.value is not null and k.accepted is not null and k.value <> k.accepted"
        every = ", ".join((*part.period, *part.unit))
        if has_status(contract):
            changed += " and k.value_status = 'actual'"
        return (
            f"with counted as (select k.*, count(*) filter (where {changed}) over w as changed, count(k.accepted) over w as numbers"
            f" from {{{part.view}}} as k window w as (partition by {part.periods('k')}))"
            f" select {every}, value, accepted, changed, numbers from counted as k where {changed}"
            f" and (abs(k.value - k.accepted) > greatest({self.by}, {self.share} * abs(k.accepted))"
            f" or k.changed >= {self.many_at_least} and k.changed > {self.many} * k.numbers)"
            " order by abs(k.value - k.accepted) desc"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        many = (
            f"（この期間の {row['numbers']} 個のうち {row['changed']} 個が変わる）"
            if row["changed"] >= self.many_at_least
            else ""
        )
        return (
            f"{period_ja(row)} {cell_ja(contract, row)}：受け入れ済みの {number_ja(row['accepted'], contract)} が "
            f"{number_ja(row['value'], contract)} に変わる（許容 {self.by:g} か {self.share:.0%} の大きい方）{many}"
        )


class NumberBecomesMark(SliceRule):
    """An accepted number is overwritten by a mark: what was published does not become unknown."""

    name: ClassVar[str] = "number_becomes_mark"
    scopes: ClassVar[tuple[Scope, ...]] = ("table", "rows")
    likely_ja: ClassVar[tuple[str, str]] = (
        "提供元の表の更新の途中を読んだ",
        "提供元が数値を取り下げた（お知らせがあるはず）",
    )

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        return (
            f"select {', '.join((*part.period, *part.unit))}, accepted from {{{part.view}}} as k"
            " where k.delivered and k.value is null and k.accepted is not null order by 1 desc"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        return f"{period_ja(row)} {cell_ja(contract, row)}：受け入れ済みの {number_ja(row['accepted'], contract)} が記号に変わる"
