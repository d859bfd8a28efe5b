"""Values of the wrong size: a unit was taken for another, digits were lost, added, or rounded away."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kpi_warehouse.contract import Contract, Scope
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, cell_ja, number_ja, period_ja
from kpi_warehouse.gate.rules.slices import has_status, number_sql

# ×10, ×100 (百分率), ×1,000 (千), ×10,000 (万), ×100,000,000 (億).
POWERS = (1, 2, 3, 4, 8)
NEAREST = 5


class UnitSlip(SliceRule):
    """A value is about 10, 100, 1,000, 万 or 億 times what it is compared with, or that part of it.

    It is compared with the median of the nearest values of the same cell that are known, accepted ones first: one wrong value
    among them does not make its neighbours doubtful.

    Args:
        tolerance: how far the ratio may be from the power of ten, in decades (0.3: half to double).
        at_least: smaller values compared with say nothing (3 → 30 is growth).
    """

    name: ClassVar[str] = "unit_slip"
    scopes: ClassVar[tuple[Scope, ...]] = ("rows", "table")
    likely_ja: ClassVar[tuple[str, str]] = (
        "単位の取り違え（千・万・億・％と割合）か、けたの書き落とし",
        "事業の規模が実際に大きく変わった",
    )

    tolerance: float = Field(default=0.3, gt=0, lt=0.5)
    at_least: float = Field(default=10, gt=0)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        end = part.period[-1]
        seen = " and {}.value_status in ('actual', 'partial', 'provisional')" if has_status(contract) else ""
        powers = ", ".join(f"({sign * power})" for power in POWERS for sign in (1, -1))
        return (
            "select k.*, o.reference, k.value / 10.0 ^ p.power as likely_value, 'けた、又は単位の書き違いと考えられます。' ||"
            f" {number_sql('k.value / 10.0 ^ p.power')} || ' のことですか（近い期間の値は ' || {number_sql('o.reference')} || ' ほど）。' as said_ja"
            f" from {{{part.view}}} as k cross join lateral (select percentile_disc(0.5) within group (order by abs(near.value)) as reference"
            f" from (select o.value from {{{part.view}}} as o where {part.same_unit('o', 'k')}"
            f" and {part.at('o')} <> {part.at('k')} and o.value <> 0{seen.format('o')}"
            f" order by o.fresh, abs(o.{end} - k.{end}) limit {NEAREST}) as near) as o cross join (values {powers}) as p (power)"
            f" where k.fresh and k.value <> 0 and o.reference >= {self.at_least:g}{seen.format('k')}"
            f" and abs(log((abs(k.value) / o.reference)::numeric) - p.power) <= {self.tolerance}"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        return (
            f"{period_ja(row)} {cell_ja(contract, row)}：{number_ja(row['value'], contract)} は、近い期間の "
            f"{number_ja(row['reference'], contract)} ほどとけたが違う。"
            f"おそらく {number_ja(row['likely_value'], contract)}"
        )


class NotRounded(SliceRule):
    """Counts end in every digit alike; a period in which too many end in 0 was rounded, or typed from a chart.

    Args:
        share: share of a period's values that may end in 0 (a tenth do by chance).
        at_least: fewer values of two digits and more say nothing.
    """

    name: ClassVar[str] = "not_rounded"
    likely_ja: ClassVar[tuple[str, str]] = (
        "概数や図表から読み取った値が写された",
        "千人・百人単位の表を人の単位に直した値が送られた",
    )

    share: float = Field(gt=0.1, lt=1)
    at_least: int = Field(default=30, ge=10)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        return (
            f"select {part.periods('k')}, count(*) as cells, count(*) filter (where k.value::numeric % 10 = 0) as ending_in_zero"
            f" from {{{part.view}}} as k where k.value >= 10 group by {part.periods('k')}"
            f" having bool_or(k.fresh) and count(*) >= {self.at_least}"
            f" and count(*) filter (where k.value::numeric % 10 = 0) > {self.share} * count(*)"
        )

    def not_judged(self, contract: Contract) -> str | None:
        part = self.slice(contract)
        return (
            f"select n.{part.period[0]} as period, '2けた以上の数値が {self.at_least} 個に足りない' as why from {{{part.view}}} as n"
            f" group by {part.periods('n')} having bool_or(n.fresh)"
            f" and count(*) filter (where n.value >= 10) < {self.at_least}"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        return f"{period_ja(row)} の {row['cells']} 個の数値のうち {row['ending_in_zero']} 個の末尾が 0（偶然なら1割ほど）"
