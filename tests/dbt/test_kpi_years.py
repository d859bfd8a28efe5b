"""Four years of KPI sheets, one after the other, beside what plain Python makes of the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deliveries import Deliveries
from psycopg.rows import dict_row

from kpi_warehouse import holds, load, marts
from kpi_warehouse.load import contract_of
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import hand_in
from kpi_warehouse.warehouse.connection import connect
from tests.kpi_sheet import Answer, filled_in

FEED = "kpi_progress"
YEARS = (2024, 2025, 2026, 2027)
TARGETS = {"K01": 55, "K04": 8300, "K05": 931, "K06": 618, "K07": 3000, "K08": 20, "K09": 20}
# KPI → one figure for each year of the plan.
FIGURES: dict[str, tuple[float, ...]] = {
    "K01": (51.2, 52.8, 53.1, 55.4),
    "K04": (2110, 4302, 6180, 8420),
    "K05": (742, 789, 851, 940),
    "K06": (571, 590, 577, 619),
    "K07": (2744, 2801, 2897, 2950),
    "K08": (17.9, 18.4, 18.2, 19.1),
    "K09": (8, 11, 15, 21),
}
CORRECTED = ("K07", 2025, 2811)


def answer(kpi: str, year: int, value: float | None = None) -> Answer:
    """As its division writes the figure of a year (R6 is 2024)."""
    said = FIGURES[kpi][YEARS.index(year)] if value is None else value
    era = year - 2018
    if kpi == "K04":
        return Answer(said, f"R6.4～R{era + 1}.3", "累計")
    if kpi == "K09":
        return Answer(said, f"R{era + 1}.3月末", note="延長")
    return Answer(said, f"R{era}年度", "速報" if (kpi, year) == ("K06", 2027) else "実績")


def period_id(kpi: str, year: int) -> str:
    return {"K04": f"CUM2024-{year}", "K09": f"AT{year + 1}-03-31"}.get(kpi, f"FY{year}")


def expected() -> dict[tuple[str, str], tuple[Decimal, str, str, Decimal | None]]:
    """KPI and period → value, status, judgement of the standard pack, progress in percent."""
    known: dict[tuple[str, str], tuple[Decimal, str, str, Decimal | None]] = {}
    for kpi, figures in FIGURES.items():
        for year, figure in zip(YEARS, figures, strict=True):
            value = Decimal(str(CORRECTED[2] if (kpi, year) == CORRECTED[:2] else figure))
            provisional = (kpi, year) == ("K06", 2027)
            target = Decimal(TARGETS[kpi])
            goal = target * (year - 2023) / 4 if kpi == "K04" else target if year == 2027 else None
            if provisional:
                judgement = "deferred"
            elif value >= target:
                judgement = "achieved"
            elif goal is None:
                judgement = "deferred"
            else:
                judgement = "on_track" if value >= goal else "behind"
            status = "provisional" if provisional else "actual"
            known[kpi, period_id(kpi, year)] = value, status, judgement, 100 * value / target
    return known


@pytest.fixture
def lived(changing: Deliveries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sheets of four years are delivered and taken, with a part of the second year, and a correction of it in the third."""
    del changing
    inbox = tmp_path / "inbox"  # the home of these tests has files of others in its own
    inbox.mkdir()
    monkeypatch.setenv("KPI_INBOX", inbox.as_uri())

    def deliver(today: str, name: str, answers: dict[str, Answer | list[Answer]]) -> load.Published:
        monkeypatch.setenv("KPI_TODAY", today)
        settings.cache_clear()
        path = tmp_path / f"進捗管理シート（{name}）.xlsx"
        path.write_bytes(filled_in(answers))
        hand_in(contract_of(FEED), path)
        return load.run(FEED)

    for year in YEARS:
        taken = deliver(f"{year + 1}-06-10", str(year), {kpi: answer(kpi, year) for kpi in FIGURES})
        assert (taken.opened_rows, taken.closed_rows, taken.held_rows) == (len(FIGURES), 0, 0)
        if year == 2024:
            half = {
                "K05": Answer(410, "R7年度（10月末現在）", "年度途中"),
                "K04": Answer(2600, "R6.4～R7.10", "累計"),
            }
            assert deliver("2025-11-10", "途中", half).held_rows == 0
            assert marts.build().state == "published"
        if year == 2026:
            again: dict[str, Answer | list[Answer]] = {kpi: answer(kpi, 2026) for kpi in FIGURES}
            again["K07"] = [answer("K07", 2026), answer("K07", 2025, CORRECTED[2])]
            assert deliver("2027-07-01", "訂正", again).held_rows == 1
            (waiting,) = holds.held_rows(FEED)
            assert waiting.expectation == "accepted_value_kept"
            holds.release(waiting.held_id, "集計を改めたと交通政策課に確認した")
    yield tmp_path
    settings.cache_clear()


