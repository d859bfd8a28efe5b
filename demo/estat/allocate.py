"""Allocate (按分) a whole origin–destination matrix per month from what is published about it.

    python -m demo.estat.allocate        # writes figures/flow_allocated.csv, identical every time

Published, and met exactly in whole persons: each prefecture's 転出 (row sum) and 転入 (column sum) of the
month, and for Kumamoto in January–September 2024 the flows from and to 福岡県, 東京圏 (four prefectures) and
大阪圏 (four). Not published here, and therefore estimated: every other single cell.

1. Weights: origin's 転出 × destination's 転入; nothing on the diagonal. In Kumamoto's row and column they
   are multiplied by the affinity seen in the published months (published sum ÷ the sum that plain proportion
   gives), so that the months without partner figures resemble those with them.
2. Iterative proportional fitting to all published sums.
3. Whole persons: first Kumamoto's row and column, group by group (largest remainder), then the other 46 × 46
   cells, fitted again to what is left and rounded up or down so that every margin holds. Such a rounding
   always exists (the margins are whole numbers, so it is a flow problem); it is found by fractions first and
   augmenting paths after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from demo.estat.published import (
    ALLOCATED,
    BLOCS,
    FULL_FIRST,
    FULL_LAST,
    InOut,
    partner_sums,
    prefecture_moves,
)
from demo.estat.tables import KUMAMOTO, PREFECTURES, periods

Matrix = NDArray[np.float64]
Whole = NDArray[np.int64]
Groups = list[tuple[list[int], int]]

CODES = list(PREFECTURES)
HOME = CODES.index(KUMAMOTO)
PARTNERS = {name: [CODES.index(code) for code in codes] for name, codes in BLOCS.items()}
ROUNDS = 2000
CLOSE = 1e-9
# Fractions are compared to six places, so that the last bits of floating point never decide who gets a
# person.
PLACES = 6


def allocate(period: str, known: dict[str, InOut], sums: dict[tuple[str, str, str], int]) -> Whole:
    """One month's matrix [origin, destination] in persons, 47 × 47, diagonal 0.

    Args:
        period: `YYYY-MM`.
        known: area code → (転入, 転出) of all 47 prefectures; both must have the same total.
        sums: published partner sums as `published.partner_sums` gives them.
    """
    inflow, outflow = _margins(known)
    affinity_out, affinity_in = _affinities(sums)
    weights = _weights(inflow, outflow)
    weights[HOME] *= affinity_out
    weights[:, HOME] *= affinity_in
    to = _groups(sums, "out", period, int(outflow[HOME]))
    come = _groups(sums, "in", period, int(inflow[HOME]))
    fitted = _fit(weights, outflow, inflow, to, come)

    whole = np.zeros(weights.shape, dtype=np.int64)
    for members, total in to:
        whole[HOME, members] = _largest_remainder(fitted[HOME, members], total)
    for members, total in come:
        whole[members, HOME] = _largest_remainder(fitted[members, HOME], total)
    rest = np.delete(np.delete(fitted, HOME, axis=0), HOME, axis=1)
    left_out = np.delete(outflow - whole[:, HOME], HOME)
    left_in = np.delete(inflow - whole[HOME], HOME)
    others = [place for place in range(len(CODES)) if place != HOME]
    whole[np.ix_(others, others)] = _controlled_rounding(
        _fit(rest, left_out, left_in, [], []), left_out, left_in
    )
    return whole


def main() -> None:
    """Write the allocated matrices of every month with all 47 margins, one line per month and origin."""
    held, sums = prefecture_moves(), partner_sums()
    lines = [",".join(["year_month", "origin", *CODES])]
    for period in periods(FULL_FIRST, FULL_LAST):
        lines += table_lines(period, allocate(period, held[period], sums))
    ALLOCATED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table_lines(period: str, matrix: Whole) -> list[str]:
    """The lines of one month in the file: month, origin, persons by destination, `-` on the diagonal."""
    return [
        ",".join([period, CODES[row], *("-" if row == column else str(n) for column, n in enumerate(counts))])
        for row, counts in enumerate(matrix)
    ]


def _margins(known: dict[str, InOut]) -> tuple[Whole, Whole]:
    inflow = np.array([known[code][0] for code in CODES], dtype=np.int64)
    outflow = np.array([known[code][1] for code in CODES], dtype=np.int64)
    return inflow, outflow


def _weights(inflow: Whole, outflow: Whole) -> Matrix:
    weights = np.outer(outflow, inflow).astype(np.float64)
    np.fill_diagonal(weights, 0.0)
    return weights


def _affinities(sums: dict[tuple[str, str, str], int]) -> tuple[Matrix, Matrix]:
    """How much more than its proportion Kumamoto sends to (and draws from) each prefecture; 1.0 where
    unknown.
    """
    held = prefecture_moves()
    months = sorted({month for _, _, month in sums})
    affinity = {"out": np.ones(len(CODES)), "in": np.ones(len(CODES))}
    for direction, factors in affinity.items():
        for name, members in PARTNERS.items():
            seen = sum(sums[direction, name, month] for month in months)
            expected = 0.0
            for month in months:
                inflow, outflow = _margins(held[month])
                to = inflow if direction == "out" else outflow
                total = outflow[HOME] if direction == "out" else inflow[HOME]
                expected += float(total * to[members].sum() / (to.sum() - to[HOME]))
            factors[members] = seen / expected
    return affinity["out"], affinity["in"]


def _groups(sums: dict[tuple[str, str, str], int], direction: str, period: str, total: int) -> Groups:
    """Places and persons of each published partner of the month, and everybody else; one group where none is
    published.
    """
    groups = [
        (members, sums[direction, name, period])
        for name, members in PARTNERS.items()
        if (direction, name, period) in sums
    ]
    taken = {place for members, _ in groups for place in members} | {HOME}
    others = [place for place in range(len(CODES)) if place not in taken]
    return [*groups, (others, total - sum(persons for _, persons in groups))]


def _fit(weights: Matrix, rows: Whole, columns: Whole, to: Groups, come: Groups) -> Matrix:
    """Iterative proportional fitting to row and column sums and to Kumamoto's groups."""
    fitted = weights.copy()
    for _ in range(ROUNDS):
        fitted *= (rows / fitted.sum(axis=1))[:, None]
        for members, total in to:
            fitted[HOME, members] *= total / fitted[HOME, members].sum()
        for members, total in come:
            fitted[members, HOME] *= total / fitted[members, HOME].sum()
        fitted *= columns / fitted.sum(axis=0)
        groups_off = max((abs(fitted[HOME, m].sum() - t) for m, t in to), default=0.0)
        if max(np.abs(fitted.sum(axis=1) - rows).max(), groups_off) < CLOSE:
            return fitted
    raise ArithmeticError("the published sums cannot be met together")


