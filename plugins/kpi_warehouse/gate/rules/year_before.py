"""Like the same period of the years before: the level, the shares of the parts, their rank, the shape of two items.

All compare logarithms with the mean of the two earlier years, or with the one there is. Where the two differ by more than one
and a half times the bound, one of them was a shock that somebody released: then everything from the one to the other, and the
bound beyond, is usual. So neither the return to normal nor a lasting new level is asked about.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from kpi_warehouse.contract import Contract, EstatSource
from kpi_warehouse.gate.rules.closed_days import closed_days_table
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, cell_ja, number_ja, period_ja
from kpi_warehouse.gate.rules.slices import condition, has_status

# Two earlier years that differ by more than so many bounds hold a shock.
SHOCK = 1.5
# `greatest` passes over nulls: where there is no earlier year there is nothing to compare with, not a 1.
_OR_ONE = "case when k.earlier is not null then greatest(k.earlier, 1) end"


class ClosedDays(BaseModel):
    """How the level depends on closed days (log change per day more than in the year compared with), and its yearly trend."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trend: float = 0.0
    at_end: float
    before: float


class LikeTheYearBefore(SliceRule):
    """A period is like the same period of the one or two years before.

    Args:
        by: what is compared.
            ``level``: every cell by itself; bound: of the log ratio.
            ``share``: every part's change against the change of the sum of the parts, as z = Δ ÷ √(base² + per_count ÷ n),
            n the smaller of the two values; bound: of |z|.
            ``rank``: correlation over the parts of the log values, for each item; bound: from below.
            ``shape``: correlation over the parts of (a − b) ÷ (a + b), a and b the two items; bound: from below.
        bound: see `by`.
        parts: key column that tells the parts apart (``share``, ``rank``, ``shape``).
        whole: code in `parts` that is the sum of the others and no part.
        only: codes in `parts` that are judged; empty judges all (``share``).
        items: the key column and the two codes whose shape is compared (``shape``).
        at_least: fewer parts, or smaller values (``level``), say nothing.
        closed_days: what the calendar explains of a change of level; None explains nothing.
        base, per_count: scale of z.
    """

    name: ClassVar[str] = "like_the_year_before"
    likely_ja: ClassVar[tuple[str, str]] = ("", "")

    by: Literal["level", "share", "rank", "shape"]
    bound: float = Field(gt=0)
    parts: str | None = None
    whole: str = ""
    only: list[str] = Field(default_factory=list)
    items: dict[str, list[str]] = Field(default_factory=dict)
    at_least: int = Field(default=20, ge=1)
    closed_days: ClosedDays | None = None
    base: float = Field(default=0.03, gt=0)
    per_count: float = Field(default=5, gt=0)

    def check(self, contract: Contract) -> None:
        super().check(contract)
        keys = {column.name: column for column in contract.key}
        if self.by != "level" and (self.parts not in keys or self.parts == contract.period.name):
            raise ValueError(f"parts：内訳を分けるキー列の名前（{'、'.join(keys)}）")
        if self.by in ("rank", "shape") and self.bound >= 1:
            raise ValueError("bound：1 より小さい相関係数の下限")
        if self.by == "shape" and (
            len(self.items) != 1
            or any(name not in keys or len(codes) != 2 for name, codes in self.items.items())
        ):
            raise ValueError("items：キー列の名前と、比べる二つのコード")
        if self.parts and set(self.only) - set(keys[self.parts].codes):
            raise ValueError(f"only：{self.parts} のコードの並び")
        if self.closed_days is not None and self.by != "level":
            raise ValueError("closed_days は by: level のときだけ")

    def views(self, contract: Contract) -> dict[str, str]:
        part = self.slice(contract)
        start, end = part.period[0], part.period[-1]

        def earlier(table: str, years: int) -> str:
            same = f"{part.same_unit(table, 'k')} and {table}.{start} = (k.{start} - interval '{years} year')::date"
            if end != start:
                same += f" and {table}.{end} = (k.{end} + interval '1 day' - interval '{years} year' - interval '1 day')::date"
            return same + (f" and {table}.value_status = 'actual'" if has_status(contract) else "")

        actual = " and k.value_status = 'actual'" if has_status(contract) else ""
        numeric = "k.value is not null and l.value is not null"
        compared = (
            f"select k.*, l.value as last, b.value as earlier, k.fresh or l.fresh as judged from {{{part.view}}} as k"
            f" join {{{part.view}}} as l on {earlier('l', 1)}"
            f" left join {{{part.view}}} as b on {earlier('b', 2)} where {numeric}{actual}"
        )
        return {part.view: part.query, self._compared(contract): compared}

    def _compared(self, contract: Contract) -> str:
        return self.slice(contract).view.replace("known", "years")

    def query(self, contract: Contract) -> str:
        return {"level": self._level, "share": self._share, "rank": self._rank, "shape": self._shape}[
            self.by
        ](contract)

    def _distance(self, last: str, earlier: str, scale: str = "1") -> str:
        """How far from the earlier years, in units of the scale: `last` and `earlier` are the log changes against each."""
        between = f"sign({last}) <> sign({earlier})"
        nearest = f"least(abs({last}), abs({earlier}))"
        return (
            f"case when {earlier} is null then abs({last}) / {scale}"
            f" when abs({last} - {earlier}) > {SHOCK * self.bound} * {scale} then case when {between} then 0 else {nearest} / {scale} end"
            f" else abs(({last} + {earlier}) / 2) / {scale} end"
        )

    def _level(self, contract: Contract) -> str:
        part = self.slice(contract)
        start = part.period[0]
        first = contract.source.first_period if isinstance(contract.source, EstatSource) else date(2000, 1, 1)
        days, join, explained = self.closed_days, "", ["0", "0"]
        if days is not None:
            table = closed_days_table(date(first.year - 2, 1, 1))
            for years in (0, 1, 2):
                join += (
                    f" left join {table} as c{years} (month, at_end, before)"
                    f" on c{years}.month = (k.{start} - interval '{years} year')::date"
                )
            explained = [
                f"({days.trend * years} + {days.at_end} * (c0.at_end - c{years}.at_end)"
                f" + {days.before} * (c0.before - c{years}.before))"
                for years in (1, 2)
            ]
        return (
            "select *, exp(d1) - 1 as change from (select *, "
            + self._distance("d1", "d2")
            + f" as distance from (select k.*, ln(greatest(k.value, 1) / k.last) - {explained[0]} as d1,"
            f" ln(greatest(k.value, 1) / {_OR_ONE}) - {explained[1]} as d2"
            f" from {{{self._compared(contract)}}} as k{join} where k.judged and k.last >= {self.at_least}) as changes) as q"
            f" where distance > {self.bound} order by distance desc"
        )

    def _share(self, contract: Contract) -> str:
        part = self.slice(contract)
        of = ", ".join([part.periods("k"), *(f"k.{name}" for name in part.unit if name != self.parts)])
        wanted = f" and {condition({str(self.parts): self.only}, 'q')}" if self.only else ""
        return (
            "select *, exp(d1) - 1 as change from (select *, "
            + self._distance("d1", "d2", "scale")
            + " as z from (select k.*,"
            " ln(greatest(k.value, 1) / greatest(k.last, 1)) - ln(greatest(sum(k.value) over w, 1) / greatest(sum(k.last) over w, 1)) as d1,"
            f" ln(greatest(k.value, 1) / {_OR_ONE}) - ln(greatest(sum(k.value) filter (where k.earlier is not null) over w, 1)"
            " / greatest(sum(k.earlier) over w, 1)) as d2, count(*) over w as compared_parts,"
            f" sqrt({self.base}^2 + {self.per_count} / greatest(least(k.value, k.last), 1)) as scale"
            f" from {{{self._compared(contract)}}} as k where k.{self.parts} <> '{self.whole}' and k.value >= 0 and k.last >= 0"
            f" window w as (partition by {of})) as changes) as q"
            f" where compared_parts >= {self.at_least} and judged and z > {self.bound}{wanted} order by z desc"
        )

    def _rank(self, contract: Contract) -> str:
        part = self.slice(contract)
        by = ", ".join([part.periods("k"), *(f"k.{name}" for name in part.unit if name != self.parts)])
        logs = [f"ln(greatest(k.{name}, 1))" for name in ("value", "last", "earlier")]
        return (
            f"select * from (select {by}, greatest(corr({logs[0]}, {logs[1]}), corr({logs[0]}, case when k.earlier is not null then {logs[2]} end)) as r,"
            f" count(*) as compared_parts, bool_or(k.judged) as judged from {{{self._compared(contract)}}} as k"
            f" where k.{self.parts} <> '{self.whole}' and k.value >= 0 and k.last >= 0 group by {by}) as q"
            f" where judged and compared_parts >= {self.at_least} and r < {self.bound} order by r"
        )

    def _shape(self, contract: Contract) -> str:
        part = self.slice(contract)
        ((column, (first, second)),) = self.items.items()
        rest = [name for name in part.unit if name not in (column, self.parts)]
        by = ", ".join([part.periods("q"), *(f"q.{name}" for name in rest)])
        columns = ("value", "last", "earlier")
        pairs = ", ".join(
            f"sum(case when k.{column} = '{first}' then k.{name} when k.{column} = '{second}' then -k.{name} end)"
            f" / nullif(sum(k.{name}), 0) as {name}"
            for name in columns
        )
        each = ", ".join([part.periods("k"), *(f"k.{name}" for name in (*rest, str(self.parts)))])
        return (
            f"select * from (select {by}, greatest(corr(q.value, q.last), corr(q.value, q.earlier)) as r, count(*) as compared_parts,"
            f" bool_or(q.judged) as judged from (select {each}, {pairs}, bool_or(k.judged) as judged"
            f" from {{{self._compared(contract)}}} as k where k.{self.parts} <> '{self.whole}' and k.{column} in ('{first}', '{second}')"
            f" group by {each} having count(*) = 2) as q group by {by}) as q"
            f" where judged and compared_parts >= {self.at_least} and r < {self.bound} order by r"
        )

    def not_judged(self, contract: Contract) -> str | None:
        part = self.slice(contract)
        start = part.period[0]
        actual = " and n.value_status = 'actual'" if has_status(contract) else ""
        needed = self.at_least if self.by != "level" else 1
        return (
            f"select n.{start} as period, '前年同期の数値が足りない' as why from {{{part.view}}} as n"
            f" left join {{{self._compared(contract)}}} as c on {part.same_unit('c', 'n')} and {part.at('c')} = {part.at('n')}"
            f" where n.fresh{actual} group by {part.periods('n')} having count(c.{start}) < {needed}"
        )

    def evidence_ja(self, contract: Contract, rows: Any, count: int) -> str:
        likely = {
            "level": (
                "集計の途中か、別の範囲（日本人のみなど）の数値が載った",
                "実際に大きな変化があった（災害・制度の改正など）",
            ),
            "share": (
                "別の県や別の月の数値が写された、又はけたの書き誤り",
                "その地域に実際の大きな変化があった（災害・大規模な立地など）",
            ),
            "rank": ("行がずれて、隣の区分の数値が入った", "区分の並びや定義が変わった"),
            "shape": ("二つの項目（転入と転出など）が入れ替わった", "別の月の数値が写された"),
        }[self.by]
        lines = super().evidence_ja(contract, rows, count).splitlines()[:-1]
        return "\n".join([*lines, f"考えられる原因：①{likely[0]}　②{likely[1]}"])

    def finding_ja(self, contract: Contract, row: Row) -> str:
        when = period_ja(row)
        if self.by in ("rank", "shape"):
            what = "内訳の大きさの並び" if self.by == "rank" else "内訳ごとの増減の形"
            return f"{when} {cell_ja(contract, row)}：{what}が前年同期と違う（相関 {row['r']:.2f}、{self.bound} 以上のはず）"
        now, last = number_ja(row["value"], contract), number_ja(row["last"], contract)
        if self.by == "level":
            calendar = "閉庁日の違いを除いて" if self.closed_days else ""
            return (
                f"{when} {cell_ja(contract, row)}：{now}、前年同期 {last}（{calendar} {row['change']:+.0%}、"
                f"許容の {row['distance'] / self.bound:.1f} 倍）"
            )
        return (
            f"{when} {cell_ja(contract, row)}：{now}、前年同期 {last}（全体の増減を除いて {row['change']:+.0%}、"
            f"ふだんの揺れの {row['z']:.1f} 倍、許容 {self.bound:g} 倍）"
        )