def rows(query: str) -> list[dict[str, Any]]:
    with connect("kpi_reader") as connection:
        return connection.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def test_four_years_of_sheets_make_what_plain_python_makes(lived: Path) -> None:
    # The part of the second year was published before that year was over.
    seen = rows("select kpi_id, in_progress_value, in_progress_coverage, actual_value from marts.mart_kpi_board"
                " where kpi_id in ('K04', 'K05') order by 1")  # fmt: skip
    assert [tuple(row.values()) for row in seen] == [
        ("K04", Decimal(2600), "19/24", Decimal(2110)),
        ("K05", Decimal(410), "7/12", Decimal(742)),
    ]
    assert marts.build().state == "published"
    ids = tuple(FIGURES)
    history = rows(
        "select kpi_id, period_id, value, value_status, judgement, progress_percent, gate_status, held_rows,"
        f" target_value from marts.mart_kpi_history where kpi_id in {ids} and value is not null"
    )
    found = {
        (row["kpi_id"], row["period_id"]): (
            row["value"], row["value_status"], row["judgement"], row["progress_percent"]
        )
        for row in history
    }  # fmt: skip
    wanted = expected()
    assert {key: row[:3] for key, row in found.items()} == {key: row[:3] for key, row in wanted.items()}
    for key, row in found.items():
        progress = wanted[key][3]
        assert row[3] is not None and progress is not None and abs(row[3] - progress) < Decimal("1e-9"), key
    # Only K10, K11 and the counts of the digital plan make a warning, so no KPI here carries one, nor a row that waits.
    assert {(row["gate_status"], row["held_rows"], row["target_value"]) for row in history} == {
        ("passed", 0, Decimal(target)) for target in TARGETS.values()
    }
    board = {row["kpi_id"]: row for row in rows("select * from marts.mart_kpi_board")}
    assert len(board) == 32
    for kpi in FIGURES:
        assert board[kpi]["actual_period_id"] == period_id(kpi, 2027)
        assert board[kpi]["actual_value"] == wanted[kpi, period_id(kpi, 2027)][0]
        assert board[kpi]["in_progress_value"] is None
    assert (board["K06"]["value_status_ja"], board["K06"]["judgement_reason_ja"]) == ("速報", "速報")
    assert "速報" in board["K06"]["conditions_ja"]
    # The path of the sum is drawn, and only the year that was corrected has changed.
    path = rows(
        "select value::integer as value from marts.mart_kpi_history where kpi_id = 'K04' order by period_end"
    )
    assert [row["value"] for row in path] == [2110, 4302, 6180, 8420]
    changed = rows("select kpi_id, period_id, change_kind, value_before, value_after from marts.mart_kpi_change"
                   " where change_kind in ('revised', 'resubmitted')")  # fmt: skip
    assert {(row["kpi_id"], row["period_id"]) for row in changed} <= {("K07", "FY2025")}
    with connect("kpi_loader") as connection:
        assert connection.execute(
            "select kpi_code, value from raw.kpi_progress where known_to < 'infinity'"
        ).fetchall() == [("K07", Decimal(2801))]
    # Each published cell leads back to its cell of the sheet.
    trail = rows("select row_value, source_cell from marts.receipt('K04', 'CUM2024-2025')")
    assert [(row["row_value"], str(row["source_cell"]).rpartition("!")[2]) for row in trail] == [(4302, "F9")]
