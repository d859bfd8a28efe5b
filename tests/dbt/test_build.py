"""How a build behaves: what it publishes, what it leaves alone, and what it survives."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from deliveries import FIRST_KNOWN, KUMAMOTO, MONTHLY, Deliveries, Moves, published_moves
from psycopg.rows import dict_row

from kpi_warehouse import marts
from kpi_warehouse.errors import BuildFailed, KpiError
from kpi_warehouse.marts_swap import schemas
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

LATER = FIRST_KNOWN + timedelta(days=30)
BUILD = [sys.executable, "-c", "from kpi_warehouse import marts; print(marts.build().state)"]


def k12() -> dict[str, Any]:
    return next(row for row in marts.board() if row["kpi_id"] == "K12")


def months_of_2025(net: int) -> list[Moves]:
    """Twelve months of 熊本県 whose nets sum to `net`, all of it in December."""
    nets = [0] * 11 + [net]
    return [Moves(date(2025, month, 1), KUMAMOTO, 5000 + n, 5000) for month, n in enumerate(nets, start=1)]


def contents(connection: psycopg.Connection, schema: str) -> dict[str, list[bytes]]:
    """The bytes of every table of a build, line by line as COPY writes them, in no order."""
    connection.execute("set role kpi_transformer")
    try:
        names = [
            name
            for (name,) in connection.execute(
                "select tablename from pg_tables where schemaname = %s order by 1", [schema]
            ).fetchall()
        ]
        held = {}
        for name in names:
            with connection.cursor().copy(f"copy {schema}.{name} to stdout") as rows:
                held[name] = sorted(b"".join(rows).splitlines())
        return held
    finally:
        connection.execute("set role kpi_loader")


@pytest.fixture
def deliveries(changing: Deliveries) -> Deliveries:
    """Published figures and their marts, to which more may be delivered."""
    return changing


@pytest.fixture
def loader(deliveries: Deliveries) -> psycopg.Connection:
    return deliveries.connection


@pytest.fixture
def broken(deliveries: Deliveries, loader: psycopg.Connection) -> Iterator[Deliveries]:
    """A history that no gate would have let through: a net that is not in − out, a flow from a prefecture that is none."""
    loader.execute(
        "update raw.estat_migration_monthly set persons = persons + 1"
        " where area_code = %s and indicator_code = '04' and period = '2024-12-01'",
        [KUMAMOTO],
    )
    loader.execute(
        "update raw.estat_migration_flow_monthly set origin_area_code = '99000'"
        " where origin_area_code = '47000' and period = '2024-09-01'"
    )
    yield deliveries


def test_a_warehouse_without_any_load_still_shows_the_whole_board(
    deliveries: Deliveries, loader: psycopg.Connection
) -> None:
    deliveries.forget_everything()
    marts.build(force=True)
    board = marts.board()
    assert len(board) == 32
    assert {row["value_status_ja"] for row in board} == {"実績未公表", "対象外"}


def test_nothing_new_means_nothing_built(loader: psycopg.Connection) -> None:
    (first,) = loader.execute("select max(build_id) from ops.build").fetchone() or (None,)
    again = marts.build()
    assert (again.state, again.build_id, again.nodes) == ("unchanged", first, ())


@pytest.mark.nightly
def test_a_new_delivery_is_judged_by_the_whole_year(deliveries: Deliveries) -> None:
    deliveries.publish_moves(months_of_2025(-2333), known_from=LATER)
    assert marts.build().state == "published"
    board = k12()
    assert (board["actual_period_label"], board["actual_value"]) == ("2025年", -2333)
    assert (board["judgement_ja"], board["shortfall"]) == ("未達", 709)
    assert board["in_progress_value"] is None


@pytest.mark.nightly
def test_the_board_can_be_seen_as_it_was(deliveries: Deliveries) -> None:
    deliveries.publish_moves(months_of_2025(-2333), known_from=LATER)
    before = next(row for row in marts.board(LATER - timedelta(seconds=1)) if row["kpi_id"] == "K12")
    assert (before["actual_period_label"], before["in_progress_coverage"]) == ("2024年", "2/12")
    assert before["data_as_of"] == FIRST_KNOWN


def test_what_was_published_can_be_shown_again_to_the_byte(
    deliveries: Deliveries, loader: psycopg.Connection
) -> None:
    published, before = marts.board(), contents(loader, "marts")
    (seen_at,) = loader.execute("select clock_timestamp()").fetchone() or (None,)
    deliveries.publish_moves([Moves(date(2024, 12, 1), KUMAMOTO, 1700, 1500)], known_from=LATER)
    marts.build()

    assert marts.board() != published
    built = marts.build(LATER - timedelta(seconds=1))
    again = contents(loader, built.schema_name)
    assert len(again) > 15 and again.keys() == before.keys()
    assert [name for name in before if again[name] != before[name]] == []
    loader.execute("set role kpi_reader")
    try:
        shown = loader.cursor(row_factory=dict_row).execute("select * from marts.board_as_of(%s)", [seen_at])
        assert shown.fetchall() == published
        changes = loader.execute(
            "select period_id, change_kind_ja, value_before, value_after, owner_body from marts.mart_kpi_change"
            " where changed_at > %s order by period_id",
            [seen_at],
        ).fetchall()
    finally:
        loader.execute("set role kpi_loader")
    assert {row[0] for row in changes} == {"2024-12", "CY2024", "FY2024"}
    assert {row[1] for row in changes} == {"改定"}
    assert {row[4] for row in changes} == {"移住定住推進本部"}


@pytest.mark.nightly
def test_an_as_of_build_leaves_the_marts_alone(deliveries: Deliveries, loader: psycopg.Connection) -> None:
    deliveries.publish_moves(months_of_2025(-2333), known_from=LATER)
    built = marts.build(LATER)
    assert built.schema_name == f"marts_asof_{LATER:%Y%m%dt%H%M%S}"
    shown = "select actual_period_label from {}.mart_kpi_board where kpi_id = 'K12'"
    with connect("kpi_transformer") as connection:
        assert connection.execute(shown.format(built.schema_name)).fetchall() == [("2025年",)]  # type: ignore[arg-type]
        assert not schemas(connection, r"marts\_next")
    assert k12()["actual_period_label"] == "2024年"
    assert marts.sweep() == 0
    loader.execute("update ops.build set started_at = started_at - interval '8 days' where as_of is not null")
    loader.commit()
    assert marts.sweep() == 1
    assert k12()["actual_period_label"] == "2024年"


def test_the_future_cannot_be_known() -> None:
    with pytest.raises(KpiError, match="未来"):
        marts.build(datetime.now(UTC) + timedelta(days=1))


def test_a_refused_delivery_leaves_the_last_figures_and_says_so(deliveries: Deliveries) -> None:
    deliveries.load(
        MONTHLY, date(2024, 12, 1), date(2025, 2, 1), at=LATER, state="rejected", verdict="rejected"
    )
    marts.build()
    board = k12()
    assert (board["actual_value"], board["gate_status_ja"]) == (-1542, "不合格（前回値を表示中）")


@pytest.mark.nightly
def test_held_rows_are_counted_on_the_board(deliveries: Deliveries) -> None:
    load_id = deliveries.publish_moves(published_moves(), known_from=LATER, verdict="held")
    deliveries.hold_row(MONTHLY, date(2024, 5, 1), load_id, "13000")
    marts.build()
    board = k12()
    assert (board["gate_status_ja"], board["held_rows"]) == ("合格", 0)  # 東京都's cell is none of K12's
    deliveries.hold_row(MONTHLY, date(2024, 5, 1), load_id)
    marts.build()
    board = k12()
    assert (board["gate_status_ja"], board["held_rows"]) == ("保留あり", 1)


@pytest.mark.usefixtures("broken")
def test_a_failed_test_leaves_the_marts_as_they_were(loader: psycopg.Connection) -> None:
    with pytest.raises(BuildFailed, match="net_is_in_minus_out") as failure:
        marts.build(force=True)
    assert "転入超過数＝転入者数−転出者数" in failure.value.message_ja
    assert "fct_migration_flow_monthly_codes_known" in failure.value.message_ja
    assert k12()["actual_value"] == -1542
    [(state, error)] = loader.execute(
        "select state, error from ops.build order by build_id desc limit 1"
    ).fetchall()
    assert (state, error) == ("failed", failure.value.message_ja)
    assert ("fail",) in loader.execute(
        "select status from ops.build_node where node = 'net_is_in_minus_out' order by build_id desc limit 1"
    ).fetchall()


@pytest.mark.nightly
def test_two_builds_at_once_publish_once(deliveries: Deliveries) -> None:
    deliveries.publish_moves(months_of_2025(-2333), known_from=LATER)
    both = [subprocess.Popen(BUILD, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    states = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert states == ["published", "unchanged"]


def test_a_killed_build_is_forgotten_by_the_next(deliveries: Deliveries, loader: psycopg.Connection) -> None:
    deliveries.publish_moves(months_of_2025(-2333), known_from=LATER)
    # Forked, which spares it the seconds in which dbt is imported.
    process = multiprocessing.get_context("fork").Process(target=marts.build)
    process.start()
    _wait_for_relation(loader, "marts_next.fct_migration_monthly")
    process.kill()
    process.join()
    assert k12()["actual_value"] == -1542
    assert marts.build().state == "published"
    assert k12()["actual_value"] == -2333
    assert loader.execute("select count(*) from ops.build where state = 'building'").fetchone() == (0,)


@pytest.mark.nightly
def test_a_parsed_project_that_was_cut_off_is_parsed_anew(deliveries: Deliveries) -> None:
    (parsed,) = (settings().home / "dbt").iterdir()
    parsed.write_bytes(b"cut off")
    assert marts.build(force=True).state == "published"
    assert parsed.stat().st_size > 100_000


def _wait_for_relation(connection: psycopg.Connection, name: str) -> None:
    deadline = time.monotonic() + 60
    schema, relation = name.split(".")
    while time.monotonic() < deadline:
        if connection.execute(
            "select 1 from pg_tables where schemaname = %s and tablename = %s", [schema, relation]
        ).fetchone():
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} did not appear")
