"""Periods that cannot have figures, and periods that have none."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from kpi_warehouse import clock
from kpi_warehouse.contract import Contract, EstatSource, Scope
from kpi_warehouse.gate.rules.named_rule import NamedRule, Row, SliceRule, period_ja


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


class PartsKeepComing(NamedRule):
    """What a table is split by does not get less: each part has as many cells as in the period before.

    A source that has given men and women, or Japanese and foreigners, and gives the total alone has another definition than it says.

    Args:
        by: key columns whose codes are the parts.
    """

    name: ClassVar[str] = "parts_keep_coming"
    likely_ja: ClassVar[tuple[str, str]] = (
        "内訳の一部が抜けたまま公表または取得された",
        "提供元が内訳の公表をやめた",
    )

    by: list[str] = Field(min_length=1)

    def check(self, contract: Contract) -> None:
        keys = [column.name for column in contract.axes]
        if unknown := [name for name in self.by if name not in keys]:
            raise ValueError(f"by の {'、'.join(unknown)}：コード表のあるキー列（{'、'.join(keys)}）")

    def query(self, contract: Contract) -> str:
        period, by = contract.period.name, ", ".join(self.by)
        same = " and ".join(f"d.{name} = k.{name}" for name in self.by)
        return (
            f"with delivered as (select {period}, {by}, count(*) as cells from {{staged}} group by {period}, {by}),"
            # Of the history only the period before the first that is delivered is looked at.
            f" accepted as (select {period}, {by}, count(*) as cells from {{history}} as a where {period} ="
            f" (select max({period}) from {{history}} as b where {period} < (select min({period}) from delivered))"
            f" group by {period}, {by}), known as (select * from delivered union all select * from accepted),"
            f" followed as (select {period}, lag({period}) over (order by {period}) as before"
            f" from (select distinct {period} from known) as p)"
            f" select f.{period}, {', '.join(f'k.{name}' for name in self.by)}, coalesce(d.cells, 0) as cells, k.cells as before"
            f" from followed as f join known as k on k.{period} = f.before"
            f" left join delivered as d on d.{period} = f.{period} and {same}"
            f" where exists (select 1 from delivered as x where x.{period} = f.{period})"
            f" and coalesce(d.cells, 0) < k.cells order by f.{period}, k.cells - coalesce(d.cells, 0) desc"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        said = [
            str(column.codes.get(row[column.name], row[column.name]))
            for column in contract.axes
            if column.name in self.by
        ]
        return (
            f"{row[contract.period.name]:%Y-%m} の {'・'.join(said)} が {row['cells']:,} セルしかない"
            f"（前の期間は {row['before']:,} セル）"
        )


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
