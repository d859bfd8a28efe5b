"""A period that is another period once more: the same numbers, or the same numbers scaled."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kpi_warehouse.contract import Contract
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, period_ja
from kpi_warehouse.gate.rules.slices import has_status


class SameAsOtherPeriod(SliceRule):
    """As many cells equal those of one other period as never in true figures.

    Args:
        share: share of a period's numbers (marks and values below `ignore_below` left out) that may not be equal.
        at_least: fewer equal cells than this say nothing.
        ignore_below: smaller absolute values are equal by chance and are not counted.
    """

    name: ClassVar[str] = "same_as_other_period"
    likely_ja: ClassVar[tuple[str, str]] = (
        "別の期間のファイルや表がもう一度送られた",
        "列や月が一つずれて写された",
    )

    share: float = Field(gt=0, le=1)
    at_least: int = Field(ge=2)
    ignore_below: float = Field(default=1, ge=0)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        numbers = f"abs(%s.value) >= {self.ignore_below:g}"
        kind = " and a.value_status is not distinct from b.value_status" if has_status(contract) else ""
        end = f", max(b.{part.period[1]}) as other_period_end" if len(part.period) > 1 else ""
        return (
            f"with sizes as (select {part.periods('n')}, count(*) as cells, bool_or(n.fresh) as fresh from {{{part.view}}} as n"
            f" where {numbers % 'n'} group by {part.periods('n')})"
            f" select {part.periods('a')}, b.{part.period[0]} as other_period{end}, count(*) as equal_cells, max(z.cells) as cells"
            f" from {{{part.view}}} as a join sizes as z on {part.at('z')} = {part.at('a')}"
            f" join {{{part.view}}} as b on {part.same_unit('a', 'b')} and b.value = a.value and {part.at('b')} <> {part.at('a')}{kind}"
            f" where z.fresh and {numbers % 'a'}"
            f" group by {part.periods('a')}, b.{', b.'.join(part.period)}"
            f" having count(*) >= greatest({self.at_least}, {self.share} * max(z.cells)) order by count(*) desc"
        )

    def not_judged(self, contract: Contract) -> str | None:
        part = self.slice(contract)
        return (
            f"select n.{part.period[0]} as period, '比べられる数値が {self.at_least} 個に足りない' as why from {{{part.view}}} as n"
            f" group by {part.periods('n')} having bool_or(n.fresh)"
            f" and count(*) filter (where abs(n.value) >= {self.ignore_below:g}) < {self.at_least}"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        other = period_ja(row, "other_period", "other_period_end")
        return f"{period_ja(row)} の {row['cells']} 個の数値のうち {row['equal_cells']} 個が {other} と同じ"


class CopyOfOtherPeriod(SliceRule):
    """Shares as alike to another period's as never in true figures: that period, scaled.

    For every item the change of each part against the change of the sum is a number of standard deviations,
    z = Δ ÷ √(base² + per_count ÷ n), n the smaller of the two values. Its root mean square over all parts is bounded from below.

    Args:
        parts: key column that tells the parts of a whole apart; values of `whole` are left out.
        whole: code of the whole in that column, or none.
        below: bound of the root mean square of z.
        at_least: fewer parts than this say nothing.
        within_periods: how many earlier periods of the kind are compared.
    """

    name: ClassVar[str] = "copy_of_other_period"
    likely_ja: ClassVar[tuple[str, str]] = (
        "別の月の数値に係数を掛けて作られた（推計や仮の値）",
        "別の期間の表が別の単位や範囲で送られた",
    )

    parts: str
    whole: str | None = None
    below: float = Field(gt=0)
    at_least: int = Field(default=20, ge=3)
    base: float = Field(default=0.03, gt=0)
    per_count: float = Field(default=5, gt=0)
    within_months: int = Field(default=24, ge=1)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        items = [name for name in part.unit if name != self.parts]
        item = "".join(f", a.{name}" for name in items)
        start = part.period[0]
        return (
            f"with pairs as (select a.{start}{item}, b.{start} as other_period, a.fresh or b.fresh as fresh,"
            " greatest(a.value, 1) as x, greatest(b.value, 1) as y"
            f" from {{{part.view}}} as a join {{{part.view}}} as b on {part.same_unit('a', 'b')}"
            f" and b.{start} < a.{start} and b.{start} >= (a.{start} - interval '{self.within_months} months')::date"
            f" where a.value >= 0 and b.value >= 0 and a.{self.parts} <> '{self.whole or ''}'),"
            " scaled as (select *, ln(x / y) - ln(sum(x) over w / sum(y) over w) as d, least(x, y) as n"
            f" from pairs window w as (partition by {start}, other_period{''.join(', ' + name for name in items)}))"
            f" select {start}, other_period, sqrt(avg(d * d / ({self.base}^2 + {self.per_count} / n))) as unlike, count(*) as cells"
            f" from scaled group by {start}, other_period"
            f" having count(*) >= {self.at_least} and bool_or(fresh)"
            f" and sqrt(avg(d * d / ({self.base}^2 + {self.per_count} / n))) < {self.below} order by 3"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        return (
            f"{period_ja(row)} の内訳の割合が {row['other_period']:%Y-%m} とそっくり（揺れ {row['unlike']:.2f}、"
            f"本当の二つの期間なら {self.below} 以上）"
        )
