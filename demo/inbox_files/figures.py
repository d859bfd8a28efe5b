"""The numbers of the demo files, read from the data files that name their source."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

FIGURES = Path(__file__).parent / "figures"
ESTAT_FIGURES = Path(__file__).parents[1] / "estat" / "figures"
MONTHS = tuple(f"2024-{month:02}" for month in range(1, 10))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a programme as the slides state it. `value` is None where they say why there is none."""

    value: Decimal | None
    unit: str
    status: str
    qualifier: str
    text: str

    @property
    def number(self) -> int | float:
        """The value as a spreadsheet keeps it.

        Raises:
            ValueError: there is no value.
        """
        if self.value is None:
            raise ValueError(f"{self.text}: no number")
        return int(self.value) if self.value == self.value.to_integral_value() else float(self.value)

    @property
    def written(self) -> str:
        """Number and unit, grouped, as a person writes them: 2,684名."""
        return f"{self.number:,}{self.unit}"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@cache
def _programmes() -> dict[tuple[str, str], Figure]:
    return {
        (row["metric_id"], row["period_text"]): Figure(
            Decimal(row["value"]) if row["value"] else None,
            row["unit"],
            row["status"],
            row["qualifier"],
            row["value_text"],
        )
        for row in _rows(FIGURES / "programme_metrics.csv")
    }


def figure(metric: str, period: str) -> Figure:
    """One number of a programme: `figure("F01-1", "R6")`.

    Raises:
        KeyError: the slides state no such number.
    """
    return _programmes()[metric, period]


@cache
def partner_rows() -> dict[tuple[str, str], tuple[tuple[int, ...], int]]:
    """(in|out, partner) → persons of January–September 2024 as the slide prints them, and its printed 計."""
    return {
        (row["direction"], row["counterpart"]): (
            tuple(int(row[month]) for month in MONTHS),
            int(row["total_as_printed"]),
        )
        for row in _rows(ESTAT_FIGURES / "seed_migration_2024_monthly.csv")
    }


def corrected(months: tuple[int, ...], total: int) -> tuple[int, ...]:
    """A row whose smallest month takes up what is missing to the printed 計; a sound row stays as it is."""
    missing = total - sum(months)
    at = months.index(min(months))
    return (*months[:at], months[at] + missing, *months[at + 1 :]) if missing else months


@cache
def moved(direction: str) -> int:
    """Persons who moved between Kumamoto and all other prefectures in January–September 2024 (in|out)."""
    column = {"in": "in_migrants", "out": "out_migrants"}[direction]
    rows = _rows(ESTAT_FIGURES / "kumamoto_monthly_migration.csv")
    return sum(int(row[column]) for row in rows if row["year_month"] in MONTHS)
