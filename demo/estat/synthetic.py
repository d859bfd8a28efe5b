"""Generated tables with the shape of the live ones and every identity of the report kept. The numbers mean
nothing.

Flows are drawn first (by month, sex and nationality), and everything else is summed from them: so 転入超過
of the 47 is 0, 男 + 女 = 総数, 日本人 + 外国人 = 移動者, and the flow table's margins are the moves table's
転入 and 転出. A month's numbers depend on the seed and the month alone, so tables made separately with one
seed agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from demo.estat.published import flow_cells
from demo.estat.tables import (
    KUMAMOTO,
    NATION,
    NATIONALITIES,
    PREFECTURES,
    SEXES,
    TABS,
    Member,
    Table,
    end_of_next_month,
    flow_table,
    months_before,
    moves_table,
    time_code,
)

Counts = NDArray[np.int64]

SIZE = len(PREFECTURES)
HOME = list(PREFECTURES).index(KUMAMOTO)
PER_MONTH = SIZE * SIZE * len(SEXES)
LAST = "2025-02"
# People move in spring; the factors only give the numbers a shape.
SEASON = {3: 2.6, 4: 2.0}
# 市部, 郡部, a city and a bloc: rows that count Kumamoto again, or others, if areas are summed without a
# whitelist. That such rows exist is real; these codes of the first, second and last are invented.
OTHER_AREAS = (
    Member("43001", "熊本県 市部", "3", parent=KUMAMOTO),
    Member("43002", "熊本県 郡部", "3", parent=KUMAMOTO),
    Member("43100", "熊本市", "3", parent=KUMAMOTO),
    Member("90001", "東京圏", ""),
)
_TOKYO = slice(10, 14)
_texts: dict[int, str] = {}


def synthetic_migration(
    months: Sequence[str], seed: int = 1, *, other_areas: bool = True, years: bool = False
) -> Table:
    """0003420473 for `months` (YYYY-MM): 4 items × 3 sexes × 3 nationalities × (48 + 4) areas, every cell a
    number.

    With `years` the time axis also holds each complete year (`2024000000`), as tables that mix kinds do.
    """
    others = OTHER_AREAS if other_areas else ()
    areas = [NATION, *PREFECTURES, *(member.code for member in others)]
    cells = [
        (tab.code, sex.code, kind.code, area)
        for tab in TABS
        for sex in SEXES
        for kind in NATIONALITIES
        for area in areas
    ]
    counts = {period: _moves(period, seed)[..., : len(areas)] for period in months}
    filled = {time_code(period): _written(numbers) for period, numbers in counts.items()}
    for year in {period[:4] for period in months} if years else ():
        parts = [numbers for period, numbers in counts.items() if period.startswith(year)]
        if len(parts) == 12:
            filled[f"{year}000000"] = _written(np.sum(parts, axis=0))
    return moves_table(cells, filled, end_of_next_month(max(months)), other_areas=others)


def synthetic_flow(values: int = 1_000_000, seed: int = 1, *, last: str = LAST) -> Table:
    """0003423613 with exactly `values` rows (the diagonal `-` counted), the newest month being `last`.

    A month has 47 × 47 × 3 = 6,627 rows. What is too many for whole months is taken from 男 and 女 of the
    oldest months, so that 総数 stays complete (below 2,209 values it cannot).
    """
    months = months_before(last, -(-values // PER_MONTH))
    cells = flow_cells(tuple(sex.code for sex in SEXES))
    filled = {time_code(period): _flow_texts(period, seed) for period in months}
    excess = PER_MONTH * len(months) - values
    spare = [place for sexes in ("12", "0") for place, codes in enumerate(cells) if codes[2] in sexes]
    for period in months:
        taken = min(excess, PER_MONTH if len(months) == 1 else SIZE * SIZE * 2)
        for place in spare[:taken]:
            filled[time_code(period)][place] = None
        excess -= taken
    return flow_table(cells, filled, end_of_next_month(last))


def synthetic_flow_months(months: Sequence[str], seed: int = 1) -> Table:
    """0003423613 for whole months, consistent with `synthetic_migration` of the same months and seed."""
    filled = {time_code(period): _flow_texts(period, seed) for period in months}
    return flow_table(flow_cells(tuple(sex.code for sex in SEXES)), filled, end_of_next_month(max(months)))


def _flows(period: str, seed: int) -> Counts:
    """Persons [男・女, 日本人・外国人, origin, destination] of a month; 0 on the diagonal."""
    year, month = int(period[:4]), int(period[5:])
    sizes = np.random.default_rng(seed).lognormal(0.0, 0.8, SIZE)
    expected = 120.0 * SEASON.get(month, 1.0) * np.outer(sizes, sizes)
    np.fill_diagonal(expected, 0.0)
    shares = np.outer((0.55, 0.45), (0.94, 0.06))
    random = np.random.default_rng([seed, year, month])
    # A prefecture's share of a month differs from year to year by more than chance; without it months are too much alike.
    expected *= np.outer(*random.lognormal(0.0, 0.016, (2, SIZE)))
    drawn = random.poisson(shares[:, :, None, None] * expected)
    return drawn.astype(np.int64)


def _moves(period: str, seed: int) -> Counts:
    """Persons [tab, sex, nationality, area] with totals in front on the axes sex, nationality and area."""
    flows = _flows(period, seed)
    inflow, outflow = flows.sum(axis=2), flows.sum(axis=3)
    items = np.stack([inflow // 2 + outflow, inflow, outflow])
    home, tokyo = items[..., HOME], items[..., _TOKYO].sum(axis=-1)
    urban = home // 4 * 3
    items = np.concatenate(
        [
            items.sum(axis=-1, keepdims=True),
            items,
            np.stack([urban, home - urban, home // 2, tokyo], axis=-1),
        ],
        axis=-1,
    )
    for axis in (2, 1):
        items = np.concatenate([items.sum(axis=axis, keepdims=True), items], axis=axis)
    return np.concatenate([items, items[1:2] - items[2:3]])


def _flow_texts(period: str, seed: int) -> list[str | None]:
    by_sex = _flows(period, seed).sum(axis=1)
    counts = np.concatenate([by_sex.sum(axis=0, keepdims=True), by_sex]).transpose(1, 0, 2)
    texts = _written(counts)
    for origin in range(SIZE):
        for sex in range(len(SEXES)):
            texts[(origin * len(SEXES) + sex) * SIZE + origin] = "-"
    return texts


def _written(counts: Counts) -> list[str | None]:
    """Numbers as texts; equal numbers share one string, which keeps a million of them small."""
    return [
        _texts.get(number) or _texts.setdefault(number, str(number)) for number in counts.ravel().tolist()
    ]
