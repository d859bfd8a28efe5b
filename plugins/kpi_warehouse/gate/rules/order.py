"""What only grows: stocks and sums since a start."""

from __future__ import annotations

from typing import ClassVar

from kpi_warehouse.contract import Contract, Scope
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, cell_ja, number_ja, period_ja
from kpi_warehouse.gate.rules.slices import number_sql


class NeverFalls(SliceRule):
    """A later value of a stock, or of a sum since one start, is not smaller than an earlier one.

    Args:
        since_start: compare only values whose periods begin on the same day (累計); else all values of the cell (時点).
    """

    name: ClassVar[str] = "never_falls"
    scopes: ClassVar[tuple[Scope, ...]] = ("rows", "table")
    likely_ja: ClassVar[tuple[str, str]] = (
        "年度だけの値が累計の欄に書かれた、又は桁が落ちた",
        "数え方が変わった、又は過去の値が訂正された",
    )

    since_start: bool = False

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        start, end = part.period[0], part.period[-1]
        same = f" and o.{start} = k.{start}" if self.since_start else ""
        return (
            f"select k.*, o.{start} as other_period, o.{end} as other_period_end, o.value as other_value,"
            f" {number_sql('o.value')} || '（' || o.{end} || '）と並べると減っています。' as said_ja from {{{part.view}}} as k"
            f" cross join lateral (select o.* from {{{part.view}}} as o where {part.same_unit('o', 'k')}{same}"
            f" and (o.{end} < k.{end} and o.value > k.value or o.{end} > k.{end} and o.value < k.value)"
            f" order by abs(o.{end} - k.{end}) limit 1) as o"
            " where k.fresh"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        return (
            f"{period_ja(row)} {cell_ja(contract, row)}：{number_ja(row['value'], contract)} は、"
            f"{period_ja(row, 'other_period', 'other_period_end')} の {number_ja(row['other_value'], contract)} と並べると減っている"
        )
