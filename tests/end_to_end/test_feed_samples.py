"""A contract tried on samples by the real verbs, in a database of its own; a file handed in by command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from division_files import demo, rows
from openpyxl import load_workbook
from typer.testing import CliRunner

from kpi_warehouse.cli import app
from kpi_warehouse.errors import KpiError
from kpi_warehouse.feed_samples import check_samples
from kpi_warehouse.load import contract_of
from kpi_warehouse.settings import PROJECT, settings

FEED = "company_contacts"
Edit = Callable[..., None]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A good sample, one value revised, a column more, a number in words; and a good one that calls itself broken."""
    folder = tmp_path / "samples"
    folder.mkdir()

    def write(name: str, **cells: object) -> None:
        book = load_workbook(demo("企業と学校との交流"))
        for cell, value in cells.items():
            book.worksheets[0][cell] = value
        book.save(folder / name)

    write("good_R6.xlsx")
    write("late_R6.xlsx", E5=5)
    write("revised_R6.xlsx", D4=76, E5=5)
    write("drifted_R6.xlsx", H3="担当者数", H4=3, E5=5)
    write("broken_R6.xlsx", D4="七十五", E5=5)
    return folder


def test_each_sample_comes_to_what_its_name_says_and_nothing_stays(warehouse: str, samples: Path) -> None:
    found = {one.name.partition("_")[0]: one for one in check_samples(contract_of(FEED), samples)}
    assert [one.expected_ja for one in found.values()] == [None] * 5
    assert list(found) == ["good", "late", "revised", "drifted", "broken"]
    assert (found["good"].state, found["good"].rows, found["late"].rows) == ("published", 4, 1)
    assert (found["revised"].held, found["revised"].marked) == (1, 1)
    assert "企業立地課!H3" in found["drifted"].message_ja and "企業立地課!D4" in found["broken"].message_ja
    assert rows(warehouse, "select count(*) from ops.load") == [(0,)]
    assert rows(warehouse, "select count(*) from pg_database where datname like 'kpi_preview%'") == [(0,)]
    assert not (settings().home / "inbox").exists()


def test_a_sample_that_is_not_what_it_says_fails_the_check(warehouse: str, samples: Path) -> None:
    for path in samples.iterdir():
        if not path.name.startswith("good"):
            path.unlink()
    (samples / "good_R6.xlsx").rename(samples / "broken_R6.xlsx")
    contract = str(PROJECT / "expectations" / f"{FEED}.odcs.yaml")
    shown = CliRunner().invoke(app, ["feed", "check", contract, "--samples", str(samples)])
    assert shown.exit_code == 3
    assert "✗ broken_R6.xlsx：published" in shown.output
    assert CliRunner().invoke(app, ["feed", "check", "--samples", str(samples)]).exit_code == 2


def test_no_samples_are_said(warehouse: str, tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="見本のファイルがありません"):
        check_samples(contract_of(FEED), tmp_path / "nothing")


def test_a_file_is_handed_in_by_command_whatever_it_is_called(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    settings.cache_clear()
    sample = tmp_path / "無題.xlsx"
    sample.write_bytes(demo("企業と学校との交流").read_bytes())
    shown = CliRunner().invoke(app, ["load", FEED, "--file", str(sample)])
    assert shown.exit_code == 0 and "published" in shown.output, shown.output
    assert rows(warehouse, f"select count(*) from raw.{FEED}") == [(4,)]
    again = CliRunner().invoke(app, ["load", FEED, "--file", str(sample)])
    assert again.exit_code == 0 and "と同じ内容です" in again.output, again.output
    assert rows(warehouse, f"select count(*) from ops.delivery where feed = '{FEED}'") == [(1,)]
    assert CliRunner().invoke(app, ["load", "estat_migration_monthly", "--file", str(sample)]).exit_code == 1
