"""The gate says what is wrong, with its place, and a delivery it refuses leaves no trace in the history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from moves_warehouse import (
    FIRST,
    FLOW,
    FLOWS,
    GOOD,
    INFLOW,
    MOVES,
    NET,
    OUTFLOW,
    ROWS,
    SECOND,
    Broken,
    Warehouse,
    later,
    plus_one,
    with_texts,
)
from typer.testing import CliRunner

from demo.estat import Fault, Simulator, Table, edits
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import load
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateAsked, GateRejected, KpiError


def rejected(warehouse: Warehouse, feed: str = MOVES) -> GateRejected:
    """Load what is served now: it must be refused and leave the history as it was."""
    before = warehouse.history(feed)
    with pytest.raises(GateRejected) as refused:
        load.run(feed)
    assert warehouse.history(feed) == before
    assert warehouse.book() == ("rejected", "rejected", "gate.rejected")
    assert "検査に合わないため受け入れませんでした（前回の値を表示したままです）" in refused.value.message_ja
    reasons = {rule.name: rule.reason_ja for rule in load.contract_of(feed).rules}
    for name, (count, examples) in warehouse.broken().items():
        assert reasons.get(name, "") in refused.value.message_ja
        assert f"→ {count:,} 件" in refused.value.message_ja
        assert all(
            f"{key}={value}" in refused.value.message_ja
            for key, value in examples[0].items()
            if value is not None
        )
    return refused.value


MEN, JAPANESE = {**INFLOW, "cat01": "1"}, {**INFLOW, "cat02": "61000"}
SAPPORO_MEN = {"tab": "04", "cat01": "0", "cat02": "60000", "area": "01000"}
WRONG: dict[str, tuple[Callable[[Table], Table], Broken]] = {
    "net is not in minus out": (
        lambda t: plus_one(t, NET),
        {"net_is_in_minus_out": 1, "prefectures_sum_to_nation": 1},
    ),
    "two errors that cancel in the sum": (
        lambda t: edits.add_persons(plus_one(t, NET), SECOND, SAPPORO_MEN, -1),
        {"net_is_in_minus_out": 2},
    ),
    "47 nets are not 0": (
        lambda t: plus_one(
            t,
            INFLOW,
            NET,
            MEN,
            {**MEN, "tab": "04"},
            JAPANESE,
            {**JAPANESE, "tab": "04"},
            {**MEN, "cat02": "61000"},
            {**MEN, "cat02": "61000", "tab": "04"},
        ),
        {"prefectures_sum_to_nation": 8},
    ),
    "men and women are not the total": (
        lambda t: plus_one(
            t, MEN, {**MEN, "tab": "04"}, {**MEN, "cat02": "61000"}, {**MEN, "cat02": "61000", "tab": "04"}
        ),
        {"prefectures_sum_to_nation": 4, "sexes_sum_to_total": 2},
    ),
    "Japanese and foreign are not all movers": (
        lambda t: plus_one(
            t,
            JAPANESE,
            {**JAPANESE, "tab": "04"},
            {**JAPANESE, "cat01": "1"},
            {**JAPANESE, "cat01": "1", "tab": "04"},
        ),
        {"prefectures_sum_to_nation": 4, "nationalities_sum_to_total": 2},
    ),
    "the outflow alone is wrong": (
        lambda t: plus_one(t, OUTFLOW),
        {
            "net_is_in_minus_out": 1,
            "prefectures_sum_to_nation": 1,
            "sexes_sum_to_total": 1,
            "nationalities_sum_to_total": 1,
        },
    ),
    "the nation's outflow and net are wrong together": (
        lambda t: edits.add_persons(
            plus_one(t, {**OUTFLOW, "area": "00000"}), SECOND, {**NET, "area": "00000"}, -1
        ),
        {
            "prefectures_sum_to_nation": 2,
            "nation_is_balanced": 1,
            "sexes_sum_to_total": 1,
            "nationalities_sum_to_total": 1,
        },
    ),
    "a prefecture is missing": (
        lambda t: edits.set_text(t, SECOND, {"area": "13000"}, None),
        {"coverage_did_not_shrink": 1},
    ),
    "an indicator is missing": (
        lambda t: edits.set_text(t, SECOND, {"tab": "04"}, None),
        {"coverage_did_not_shrink": 1},
    ),
}


def test_a_broken_identity_refuses_the_whole_delivery(
    accepted: Warehouse, estat: Simulator, subtests: pytest.Subtests
) -> None:
    for case, (edit, expected) in WRONG.items():
        with subtests.test(case):
            estat.publish(later(edit(GOOD)))
            rejected(accepted)
            assert {name: count for name, (count, _) in accepted.broken().items()} == expected


INCOMPLETE: dict[str, tuple[Callable[[Table], Table], list[Fault], Broken]] = {
    "a prefecture is missing": (
        lambda t: edits.set_text(t, SECOND, {"area": "13000"}, None),
        [],
        {"area_and_month_complete": 3, "sexes_and_nationalities_keep_coming": 9},
    ),
    "an indicator is missing": (
        lambda t: edits.set_text(t, SECOND, {"tab": "04"}, None),
        [],
        {"indicators_complete": 1, "sexes_and_nationalities_keep_coming": 9},
    ),
    "a month is missing": (
        lambda _: edits.without_month(synthetic_migration([FIRST, SECOND, "2024-03"]), SECOND),
        [],
        {"months_delivered": 1},
    ),
    "a month is announced and missing": (
        lambda _: edits.without_month(synthetic_migration([FIRST, SECOND, "2024-03"]), SECOND, listed=True),
        [],
        {"months_delivered": 1},
    ),
    "a page is replayed": (
        lambda t: t,
        [Fault("page_size", rows=ROWS), Fault("replay_page")],
        {
            "months_delivered": 1,
            "area_and_month_complete": 3,
            "cells_once": 432,
            "prefectures_sum_to_nation": 18,
        },
    ),
}


def test_a_first_delivery_with_holes_leaves_the_history_empty(
    warehouse: str, estat: Simulator, subtests: pytest.Subtests
) -> None:
    inside = Warehouse(warehouse)
    for case, (edit, faults, expected) in INCOMPLETE.items():
        with subtests.test(case):
            estat.publish(edit(GOOD))
            estat.faults[:] = faults
            with pytest.raises(GateRejected):
                load.run(MOVES)
            assert inside.book() == ("rejected", "rejected", "gate.rejected")
            assert {name: count for name, (count, _) in inside.broken().items()} == expected
            assert inside.rows("select count(*) from raw.estat_migration_monthly") == [(0,)]
    assert inside.rows("select count(*) from ops.period_digest") == [(0,)]
    estat.faults.clear()
    estat.publish(GOOD)
    assert load.run(MOVES).opened_rows == 2 * ROWS


def test_fewer_rows_than_the_source_counts_are_refused(accepted: Warehouse, estat: Simulator) -> None:
    estat.publish(later(GOOD))
    before = accepted.history()
    estat.faults.append(Fault("fewer_rows", function="getStatsData", rows=3))
    with pytest.raises(KpiError) as refused:
        load.run(MOVES)
    assert "2,592" in refused.value.message_ja
    assert accepted.history() == before
    assert accepted.book()[0] in ("rejected", "failed")


def test_a_flow_table_with_another_meaning_is_refused(
    accepted: Warehouse, estat: Simulator, subtests: pytest.Subtests
) -> None:
    assert load.run(FLOWS).opened_rows == 2 * 47 * 47 * 3
    pair = {"cat01": "43000", "cat02": "0", "area": "13000"}
    wrong: dict[str, tuple[Table, Broken]] = {
        "origin and destination change places": (
            edits.transpose(FLOW),
            {"flows_sum_to_moves": 47 * 2 * 2, "revision_is_small": 4210},
        ),
        "moves within a prefecture": (
            edits.set_text(FLOW, SECOND, {"cat01": "43000", "cat02": "1", "area": "43000"}, "7"),
            {"diagonal_is_no_number": 1},
        ),
        "one mover too many": (
            edits.add_persons(FLOW, SECOND, pair),
            {"cells_once_and_sexes_sum": 1, "flows_sum_to_moves": 2},
        ),
        "men who are not in the total": (
            edits.add_persons(FLOW, SECOND, {**pair, "cat02": "1"}),
            {"cells_once_and_sexes_sum": 1},
        ),
        "a pair is missing": (edits.set_text(FLOW, SECOND, pair, None), {"coverage_did_not_shrink": 1}),
    }
    for case, (table, expected) in wrong.items():
        with subtests.test(case):
            estat.publish(later(table))
            rejected(accepted, FLOWS)
            assert {name: count for name, (count, _) in accepted.broken().items()} == expected


def test_a_first_flow_table_without_a_pair_is_refused(accepted: Warehouse, estat: Simulator) -> None:
    pair = {"cat01": "43000", "cat02": "0", "area": "13000"}
    estat.publish(edits.set_text(FLOW, SECOND, pair, None))
    with pytest.raises(GateRejected, match="2,162"):
        load.run(FLOWS)
    assert set(accepted.broken()) == {"every_pair_complete", "flows_sum_to_moves"}


def test_the_command_line_ends_with_3_when_the_gate_refuses(accepted: Warehouse, estat: Simulator) -> None:
    estat.publish(later(plus_one(GOOD, NET)))
    ended = CliRunner().invoke(app, ["load", MOVES])
    assert ended.exit_code == 3
    assert "gate.rejected" in ended.stderr
    assert "転入超過数＝転入者数−転出者数" in ended.stderr
    assert "publish" not in ended.stdout


def test_an_unknown_mark_waits_and_the_rest_is_published(accepted: Warehouse, estat: Simulator) -> None:
    before = accepted.value("02")
    marked = later(edits.set_text(GOOD, SECOND, INFLOW, "※"))
    revised = edits.set_text(marked, SECOND, NET, "-")
    estat.publish(revised)
    held = load.run(MOVES)

    # What was a number does not become unknown by itself: both cells keep their numbers, and wait.
    assert (held.state, held.opened_rows, held.closed_rows, held.held_rows) == ("unchanged", 0, 0, 2)
    assert accepted.book() == ("unchanged", "held", None)
    assert {name: count for name, (count, _) in accepted.broken().items()} == {
        "marks_known": 1,
        "headline_is_a_number": 2,
        "number_becomes_mark": 2,
    }
    assert {row[2] for row in accepted.held()} == {
        f"0003420473 2024-02-01 {tab} 0 60000 43000 p.1" for tab in ("02", "04")
    }
    assert accepted.value("02") == before
    assert accepted.value("04") != [(None, "-")]

    # Delivered once more as it is, the rows wait once, not twice.
    again = load.run(MOVES)
    assert (again.state, again.held_rows) == ("unchanged", 2)
    assert {row[0] for row in accepted.held()} == {again.load_id}

    estat.publish(later(GOOD, 2))
    assert load.run(MOVES).held_rows == 0
    assert accepted.held() == []
    assert {row[0] for row in accepted.held("superseded")} == {held.load_id, again.load_id}


def test_movers_below_zero_wait_in_a_first_delivery(warehouse: str, estat: Simulator) -> None:
    okinawa = {"tab": "02", "cat01": "1", "cat02": "62000", "area": "47000"}
    outflow = GOOD.value(SECOND, "03", "1", "62000", "47000")
    hidden = [
        ({**okinawa, "cat01": "0"}, "X"),
        ({**okinawa, "cat02": "61000"}, "X"),
        ({**okinawa, "area": "01000", "tab": "04"}, "X"),
        ({**okinawa, "area": "01000", "tab": "02"}, "X"),
    ]
    negative = [(okinawa, "-5"), ({**okinawa, "tab": "04"}, str(-5 - int(outflow or 0)))]
    estat.publish(with_texts(GOOD, SECOND, *hidden, *negative))
    inside = Warehouse(warehouse)

    held = load.run(MOVES)
    assert (held.opened_rows, held.held_rows) == (2 * ROWS - 1, 1)
    assert inside.held() == [
        (held.load_id, "movers_not_negative", "0003420473 2024-02-01 02 1 62000 47000 p.1", None, "-5")
    ]
    assert inside.rows("select period::text from ops.period_digest") == [("2024-01-01",)]

    estat.publish(later(GOOD))
    good = load.run(MOVES)
    assert (good.opened_rows, good.closed_rows) == (6, 5)
    assert inside.held() == []


def test_marks_are_kept_beside_an_empty_value(warehouse: str, estat: Simulator) -> None:
    cells = [
        ({"tab": "02", "cat01": "2", "cat02": "62000", "area": area}, mark)
        for area, mark in (("32000", "-"), ("36000", "***"), ("39000", "X"), ("47000", "…"))
    ]
    estat.publish(with_texts(GOOD, SECOND, *cells))
    published = load.run(MOVES)
    inside = Warehouse(warehouse)
    assert (published.opened_rows, inside.book()) == (2 * ROWS, ("published", "passed", None))
    assert inside.rows(
        "select area_code, persons, persons_mark from raw.estat_migration_monthly"
        " where persons_mark is not null or persons is null order by area_code"
    ) == [("32000", None, "-"), ("36000", None, "***"), ("39000", None, "X"), ("47000", None, "…")]


def test_a_headline_that_is_no_number_is_published_and_flagged(warehouse: str, estat: Simulator) -> None:
    estat.publish(with_texts(GOOD, SECOND, (INFLOW, "X")))
    assert load.run(MOVES).opened_rows == 2 * ROWS
    inside = Warehouse(warehouse)
    assert inside.book() == ("published", "flagged", None)
    count, examples = inside.broken()["headline_is_a_number"]
    assert (count, examples[0]["indicator_code"], examples[0]["persons_mark"]) == (1, "02", "X")


def test_a_month_unlike_any_other_is_asked_about(warehouse: str, estat: Simulator) -> None:
    months = [f"2024-{month:02}" for month in range(1, 13)]
    estat.publish(synthetic_migration(months))
    load.run(MOVES)
    # March once more, as next January: every identity holds.
    crowded = synthetic_migration([*months, "2025-01"])
    busy = synthetic_migration(["2024-03"]).months["2024000303"]
    estat.publish(replace(crowded, months={**crowded.months, "2025000101": busy}))
    with pytest.raises(GateAsked):
        load.run(MOVES)
    inside = Warehouse(warehouse)
    assert {"same_as_other_month", "scaled_copy_of_other_month", "nation_like_the_year_before"} <= set(
        inside.broken()
    )
    assert inside.rows("select count(*) from raw.estat_migration_monthly") == [(12 * ROWS,)]