def _largest_remainder(shares: Matrix, total: int) -> Whole:
    whole = np.floor(np.round(shares, PLACES)).astype(np.int64)
    order = np.argsort(-np.round(shares - whole, PLACES), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole


def _controlled_rounding(fitted: Matrix, rows: Whole, columns: Whole) -> Whole:
    """Round every cell down or up so that all row and column sums hold."""
    base = np.floor(np.round(fitted, PLACES)).astype(np.int64)
    fraction = np.round(fitted - base, PLACES)
    up = np.zeros(fitted.shape, dtype=bool)
    rows_left = (rows - base.sum(axis=1)).tolist()
    columns_left = (columns - base.sum(axis=0)).tolist()
    for cell in np.argsort(-fraction, axis=None, kind="stable").tolist():
        row, column = divmod(cell, fitted.shape[1])
        if fraction[row, column] > 0 and rows_left[row] > 0 and columns_left[column] > 0:
            up[row, column] = True
            rows_left[row] -= 1
            columns_left[column] -= 1
    for row, left in enumerate(rows_left):
        for _ in range(left):
            _augment(up, fraction > 0, row, columns_left)
    return base + up


def _augment(up: NDArray[np.bool_], allowed: NDArray[np.bool_], start: int, columns_left: list[int]) -> None:
    """Give row `start` one more cell: the shortest chain of cells to raise and lower that ends in a column
    with room.
    """
    came_from: dict[tuple[str, int], tuple[str, int]] = {}
    queue: deque[tuple[str, int]] = deque([("row", start)])
    while queue:
        node = queue.popleft()
        side, place = node
        if side == "column" and columns_left[place] > 0:
            columns_left[place] -= 1
            _flip(up, came_from, node)
            return
        nexts: Sequence[tuple[str, int]]
        if side == "row":
            nexts = [("column", int(c)) for c in np.flatnonzero(allowed[place] & ~up[place])]
        else:
            nexts = [("row", int(r)) for r in np.flatnonzero(up[:, place])]
        for following in nexts:
            if following not in came_from and following != ("row", start):
                came_from[following] = node
                queue.append(following)
    raise ArithmeticError("no rounding keeps the margins")


def _flip(
    up: NDArray[np.bool_], came_from: dict[tuple[str, int], tuple[str, int]], end: tuple[str, int]
) -> None:
    node = end
    while node in came_from:
        previous = came_from[node]
        row, column = (previous[1], node[1]) if node[0] == "column" else (node[1], previous[1])
        up[row, column] = not up[row, column]
        node = previous


if __name__ == "__main__":
    main()
