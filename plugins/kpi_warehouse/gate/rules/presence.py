"""Periods that cannot have figures, and periods that have none."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from kpi_warehouse import clock
from kpi_warehouse.contract import Contract, EstatSource, Scope
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, period_ja


class NotAfterToday(SliceRule):
    """A period that is not over has no final figure; one that ended a moment ago may not be counted yet.

    Args:
        days: days from the end of a period until its figures can exist at the earliest (Japan).
    """

    name: ClassVar[str] = "not_after_today"
    scopes: ClassVar[tuple[Scope, ...]] = ("table", "rows")
    likely_ja: ClassVar[tuple[str, str]] = (
        "期間（年・月）の書き誤り",
        "予定や見込みの値が実績として送られた",
    )

    days: int = Field(default=0, ge=0)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        latest = clock.today() - timedelta(days=self.days)
        if isinstance(contract.source, EstatSource):
            start = part.period[0]
            end = f"(k.{start} + interval '{contract.source.cycle.months} months' - interval '1 day')::date"
            return (
                f"select k.{start}, {end} as ends, count(*) as cells from {{{part.view}}} as k"
                f" where k.fresh and {end} > date '{latest}' group by k.{start} order by k.{start} desc"
            )
        return (
            f"select k.* from {{{part.view}}} as k where k.fresh and k.value_status = 'actual'"
            f" and k.{part.period[-1]} > date '{latest}' order by k.{part.period[-1]} desc"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        waits = f"（終わって {self.days} 日たつ前）" if self.days else ""
        return f"{period_ja(row)} はまだ終わっていない{waits}のに、実績の数値がある"


class EmptyPeriod(SliceRule):
    """A period of zeros, or without a single number, where other periods have numbers.

    Args:
        zeros: share of a period's numbers that may not be zero where another period of the same cell is not zero.
    """

    name: ClassVar[str] = "empty_period"
    likely_ja: ClassVar[tuple[str, str]] = (
        "集計が済まないうちに表の枠だけが載った",
        "値の列が空のまま送られた",
    )

    zeros: float = Field(default=0.05, gt=0, le=1)

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        return (
            f"with ever as (select {part.units('k')} from {{{part.view}}} as k where k.value <> 0 group by {part.units('k')}),"
            f" counted as (select {part.periods('k')}, count(k.value) as numbers, count(*) as cells,"
            " count(*) filter (where k.value = 0 and k.fresh) as zeros, bool_or(k.delivered and not k.was_accepted) as fresh"
            f" from {{{part.view}}} as k join ever as e on {part.same_unit('e', 'k')} group by {part.periods('k')})"
            f" select {part.periods('c')}, c.numbers, c.zeros, c.cells from counted as c"
            f" where c.fresh and c.numbers = 0 or c.zeros > 0 and c.zeros >= {self.zeros} * c.numbers"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        if row["numbers"] == 0:
            return f"{period_ja(row)} の {row['cells']} 個のセルに数値がひとつもない"
        return f"{period_ja(row)} の {row['numbers']} 個の数値のうち {row['zeros']} 個が 0（ほかの期間では 0 でないセル）"
