"""Open data of a built warehouse: the rules of its notation, what its catalogues say, and that it appears whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from openpyxl import Workbook, load_workbook
from typer.testing import CliRunner

from kpi_warehouse import marts
from kpi_warehouse.cli import app
from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.publication import publish as publishing
from kpi_warehouse.publication.files import as_text
from kpi_warehouse.publication.offer import EXPOSURES
from kpi_warehouse.publication.publish import Release, publish
from kpi_warehouse.settings import PROJECT, settings

TABLES = (
    "kpi_board",
    "kpi_history",
    "migration_monthly",
    "migration_by_bloc_monthly",
    "social_change_annual",
    "migration_outlook",
    "programme_value",
)
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+\+09:00)?")


@pytest.fixture(scope="module")
def released(
    loader: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Release]]:
    """A place with the first release of the built warehouse, which holds a text that would be a formula."""
    place = tmp_path_factory.mktemp("publication")
    with psycopg.connect(loader.info.dsn, password=loader.info.password, autocommit=True) as owner:
        owner.execute(
            "update marts.mart_kpi_board set conditions_ja = '=HYPERLINK(\"x\")\n①㈱' where kpi_id = 'K02'"
        )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KPI_PUBLICATION", str(place))
        settings.cache_clear()
        yield place, publish()
    settings.cache_clear()


@pytest.fixture(scope="module")
def book(released: tuple[Path, Release]) -> Workbook:
    """The workbook of the release, which takes seconds to read."""
    return load_workbook(released[0] / "latest/kumamoto_kpi.xlsx")


def table(place: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((place / "latest" / f"{name}.csv").read_text("utf-8"))))


def test_every_table_is_there_in_every_form_and_says_the_same(
    released: tuple[Path, Release], book: Workbook
) -> None:
    place, release = released
    assert release.state == "published"
    for name in TABLES:
        plain = (place / "latest" / f"{name}.csv").read_bytes()
        excel = (place / "latest" / f"{name}_excel.csv").read_bytes()
        assert excel.startswith(b"\xef\xbb\xbf") and not plain.startswith(b"\xef\xbb\xbf")
        rows, shown = (
            list(csv.reader(io.StringIO(plain.decode()))),
            list(csv.reader(io.StringIO(excel.decode("utf-8-sig")))),
        )
        assert rows[1:] == shown[1:]
        assert all(re.search("[ぁ-んァ-ヶ一-龠]", heading) for heading in shown[0])
        assert len(set(shown[0])) == len(shown[0]) == len(rows[0])
        columns = pq.read_table(place / "latest" / f"{name}.parquet")
        assert columns.column_names == rows[0]
        assert columns.num_rows == len(rows) - 1
        assert all(columns.schema.field(column).metadata[b"comment"] for column in rows[0])
        assert b"e-stat" in columns.schema.metadata[b"credit"]
    assert book.sheetnames[0] == "はじめに" and len(book.sheetnames) == len(TABLES) + 2
    assert [sheet.max_row for sheet in book.worksheets[1:-1]] == [
        len(table(place, name)) + 1 for name in TABLES
    ]


def test_figures_are_those_of_the_marts(released: tuple[Path, Release], book: Workbook) -> None:
    place = released[0]
    board = {row["kpi_id"]: row for row in table(place, "kpi_board")}
    assert len(board) == 32
    assert (board["K12"]["actual_value"], board["K12"]["actual_period_label"]) == ("-1542", "2024年")
    sheet = book["KPIボード"]
    head = [cell.value for cell in sheet[1]]
    (k12,) = [row for row in sheet.iter_rows(min_row=2, values_only=True) if row[0] == "K12"]
    assert k12[head.index("実績")] == -1542
    columns = pq.read_table(place / "latest/kpi_board.parquet").to_pylist()
    assert next(row["actual_value"] for row in columns if row["kpi_id"] == "K12") == Decimal(-1542)


def test_the_notation_rules_hold_in_every_cell(released: tuple[Path, Release], book: Workbook) -> None:
    place = released[0]
    kinds = {
        (row["table"], row["column"]): row["type"]
        for row in csv.DictReader((place / "latest/data_dictionary.csv").open(encoding="utf-8"))
    }
    cells = 0
    for name in TABLES:
        for row in table(place, name):
            for column, value in row.items():
                cells += 1
                assert value == value.strip() and not re.search(
                    r"[\r\n\t\u2460-\u2473\u2160-\u217f\u3200-\u33ff]", value
                ), (name, row)
                kind = kinds[name, column]
                if kind in ("numeric", "integer", "bigint", "smallint"):
                    assert value == "" or NUMBER.fullmatch(value), (name, column, value)
                elif kind == "date" or kind.startswith("timestamp"):
                    assert value == "" or DAY.fullmatch(value), (name, column, value)
                elif kind == "boolean":
                    assert value in ("true", "false", ""), (name, column, value)
                else:
                    assert not value.startswith(("=", "+", "@")), (name, column, value)
            if "value" in row and row["value"] == "":
                assert row["value_status_ja"], "a value that is missing has its reason beside it"
    assert cells > 100_000
    assert not any(sheet.merged_cells.ranges for sheet in book.worksheets)


def test_a_text_that_looks_like_a_formula_is_a_text(released: tuple[Path, Release], book: Workbook) -> None:
    place = released[0]
    (k02,) = [row for row in table(place, "kpi_board") if row["kpi_id"] == "K02"]
    assert k02["conditions_ja"] == '\'=HYPERLINK("x") (1)(株)'
    sheet = book["KPIボード"]
    (cell,) = [cell for row in sheet.iter_rows() for cell in row if "HYPERLINK" in str(cell.value)]
    assert (cell.data_type, cell.quotePrefix) == ("s", True)
    assert [as_text(text) for text in ("-", "▲5", "-5", "＠x", "a=b")] == ["-", "▲5", "'-5", "'＠x", "a=b"]


def test_the_catalogues_name_each_file_with_its_digest_licence_and_credit(
    released: tuple[Path, Release],
) -> None:
    place, release = released
    catalogue = json.loads((place / "catalog.jsonld").read_text("utf-8"))
    datasets = catalogue["dcat:dataset"]
    assert [dataset["dct:identifier"] for dataset in datasets] == list(TABLES)
    listed = [d for dataset in [*datasets, catalogue] for d in dataset["dcat:distribution"]]
    for entry in listed:
        body = (place / entry["dcat:downloadURL"]["@id"]).read_bytes()
        assert hashlib.sha256(body).hexdigest() == entry["spdx:checksum"]["spdx:checksumValue"]
        assert entry["dct:license"]["@id"].startswith("https://creativecommons.org/licenses/by/")
    assert len(listed) == len(release.files) == 3 * len(TABLES) + 2
    assert all("加工して作成" in str(dataset["dct:provenance"]) for dataset in datasets)
    history = datasets[1]["dct:temporal"]
    assert history["dcat:startDate"]["@value"] < history["dcat:endDate"]["@value"]
    package = json.loads((place / "latest/datapackage-ckan.json").read_text("utf-8"))
    assert (package["license_id"], len(package["resources"])) == ("cc-by", len(release.files))
    assert "加工して作成" in package["notes"]


def test_unchanged_data_publishes_nothing_new(released: tuple[Path, Release]) -> None:
    place, release = released
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    again = publish()
    assert (again.state, again.name, again.files) == ("unchanged", release.name, release.files)
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()} == before


def test_a_file_that_went_missing_is_written_again(
    released: tuple[Path, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, release = released
    workbook = (place / "latest/kumamoto_kpi.xlsx").read_bytes()
    monkeypatch.setattr(publishing, "workbook_bytes", lambda _: workbook)  # which takes seconds to make
    (place / release.files[0].path).unlink()
    assert publish().state == "published"
    assert (place / release.files[0].path).exists()


@pytest.mark.nightly
def test_a_run_that_is_cut_off_leaves_the_release_before_it_in_force(
    released: tuple[Path, Release], loader: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, release = released
    with psycopg.connect(loader.info.dsn, password=loader.info.password, autocommit=True) as owner:
        owner.execute("update marts.mart_kpi_board set conditions_ja = 'なし' where kpi_id = 'K02'")
    written = publishing.write_whole
    calls = iter(range(100))

    def full(files: Any, path: str, body: bytes) -> None:
        if next(calls) == 5:
            raise OSError(28, "No space left on device")
        written(files, path, body)

    monkeypatch.setattr(publishing, "write_whole", full)
    with pytest.raises(StorageFailed, match="前回公開したものはそのまま"):
        publish()
    pointer = json.loads((place / "release.json").read_text("utf-8"))
    assert pointer["release"] == release.name and (place / "latest").resolve().name == release.name
    monkeypatch.undo()
    second = publish()
    assert second.state == "published" and (place / "latest").resolve().name == second.name != release.name
    assert (place / "releases" / release.name).is_dir(), "what was published stays"


def test_what_the_exposure_does_not_offer_stays_inside(released: tuple[Path, Release]) -> None:
    place = released[0]
    (offered,) = [
        e
        for e in yaml.safe_load((PROJECT / EXPOSURES).read_text("utf-8"))["exposures"]
        if e["name"] == "open_data"
    ]
    for mart, columns in offered["config"]["meta"]["left_out"].items():
        there = table(place, mart.removeprefix("mart_"))
        assert not there or not set(columns) & set(there[0])


def test_a_wrong_exposure_and_missing_marts_are_said(
    released: tuple[Path, Release], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "dbt_project/models/marts", project / "dbt_project/models/marts")
    path = project / EXPOSURES
    text = path.read_text("utf-8")
    monkeypatch.setenv("KPI_PROJECT", str(project))
    settings.cache_clear()
    path.write_text(text.replace("[required_pace_ja]", "[nothing]"), "utf-8")
    with pytest.raises(KpiError, match="left_out にある列 nothing"):
        publish()
    path.write_text(text.replace("ref('mart_migration_outlook')", "ref('mart_gone')"), "utf-8")
    with pytest.raises(KpiError, match=r"marts\.mart_gone がありません"):
        publish()
    path.write_text(text.replace("name: open_data", "name: other"), "utf-8")
    with pytest.raises(KpiError, match="exposure「open_data」がありません"):
        publish()
    settings.cache_clear()


def test_from_the_command_line(released: tuple[Path, Release]) -> None:
    shown = CliRunner().invoke(app, ["publication"])
    assert shown.exit_code == 0, shown.output
    assert "変わっていません" in shown.output and "kpi_board.parquet" in shown.output


@pytest.mark.nightly
def test_a_build_of_the_same_history_publishes_nothing_new(released: tuple[Path, Release]) -> None:
    marts.build(force=True)
    before = publish()
    marts.build(force=True)
    after = publish()
    assert (after.state, after.name, after.files) == ("unchanged", before.name, before.files)
