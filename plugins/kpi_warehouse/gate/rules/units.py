"""Values that are right but for a power of ten: a unit was taken for another, or digits were lost or added."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kpi_warehouse.contract import Contract, Scope
from kpi_warehouse.gate.rules.named_rule import Row, SliceRule, cell_ja, number_ja, period_ja
from kpi_warehouse.gate.rules.slices import has_status, quoted
from kpi_warehouse.kpi_catalogue import magnitudes
from kpi_warehouse.settings import settings

# ×10, ×100 (百分率), ×1,000 (千), ×10,000 (万), ×100,000,000 (億).
POWERS = (1, 2, 3, 4, 8)


class UnitSlip(SliceRule):
    """A value is about 10, 100, 1,000, 万 or 億 times what it is compared with, or that part of it.

    It is compared with the nearest other value of the same cell and, where `catalogue` names the column of KPI numbers, with
    the target and the baseline of the KPI. Against these a value may be small: a tenth is a beginning, not a slip.

    Args:
        tolerance: how far the ratio may be from the power of ten, in decades (0.3: half to double).
        at_least: smaller values compared with say nothing (3 → 30 is growth).
        catalogue: key column that holds the number of a KPI; None compares with other values only.
    """

    name: ClassVar[str] = "unit_slip"
    scopes: ClassVar[tuple[Scope, ...]] = ("rows", "table")
    likely_ja: ClassVar[tuple[str, str]] = (
        "単位の取り違え（千・万・億・％と割合）か、けたの書き落とし",
        "事業の規模が実際に大きく変わった",
    )

    tolerance: float = Field(default=0.3, gt=0, lt=0.5)
    at_least: float = Field(default=10, gt=0)
    catalogue: str | None = None

    def check(self, contract: Contract) -> None:
        super().check(contract)
        if self.catalogue is not None and self.catalogue not in contract.key_names:
            raise ValueError(f"catalogue：キー列（{'、'.join(contract.key_names)}）のひとつ")

    def query(self, contract: Contract) -> str:
        part = self.slice(contract)
        end = part.period[-1]
        status = " and k.value_status in ('actual', 'partial', 'provisional')" if has_status(contract) else ""
        other = " and o.value_status in ('actual', 'partial', 'provisional')" if has_status(contract) else ""
        same = (
            f"select 'other' as compared, o.value as reference, o.{end} as reference_period"
            f" from {{{part.view}}} as o where {part.same_unit('o', 'k')} and {part.at('o')} <> {part.at('k')}"
            f" and abs(o.value) >= {self.at_least:g}{other} and not (o.fresh and o.{end} > k.{end})"
            f" order by abs(o.{end} - k.{end}), o.{end} limit 1"
        )
        compared = f"({same})"
        if self.catalogue:
            known = ", ".join(
                f"({quoted(kpi)}, {quoted(kind)}, {value!r})"
                for kpi, kind, value in magnitudes(settings().project)
                if value
            )
            compared += (
                f" union all select m.compared, m.reference, null from (values {known}) as m (kpi, compared, reference)"
                f" where m.kpi = k.{self.catalogue}"
            )
        powers = ", ".join(f"({sign * power})" for power in POWERS for sign in (1, -1))
        return (
            "select distinct on (1) * from (select"
            f" row({', '.join('k.' + name for name in contract.key_names)})::text as cell, k.*, c.compared, c.reference,"
            f" c.reference_period, (k.value / 10.0 ^ p.power)::float8 as likely_value from {{{part.view}}} as k"
            f" cross join lateral ({compared}) as c cross join (values {powers}) as p (power)"
            f" where k.fresh and k.value <> 0 and c.reference <> 0{status}"
            f" and abs(log(abs(k.value / c.reference)::numeric) - p.power) <= {self.tolerance}"
            " and (c.compared = 'other' or p.power <> -1)"
            ") as slips order by 1, compared desc"
        )

    def finding_ja(self, contract: Contract, row: Row) -> str:
        against = {"target": "目標値", "baseline": "基準値"}.get(
            row["compared"], f"{row['reference_period']} の値"
        )
        return (
            f"{period_ja(row)} {cell_ja(contract, row)}：{number_ja(row['value'], contract)} は{against} "
            f"{number_ja(row['reference'], contract)} とけたが違う。おそらく {number_ja(row['likely_value'], contract)}"
        )
