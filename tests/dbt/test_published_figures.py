"""What the prefecture has published stays what it was; a later revision is said beside it and stops no build."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from deliveries import FLOW, KUMAMOTO, MONTHLY, Deliveries, Moves, published_flows, published_moves
from psycopg.rows import dict_row

from kpi_warehouse import marts
from kpi_warehouse.contract import find_contract
from kpi_warehouse.settings import PROJECT
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import note_feed

MAY = date(2024, 5, 1)


def figures() -> dict[str, dict[str, Any]]:
    with connect("kpi_transformer") as connection:
        rows = (
            connection.cursor(row_factory=dict_row)
            .execute("select * from marts.mart_published_figure")
            .fetchall()
        )
    return {row["figure_id"]: row for row in rows}


def revised(month: date, more: int) -> list[Moves]:
    """A month in which more people came to 熊本県, and as many fewer to another prefecture."""
    return [
        move._replace(in_migrants=move.in_migrants + {KUMAMOTO: more, "46000": -more}.get(move.area_code, 0))
        for move in published_moves()
        if move.month == month
    ]


def incidents(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select cause, feed, resolved_at is null from ops.incident order by incident_id"
    ).fetchall()


@pytest.fixture
def deliveries(changing: Deliveries) -> Deliveries:
    for feed in (MONTHLY, FLOW):
        note_feed(changing.connection, find_contract(PROJECT / "expectations", feed))
    return changing


@pytest.mark.usefixtures("deliveries")
def test_every_figure_of_the_slides_is_met_by_the_published_months() -> None:
    found = figures()
    by_status: dict[str, set[str]] = {}
    for name, row in found.items():
        by_status.setdefault(row["figure_status"], set()).add(name)
    # The two of the divisions wait for their files.
    assert by_status["not_comparable"] == {
        "semiconductor_training_students",
        "internship_rate_of_three_years",
    }
    assert by_status.keys() == {"met", "not_comparable"} and len(by_status["met"]) == 14
    assert (found["CY2023"]["value_now"], found["CY2023"]["note_ja"]) == (-1624, None)


def test_a_revision_of_a_slide_month_is_said_with_its_difference(deliveries: Deliveries) -> None:
    at = datetime.now(UTC) - timedelta(seconds=30)
    deliveries.publish_moves(revised(MAY, 10), known_from=at)
    built = marts.build()
    assert built.state == "published" and built.left_out == ()
    found = figures()
    for name, difference in (
        ("social_change_to_september_2024", 10),
        ("in_to_september_2024", 10),
        ("out_to_september_2024", 0),
        ("CY2023", 0),
    ):
        row = found[name]
        assert (row["difference"], row["figure_status"]) == (
            difference,
            "revised" if difference else "met",
        ), name
    row = found["social_change_to_september_2024"]
    assert row["revised_at"] == at and row["value_status"] == "revised"
    assert "改定済み（公表値 -2161、現在の値 -2151、差 +10）" in row["note_ja"]
    assert incidents(deliveries.connection) == []

    # Taken back by the source: met again.
    deliveries.publish_moves(revised(MAY, 0), known_from=at + timedelta(seconds=10))
    marts.build()
    assert figures()["social_change_to_september_2024"]["figure_status"] == "met"


def test_what_no_revision_explains_is_trouble_of_its_feed_and_is_shown(deliveries: Deliveries) -> None:
    connection = deliveries.connection
    # As if both tables had come so from the beginning.
    connection.execute(
        "update raw.estat_migration_flow_monthly set persons = persons + 10"
        " where destination_area_code = %s and origin_area_code = '46000' and period = %s",
        [KUMAMOTO, MAY],
    )
    for indicator in ("02", "04"):
        connection.execute(
            "update raw.estat_migration_monthly set persons = persons + case area_code when %s then 10 else -10 end"
            " where area_code in (%s, '46000') and indicator_code = %s and period = %s",
            [KUMAMOTO, KUMAMOTO, indicator, MAY],
        )
    assert marts.build(force=True).left_out == ()
    row = figures()["in_to_september_2024"]
    assert (row["figure_status"], row["difference"]) == ("differs", 10)
    assert set(incidents(connection)) == {
        ("published_figure_differs", MONTHLY, True),
        ("published_figure_differs", FLOW, True),  # その他, too
    }
    ((said,),) = connection.execute(
        "select summary_ja from ops.incident where feed = %s", [MONTHLY]
    ).fetchall()
    assert "2024年1–9月の転入" in said and "差 +10" in said and "seed L731" in said

    deliveries.publish_moves(revised(MAY, 0), known_from=datetime.now(UTC))
    deliveries.publish_flows(
        [flow for flow in published_flows() if flow.month == MAY], known_from=datetime.now(UTC)
    )
    marts.build()
    assert figures()["in_to_september_2024"]["figure_status"] == "met"
    assert not any(is_open for _, _, is_open in incidents(connection))
