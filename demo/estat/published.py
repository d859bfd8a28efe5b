"""The published figures, as far as this project holds them (`figures/`), in the shape of the two e-Stat
tables.

`moves()` holds published figures only: 転入者数, 転出者数, 転入超過数 of 総数 and 移動者. A cell whose
figure we do not hold carries the mark `…`, which the table's NOTE declares. 男, 女, 日本人, 外国人 and
都道府県内移動者数 are listed, without rows.

`flow()` is different: no full origin–destination matrix is among our figures. Its cells are **allocated**
(按分) by `allocate.py`. Published figures are its margins (each prefecture's 転入 and 転出 of the month)
and, for Kumamoto in January–September 2024, 福岡県 and the sums of 東京圏 and 大阪圏. Every other single
cell is an estimate of ours.

Source: 総務省統計局 住民基本台帳人口移動報告 (e-Stat 0003420473) and the partner figures of the committee's
slides.
Credit: 政府統計の総合窓口(e-Stat)、総務省統計局 住民基本台帳人口移動報告を加工して作成
（政府標準利用規約2.0）.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from demo.estat.tables import (
    KUMAMOTO,
    NATION,
    PREFECTURES,
    Codes,
    Table,
    end_of_next_month,
    flow_table,
    moves_table,
    periods,
    time_code,
)

FIGURES = Path(__file__).parent / "figures"
ALLOCATED = FIGURES / "flow_allocated.csv"
NOT_HELD = "…"
FIRST, LAST = "2018-01", "2025-02"
FULL_FIRST, FULL_LAST = "2023-01", "2024-12"

BLOCS = {
    "東京圏": ("11000", "12000", "13000", "14000"),
    "大阪圏": ("26000", "27000", "28000", "29000"),
    "福岡県": ("40000",),
}
# The slide prints 16 where its own row total needs 165 (1,831 against 1,682): a lost digit.
SLIDE_SLIPS = {("in", "大阪圏", "2024-05"): (16, 165)}

InOut = tuple[int, int]


def prefecture_moves() -> dict[str, dict[str, InOut]]:
    """Month → area code → (転入者数, 転出者数), persons: all 47 for 2023–2024, Kumamoto alone for the other
    months.

    Raises:
        ValueError: the two files disagree on a month of Kumamoto.
    """
    held: dict[str, dict[str, InOut]] = {}
    for row in _rows("prefecture_monthly_migration.csv"):
        pair = int(row["in_migrants"]), int(row["out_migrants"])
        held.setdefault(row["year_month"], {})[row["pref_code"]] = pair
    for row in _rows("kumamoto_monthly_migration.csv"):
        pair = int(row["in_migrants"]), int(row["out_migrants"])
        if held.setdefault(row["year_month"], {}).setdefault(KUMAMOTO, pair) != pair:
            raise ValueError(f"figures disagree on Kumamoto in {row['year_month']}")
    return held


def partner_sums() -> dict[tuple[str, str, str], int]:
    """(in|out, partner, month) → persons moving into or out of Kumamoto; partners are the keys of `BLOCS`."""
    sums = {}
    for row in _rows("seed_migration_2024_monthly.csv"):
        for month in periods("2024-01", "2024-09"):
            key = row["direction"], row["counterpart"], month
            printed, true = SLIDE_SLIPS.get(key, (None, None))
            sums[key] = int(row[month]) if printed is None or true is None else true
            if printed is not None and int(row[month]) != printed:
                raise ValueError(f"{key}: the slide's slip {printed} is not in the figures any more")
    return sums


def moves() -> Table:
    """0003420473 for 2018-01…2025-02: 48 areas × 3 items × 86 months, all of 総数 and 移動者."""
    held = prefecture_moves()
    cells = [(tab, "0", "60000", area) for tab in ("02", "03", "04") for area in (NATION, *PREFECTURES)]
    months = {}
    for period in periods(FIRST, LAST):
        known = held[period]
        if len(known) == len(PREFECTURES):
            known = {NATION: (sum(i for i, _ in known.values()), sum(o for _, o in known.values())), **known}
        months[time_code(period)] = [_text(known.get(area), tab) for tab, _, _, area in cells]
    return moves_table(
        cells,
        months,
        end_of_next_month(LAST),
        notes={NOT_HELD: "この模擬サーバーに公表値を収録していないもの"},
        description="模擬サーバー：総務省統計局の公表値のうち収録分（総数・移動者）のみ。全国は47都道府県の合計。"
        "更新日は模擬のもので、e-Stat の更新日ではない。",
    )


def flow() -> Table:
    """0003423613 for 2023-01…2024-12, 総数 only: 47 × 47 cells a month, allocated (see the module's text)."""
    matrix: dict[str, list[str]] = {}
    with ALLOCATED.open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            period, _, *texts = line.rstrip("\n").split(",")
            matrix.setdefault(time_code(period), []).extend(texts)
    return flow_table(
        flow_cells(("0",)),
        matrix,
        end_of_next_month(FULL_LAST),
        notes={"-": "データが得られないもの、又は計数のないもの（同じ都道府県の中の移動）"},
        description="模擬サーバー：個々のセルは按分した推計値で、公表値ではない。公表値と一致するのは各都道府県の転入者数・"
        "転出者数（行と列の合計）、及び2024年1〜9月の熊本県と福岡県・東京圏（4都県計）・大阪圏（4府県計）の間の移動者数。",
    )


def flow_cells(sexes: tuple[str, ...]) -> list[Codes]:
    """Cells of the flow table: origin, then sex, then destination."""
    return [("02", origin, sex, area) for origin in PREFECTURES for sex in sexes for area in PREFECTURES]


def _text(pair: InOut | None, tab: str) -> str:
    if pair is None:
        return NOT_HELD
    inflow, outflow = pair
    return str({"02": inflow, "03": outflow, "04": inflow - outflow}[tab])


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (FIGURES / name).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)
