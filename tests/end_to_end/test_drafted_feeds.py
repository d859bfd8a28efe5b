"""From a sample to accepted figures: drafted, answered, checked and loaded by the commands, in a real warehouse."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from division_files import rows
from typer.testing import CliRunner

from kpi_warehouse import contract as contract_module
from kpi_warehouse.cli import app
from kpi_warehouse.settings import PROJECT, settings
from tests.contracts.drafted_layouts import LAYOUTS


@pytest.fixture
def contracts(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project's contracts in a folder that drafts may be added to."""
    folder = tmp_path / "expectations"
    shutil.copytree(PROJECT / "expectations", folder, ignore=shutil.ignore_patterns("drafts"))
    monkeypatch.setenv("KPI_CONTRACTS", str(folder))
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    settings.cache_clear()
    yield folder
    monkeypatch.undo()
    settings.cache_clear()
    contract_module._one.cache_clear()
    contract_module.contracts.cache_clear()


def kpi(*arguments: str) -> str:
    shown = CliRunner().invoke(app, list(arguments))
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.mark.parametrize("name", ["years_right", "sections", "two_tables", "long_csv"])
def test_a_draft_is_loaded_once_its_questions_are_answered(
    contracts: Path, warehouse: str, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    (sample, *_), expected = LAYOUTS[name](folder)
    feed = f"drafted_{name}"
    kpi("feed", "new", feed, "--sample", str(sample), "--title", "件数", "--owner", "統計調査課")
    path = contracts / f"{feed}.odcs.yaml"
    refused = CliRunner().invoke(app, ["load", feed, "--file", str(sample)])
    assert refused.exit_code == 1 and "下書き" in refused.output
    text = path.read_text("utf-8").replace("（要確認）", "確認済")
    path.write_text(re.sub(r"^status: draft$", "status: active", text, flags=re.M), "utf-8")
    contract_module._one.cache_clear()
    kpi("feed", "check", str(path))
    assert "published" in kpi("load", feed, "--file", str(sample))
    accepted = rows(warehouse, f"select source_cell, value, period, period_kind from raw.{feed}")
    assert {cell: tuple(said) for cell, *said in accepted} == expected
