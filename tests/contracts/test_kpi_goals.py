"""A baseline beyond its target is refused where it is registered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kpi_warehouse.errors import KpiError
from kpi_warehouse.kpi_catalogue import check_goals
from kpi_warehouse.settings import PROJECT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "dbt_project/seeds", tmp_path / "dbt_project/seeds")
    return tmp_path


def register(project: Path, seed: str, line: str) -> None:
    with (project / "dbt_project/seeds" / f"{seed}.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_the_plans_targets_are_sound(project: Path) -> None:
    assert check_goals(project) == 12


@pytest.mark.parametrize("baseline", ["K07,1,3200,2023,R5,,,,test", "K09,1,20.1,2023,R5,,,,test"])
def test_a_baseline_beyond_its_target_is_refused(project: Path, baseline: str) -> None:
    kpi, _, value = baseline.split(",")[:3]
    register(project, "kpi_baselines", baseline)
    with pytest.raises(KpiError) as refused:
        check_goals(project)
    assert f"kpi_baselines.csv: {kpi}" in refused.value.message_ja
    assert f"見つかったもの：基準値 {value}（版 1）" in refused.value.message_ja
    assert "期待：目標より小さい基準値" in refused.value.message_ja


def test_a_baseline_before_its_target_and_that_of_a_maintain_kpi_are_taken(project: Path) -> None:
    register(project, "kpi_baselines", "K07,1,2600,2023,R5,,,,test")
    register(project, "kpi_baselines", "K08,1,20,2023,R5,,,,test")
    # A maintain KPI may stand anywhere: K12's own baseline of another year is below its target.
    register(project, "kpi_baselines", "K12,2,-1000,2022,R4,2099-01-01,,,test")
    assert check_goals(project) == 12


def test_versions_that_never_count_together_are_not_compared(project: Path) -> None:
    register(project, "kpi_targets", "K06,2,700,,2027,R9,R9: 700人/年,false,2030-01-01,,,test")
    register(project, "kpi_baselines", "K06,1,650,2023,R5,2030-01-01,,,test")
    seed = project / "dbt_project/seeds/kpi_targets.csv"
    seed.write_text(
        seed.read_text(encoding="utf-8").replace("618人/年,false,,,", "618人/年,false,,2030-01-01,"),
        encoding="utf-8",
    )
    assert check_goals(project) == 13


def test_a_band_has_its_lower_end_first(project: Path) -> None:
    register(project, "kpi_targets", "D02,1,6,4,2027,R9,4〜6%,false,,,,test")
    with pytest.raises(KpiError, match="D02 の目標の幅が逆です。見つかったもの：6〜4"):
        check_goals(project)
