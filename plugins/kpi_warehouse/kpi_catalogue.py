"""The KPI catalogue as the project keeps it: the seeds of the dbt project, read without a database."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from kpi_warehouse import clock
from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.widths import fold

NO_KPI = "none"


@dataclass(frozen=True)
class Kpi:
    """One KPI: its number, plan, name, unit, target (the version in force), the body that owns it, and of which kind it is.

    Numbers are as the seeds write them; None where they say none. `counted_from` is the day (ISO) from which a cumulative
    KPI is counted, `first_year` the first year of its plan.
    """

    kpi_id: str
    plan: str
    kpi_name: str
    unit: str
    target_text: str
    owner: str
    owner_names: tuple[str, ...]
    kpi_type: str
    accumulation: str
    period_kind: str
    counted_from: str | None
    lower_bound: str | None
    upper_bound: str | None
    target_value: str | None
    target_year: str | None
    first_year: str


@cache
def kpi_catalogue(project: Path) -> tuple[Kpi, ...]:
    """Every KPI in the order of the plans; a theme without a KPI is not among them.

    Args:
        project: root of the checkout.
    """
    seeds = project / "dbt_project" / "seeds"
    plans = {row["pillar_id"]: row["plan"] for row in _rows(seeds / "pillars.csv")}
    first_years = {row["plan"]: row["first_year"] for row in _rows(seeds / "plans.csv")}
    today = clock.today().isoformat()
    targets = {row["kpi_id"]: row for row in _in_force(seeds / "kpi_targets.csv", today)}
    owned = {row["kpi_id"]: row["owner_id"] for row in _in_force(seeds / "kpi_owners.csv", today)}
    owners = {row["owner_id"]: row["owner_name"] for row in _rows(seeds / "owners.csv")}
    aliases = _rows(seeds / "owner_aliases.csv")
    return tuple(
        Kpi(
            row["kpi_id"],
            plans[row["pillar_id"]],
            row["kpi_name"],
            row["unit"],
            targets.get(row["kpi_id"], {}).get("target_text", ""),
            owners[owner],
            (owners[owner], *(a["alias"] for a in aliases if a["owner_id"] == owner)),
            row["kpi_type"],
            row["accumulation"],
            row["period_kind"],
            row["counted_from"] or None,
            row["lower_bound"] or None,
            row["upper_bound"] or None,
            targets.get(row["kpi_id"], {}).get("target_value") or None,
            targets.get(row["kpi_id"], {}).get("target_year") or None,
            first_years[plans[row["pillar_id"]]],
        )
        for row in sorted(_rows(seeds / "kpi_catalogue.csv"), key=lambda row: int(row["display_order"]))
        if row["kpi_type"] != NO_KPI
        for owner in [owned[row["kpi_id"]]]
    )


def check_goals(project: Path) -> int:
    """Check that every baseline lies before its target, whichever way is better; returns the number of targets.

    Raises:
        KpiError: a baseline beyond its target, or a band whose ends are the wrong way round; one line per fault.
    """
    seeds = project / "dbt_project" / "seeds"
    kinds = {row["kpi_id"]: row for row in _rows(seeds / "kpi_catalogue.csv")}
    baselines = _rows(seeds / "kpi_baselines.csv")
    faults = []
    targets = [row for row in _rows(seeds / "kpi_targets.csv") if row["target_value"]]
    for target in targets:
        kpi = kinds[target["kpi_id"]]
        goal = Decimal(target["target_value"])
        upper = target["target_upper"]
        if upper and Decimal(upper) < goal:
            faults.append(
                f"kpi_targets.csv: {kpi['kpi_id']} の目標の幅が逆です。見つかったもの：{goal}〜{upper}、期待：小さい値〜大きい値"
            )
        if kpi["kpi_type"] not in ("level_up", "level_down", "annual_flow", "stock_cumulative"):
            continue
        down = kpi["kpi_type"] == "level_down" or kpi["direction"] == "down"
        for baseline in baselines:
            if baseline["kpi_id"] != kpi["kpi_id"] or not baseline["baseline_value"]:
                continue
            if not _both_in_force(baseline, target):
                continue
            value = Decimal(baseline["baseline_value"])
            if value < goal if down else value > goal:
                faults.append(
                    f"kpi_baselines.csv: {kpi['kpi_id']}（{kpi['kpi_name']}）の基準値が目標を超えています。見つかったもの：基準値 {value}"
                    f"（版 {baseline['baseline_version']}）、目標 {goal}（版 {target['target_version']}）、期待："
                    f"目標より{'大きい' if down else '小さい'}基準値。{'下げる' if down else '上げる'}KPIなので、進捗率が負になります。"
                    "基準値と目標のどちらかの写し誤りか、維持のKPI（kpi_type）ではないかを確かめてください。"
                )
    if faults:
        raise KpiError("\n".join(faults), "catalogue.goal")
    return len(targets)


def kpis_of(kpis: tuple[Kpi, ...], owner: str) -> tuple[Kpi, ...]:
    """The KPIs of one owner, by any of its names.

    Raises:
        KpiError: nobody of that name owns a KPI; the message lists those who do.
    """
    wanted = _bare(owner)
    found = tuple(kpi for kpi in kpis if wanted in map(_bare, kpi.owner_names))
    if not found:
        known = "、".join(dict.fromkeys(kpi.owner for kpi in kpis))
        raise KpiError(f"「{owner}」が所管するKPIはありません。所管：{known}", "catalogue.unknown_owner")
    return found


def _bare(name: str) -> str:
    return fold(name).replace("熊本県", "").translate(str.maketrans("", "", "「」『』 　"))


def _in_force(path: Path, day: str) -> list[dict[str, str]]:
    """The versions of a seed that count on a day (ISO), as the dbt macro `stated_at_as_of` has them."""
    return [
        row
        for row in _rows(path)
        if row["known_from"] <= day and (not row["known_to"] or day < row["known_to"])
    ]


def _both_in_force(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two versions count on one day: an empty day is from the beginning, or still."""
    return all(not a["known_to"] or b["known_from"] < a["known_to"] for a, b in ((one, other), (other, one)))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
