"""e-Stat months of a life: the published ones, and after them generated ones in which every identity of the report holds.

A generated month is drawn around the same month a year before, as persons are counted, with each prefecture a few percent up or
down: seasons, shares and sizes stay what they were, and no month resembles another more than true ones do.
The moves table is the margins of the flow table, as in the report. Persons, by month (`YYYY-MM`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from demo.estat import Table, published
from demo.estat.tables import (
    KUMAMOTO,
    NATION,
    PREFECTURES,
    end_of_next_month,
    flow_table,
    moves_table,
    periods,
    time_code,
)

Counts = NDArray[np.int64]
CODES = list(PREFECTURES)
HOME, TOKYO, KAGOSHIMA = (CODES.index(code) for code in (KUMAMOTO, "13000", "46000"))
FULL_FIRST, FULL_LAST = "2023-01", "2024-12"
SPREAD = 0.02


@dataclass
class Months:
    """What the source knows; `flows[month][origin, destination]`, 0 on the diagonal. `earlier`: 熊本県 alone, (in, out)."""

    flows: dict[str, Counts] = field(default_factory=dict)
    earlier: dict[str, tuple[int, int]] = field(default_factory=dict)
    revised: str | None = None

    @classmethod
    def until(cls, last: str) -> Months:
        """All months up to `last`, as first published."""
        known = cls()
        matrix = published.flow().months
        for month in periods(FULL_FIRST, FULL_LAST):
            texts = matrix[time_code(month)]
            known.flows[month] = np.array(
                [0 if text is None or not text.isdigit() else int(text) for text in texts], dtype=np.int64
            ).reshape(len(CODES), len(CODES))
        for month, held in published.prefecture_moves().items():
            if month < FULL_FIRST:
                known.earlier[month] = held[KUMAMOTO]
        for month in periods("2025-01", max(last, "2025-01")):
            before = known.flows[f"{int(month[:4]) - 1}{month[4:]}"]
            chance = np.random.default_rng([int(month[:4]), int(month[5:])])
            comes, leaves = np.exp(chance.normal(0.0, SPREAD, (2, len(CODES))))
            drawn = chance.poisson(before * leaves[:, None] * comes[None, :])
            known.flows[month] = drawn.astype(np.int64)
        return known

    def revise(self, month: str, persons: int) -> None:
        """So many people who moved from 東京都 are counted in 熊本県 and no more in 鹿児島県: outflows and the nation stay."""
        self.revised = month
        self.flows[month] = self.flows[month].copy()
        self.flows[month][TOKYO, HOME] += persons
        self.flows[month][TOKYO, KAGOSHIMA] -= persons

    def moves_of(self, month: str) -> dict[str, tuple[int, int]]:
        """Area code → (in, out): all 47 and the nation, or 熊本県 alone."""
        if month not in self.flows:
            return {KUMAMOTO: self.earlier[month]}
        flows = self.flows[month]
        pairs = {code: (int(flows[:, at].sum()), int(flows[at].sum())) for at, code in enumerate(CODES)}
        return {NATION: (int(flows.sum()), int(flows.sum())), **pairs}

    def net(self, month: str) -> int:
        """転入超過 of 熊本県."""
        inflow, outflow = self.moves_of(month)[KUMAMOTO]
        return inflow - outflow

    def tables(self, newest: str, *, later_days: int = 0) -> tuple[Table, Table]:
        """Both tables as the source shows them when `newest` is its newest month; `later_days` after its day of publication."""
        cells = [(tab, "0", "60000", area) for tab in ("02", "03", "04") for area in (NATION, *CODES)]
        updated = end_of_next_month(newest) + timedelta(days=later_days)
        moves, flows = {}, {}
        for month in (*sorted(self.earlier), *sorted(self.flows)):
            if month > newest:
                break
            held = self.moves_of(month)
            moves[time_code(month)] = [_text(held.get(area), tab) for tab, _, _, area in cells]
            if month in self.flows:
                texts: list[str | None] = [str(number) for number in self.flows[month].ravel().tolist()]
                for at in range(len(CODES)):
                    texts[at * len(CODES) + at] = "-"
                flows[time_code(month)] = texts
        notes = {"…": "収録していないもの"}
        return (
            moves_table(cells, moves, updated, notes=notes),
            flow_table(
                published.flow_cells(("0",)),
                flows,
                updated,
                notes={"-": "データが得られないもの、又は計数のないもの（同じ都道府県の中の移動）"},
            ),
        )


def _text(pair: tuple[int, int] | None, tab: str) -> str:
    if pair is None:
        return "…"
    return str({"02": pair[0], "03": pair[1], "04": pair[0] - pair[1]}[tab])
