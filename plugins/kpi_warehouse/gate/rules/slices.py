"""The state of a slice of a feed as it will be when the delivery is published, and what is new in it.

Columns of a slice: the key, `value` (double; null where the cell is a mark), `accepted` (the value that is accepted now),
`was_accepted` and `delivered` (whether the row is known, and delivered), `fresh`: the value was never accepted or differs from the accepted one
by more than 2 %. A fresh value is judged; one that was accepted, by the gate or by a person, is what others are compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from kpi_warehouse.contract import Contract

# A revision within this share changes no plausibility; its size has a rule of its own.
SMALL_REVISION = 0.02


@dataclass(frozen=True)
class Slice:
    """A slice as a view of the suite: its name, its query, and the columns that tell its cells and periods apart."""

    view: str
    query: str
    period: tuple[str, ...]
    unit: tuple[str, ...]

    @staticmethod
    def of(
        contract: Contract, where: Mapping[str, str | list[str]], recent_months: int | None = None
    ) -> Slice:
        """The slice of a feed in which key columns have these codes; of the newest months of the delivery alone, if so many."""
        period = tuple(dict.fromkeys(contract.period_names))
        unit = tuple(name for name in contract.key_names if name not in period)
        told = hashlib.sha256(repr((sorted(where.items()), recent_months)).encode()).hexdigest()[:8]
        return Slice(f"known_{told}", _query(contract, where, recent_months), period, unit)

    def same_unit(self, *tables: str) -> str:
        """The condition that rows of two tables are of one cell, whatever their period."""
        first, second = tables
        return " and ".join(f"{first}.{name} = {second}.{name}" for name in self.unit) or "true"

    def periods(self, table: str) -> str:
        """The columns of the period, for a select or a group by."""
        return ", ".join(f"{table}.{name}" for name in self.period)

    def units(self, table: str) -> str:
        """The columns of the cell, for a select or a group by."""
        return ", ".join(f"{table}.{name}" for name in self.unit)

    def at(self, table: str) -> str:
        """The period as one value that can be compared."""
        return f"({self.periods(table)})" if len(self.period) > 1 else f"{table}.{self.period[0]}"


def has_status(contract: Contract) -> bool:
    """Whether the feed says of every value what kind it is (実績, 予定 …)."""
    return any(column.name == "value_status" for column in contract.columns)


def condition(where: Mapping[str, str | list[str]], table: str) -> str:
    """The condition of a slice on a table, in SQL."""
    parts = [
        f"{table}.{name} in ({', '.join(quoted(code) for code in ([codes] if isinstance(codes, str) else codes))})"
        for name, codes in where.items()
    ]
    return " and ".join(parts) or "true"


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def number_sql(value: str) -> str:
    """SQL of a number as people write it: grouped, at most two decimals, none that is not needed."""
    return f"rtrim(to_char(round(({value})::numeric, 2), 'FM999,999,999,999,990.99'), '.')"


def _query(contract: Contract, where: Mapping[str, str | list[str]], recent_months: int | None) -> str:
    keys, value = contract.key_names, contract.value.name
    key = ", ".join(f"coalesce(s.{name}, h.{name}) as {name}" for name in keys)
    same = " and ".join(f"s.{name} = h.{name}" for name in keys)
    first = keys[0]
    recent = ""
    if recent_months is not None:
        newest = f"(select max(m.{first}) from {{{{staged}}}} as m)"
        recent = f" and {{}}.{first} > ({newest} - interval '{recent_months} months')::date"
    said = ", coalesce(s.value_status, h.value_status) as value_status" if has_status(contract) else ""
    return (
        f"select {key}{said}, (case when s.{first} is null then h.{value} else s.{value} end)::float8 as value,"
        f" h.{value}::float8 as accepted, h.{first} is not null as was_accepted, s.{first} is not null as delivered,"
        f" s.{first} is not null and (h.{value} is null"
        f" or abs(s.{value} - h.{value}) > {SMALL_REVISION} * abs(h.{value})) and s.{value} is not null as fresh"
        f" from (select * from {{staged}} as d where {condition(where, 'd')}{recent.format('d', staged='{staged}')}) as s"
        f" full join (select * from {{history}} as a where {condition(where, 'a')}{recent.format('a', staged='{staged}')}) as h on {same}"
    )
