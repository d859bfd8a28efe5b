"""A publication that is taken back: what was known before is current again, and what was published meanwhile stays in history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from asked_feeds import (
    BASE,
    FIRST,
    MOVES,
    SECOND,
    THIRD,
    UNUSUAL,
    USUAL,
    current,
    rows,
    served,
    states,
    with_rules,
)
from division_files import Drop, demo
from typer.testing import CliRunner

from demo.estat import Simulator, Table, edits
from demo.estat.tables import time_code
from kpi_warehouse import holds, load
from kpi_warehouse.alerts.incidents import find, incidents, notifications
from kpi_warehouse.alerts.messages import message_of
from kpi_warehouse.cli import app
from kpi_warehouse.decisions import questions, undo
from kpi_warehouse.errors import ContractError, GateAsked, KpiError, StorageFailed
from kpi_warehouse.rebuild.from_landing import rebuild
from kpi_warehouse.warehouse.connection import connect

AS_OF = f"""select md5(string_agg(md5(to_jsonb(r) - 'known_from' - 'known_to' - 'load_id' #>> '{{}}'), '' order by
    period, indicator_code, sex_code, nationality_code, area_code)) from raw.{MOVES} as r
    where known_from <= %s and known_to > %s"""


@pytest.fixture
def estat(
    warehouse: str, use_estat: Callable[[Simulator], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    """A warehouse that knows two months; the numbers mean nothing, so no rule asks whether they are plausible."""
    with Simulator([BASE]) as simulator:
        use_estat(simulator)
        with_rules(tmp_path, monkeypatch, MOVES)
        load.run(MOVES)
        yield simulator


def known_at(url: str, instant: object) -> object:
    """All that was known at an instant, as one digest."""
    return rows(url, AS_OF, instant, instant)[0][0]


def now(url: str) -> object:
    return rows(url, "select clock_timestamp()")[0][0]


def later(table: Table, days: int) -> Table:
    return replace(table, updated_on=table.updated_on + timedelta(days=days))


def test_what_was_known_before_is_current_again_and_the_span_between_stays(
    warehouse: str, estat: Simulator
) -> None:
    before = now(warehouse)
    # A month that is new, and a revision of one that was known.
    revised = replace(UNUSUAL, months={**UNUSUAL.months, time_code(SECOND): UNUSUAL.months[time_code(FIRST)]})
    estat.publish(later(revised, 1))
    assert load.run(MOVES).state == "published"
    meanwhile = now(warehouse)
    counted = rows(warehouse, f"select count(*) from raw.{MOVES}")[0][0]

    ended = CliRunner().invoke(app, ["load", "undo", "2", "--reason", "別の月の再送だった", "--no-build"])
    assert ended.exit_code == 0, ended.output
    assert states(warehouse)[1] == (2, "undone", "passed")
    assert known_at(warehouse, now(warehouse)) == known_at(warehouse, before)
    assert known_at(warehouse, meanwhile) != known_at(warehouse, before)
    assert current(warehouse, SECOND) == [(served(BASE, SECOND),)] and current(warehouse, THIRD) == []
    # Rows that came back say where they came from, and nothing was taken away.
    assert rows(warehouse, f"select distinct load_id from raw.{MOVES} where known_to = 'infinity'") == [(1,)]
    closed, restored = rows(warehouse, "select closed_rows, restored_rows from ops.undo")[0]
    assert rows(warehouse, f"select count(*) from raw.{MOVES}")[0][0] == counted + restored
    assert closed > restored > 0
    assert rows(
        warehouse,
        "select count(*) from (select known_from, lead(known_from) over (partition by period, indicator_code, sex_code,"
        f" nationality_code, area_code order by known_from) as next, known_to from raw.{MOVES}) as r where next < known_to",
    ) == [(0,)], "of no cell two rows are known at once"

    # The history table made again from landing is the same, to the row and the instant.
    assert rebuild(MOVES).state == "equal"

    (incident,) = incidents()
    assert (incident.cause, incident.severity) == ("undone", "要対応")
    assert "別の月の再送だった" in incident.summary_ja
    again = CliRunner().invoke(app, ["load", "undo", "2", "--reason", "もう一度", "--no-build"])
    assert again.exit_code == 0 and "すでに" in again.output
    assert len(notifications(incident.incident_id)) == 1


def test_the_same_content_again_is_a_question_and_a_good_one_ends_the_incident(
    warehouse: str, estat: Simulator
) -> None:
    estat.publish(UNUSUAL)
    load.run(MOVES)
    undo.undo(2, "総務省が取り下げた")
    with pytest.raises(GateAsked, match="取込番号 2 とまったく同じ内容"):
        load.run(MOVES)
    assert current(warehouse, THIRD) == []
    assert questions.release(3, "総務省に確認。取下げは撤回").published.state == "published"
    assert current(warehouse, THIRD) == [(served(UNUSUAL, THIRD),)]
    assert incidents() == []
    # Released after it was taken back, the content asks no more; taken back again, it does.
    undo.undo(3, "やはり誤り")
    assert current(warehouse, THIRD) == []
    assert rebuild(MOVES).state == "equal"
    with pytest.raises(GateAsked):
        load.run(MOVES)
    estat.publish(later(USUAL, 2))
    assert load.run(MOVES).state == "published"
    assert incidents() == [] and current(warehouse, THIRD) == [(served(USUAL, THIRD),)]


def test_the_first_load_ever_is_taken_back(warehouse: str, estat: Simulator) -> None:
    undo.undo(1, "別の表だった")
    assert rows(warehouse, f"select count(*) from raw.{MOVES} where known_to = 'infinity'") == [(0,)]
    assert rows(warehouse, "select count(*) from ops.period_digest") == [(0,)]
    estat.publish(later(replace(USUAL, months={time_code(FIRST): USUAL.months[time_code(FIRST)]}), 1))
    with pytest.raises(GateAsked):
        load.run(MOVES)
    estat.publish(later(USUAL, 2))
    with pytest.raises(GateAsked):
        load.run(MOVES)
    assert questions.release(3, "正しい表と確認").published.state == "published"
    assert current(warehouse, FIRST) == [(served(USUAL, FIRST),)]


def test_loads_are_taken_back_from_the_newest_on(warehouse: str, estat: Simulator) -> None:
    cells = {"cat01": "0", "cat02": "60000"}
    estat.publish(UNUSUAL)
    load.run(MOVES)
    # A part of what the second load brought is revised: all cells of one area, which no rule adds up here.
    partly = edits.set_text(UNUSUAL, THIRD, {**cells, "area": "43100"}, "1")
    whole = replace(partly, months={**partly.months, time_code(THIRD): UNUSUAL.months[time_code(SECOND)]})
    estat.publish(later(whole, 1))
    assert load.run(MOVES).closed_rows > 0
    still = rows(warehouse, f"select count(*) from raw.{MOVES} where known_to = 'infinity' and load_id = 2")[
        0
    ][0]
    with pytest.raises(KpiError) as refused:
        undo.undo(2, "誤り")
    assert refused.value.code == ("undo.partly_replaced" if still else "undo.replaced")
    assert "取込番号 3" in refused.value.message_ja and (
        not still or "kpi load undo 3" in refused.value.message_ja
    )
    undo.undo(3, "誤り")
    assert current(warehouse, THIRD) == [(served(UNUSUAL, THIRD),)]
    undo.undo(2, "誤り")
    assert current(warehouse, THIRD) == []
    estat.publish(later(BASE, 5))
    unchanged = load.run(MOVES)
    with pytest.raises(KpiError, match="公表していません"):
        undo.undo(unchanged.load_id, "誤り")


def test_an_undo_that_fails_on_the_way_has_not_happened(
    warehouse: str, estat: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    estat.publish(UNUSUAL)
    load.run(MOVES)
    before = known_at(warehouse, now(warehouse))

    def full(*_: object, **__: object) -> None:
        raise psycopg.errors.DiskFull("no space")

    with monkeypatch.context() as patched:
        patched.setattr(undo, "_write_down", full)
        with pytest.raises(StorageFailed):
            undo.undo(2, "誤り")
    assert states(warehouse)[1] == (2, "published", "passed")
    assert known_at(warehouse, now(warehouse)) == before and incidents() == []

    def one(_: int) -> bool | str:
        try:
            return undo.undo(2, "誤り").is_new
        except KpiError as error:
            return error.code

    with ThreadPoolExecutor(2) as both:
        assert list(both.map(one, range(2))).count(True) == 1
    assert rows(warehouse, "select count(*) from ops.undo") == [(1,)]


def test_a_load_under_way_is_judged_again(warehouse: str, estat: Simulator) -> None:
    """What it brings unchanged was unchanged against what is taken back now."""
    estat.publish(UNUSUAL)
    load.run(MOVES)
    new = replace(UNUSUAL, months={**UNUSUAL.months, time_code(SECOND): UNUSUAL.months[time_code(FIRST)]})
    estat.publish(later(new, 1))
    fetched = load.fetch(MOVES)
    load.stage(fetched.load_id)
    assert load.gate(fetched.load_id).outcome == "passed"
    undo.undo(2, "3月分は誤り")
    with pytest.raises(GateAsked, match="取込番号 2 とまったく同じ内容"):
        load.publish(fetched.load_id)
    assert current(warehouse, THIRD) == []


def test_a_file_that_was_taken_back_is_taken_again_when_it_is_handed_in(
    warehouse: str, estat: Simulator, drop: Drop
) -> None:
    name = demo("伴走型").name
    drop(demo("伴走型"), name)
    published = load.run("company_support")
    assert published.state == "published"
    undo.undo(published.load_id, "前年度のファイルだった")
    assert rows(warehouse, "select count(*) from raw.company_support where known_to = 'infinity'") == [(0,)]
    assert rows(warehouse, "select state from ops.delivery") == [("undone",)]
    (incident,) = incidents()
    with connect() as connection:
        (notice,) = notifications(incident.incident_id)
        told = message_of(connection, find(connection, incident.incident_id), notice)
    assert told.subject.startswith("【KPI公表の取消し／要対応】")
    assert "前年度のファイルだった" in told.body and "変わったKPI" in told.body
    ended = CliRunner().invoke(app, ["load", "company_support", "--file", str(demo("伴走型"))])
    assert ended.exit_code == 3, ended.output
    assert "前年度のファイルだった" in ended.output
    assert rows(warehouse, "select state from ops.delivery order by delivery_id desc limit 1") == [("asked",)]
    again = CliRunner().invoke(app, ["load", "company_support", "--file", str(demo("伴走型"))])
    assert again.exit_code == 3 and len(incidents()) == 2, again.output
    (question,) = questions.open_questions()
    assert questions.release(question.load_id, "このファイルで正しい").published.opened_rows > 0
    assert rows(warehouse, "select state from ops.delivery order by delivery_id desc limit 1") == [
        ("loaded",)
    ]
    assert incidents() == []


def test_rows_of_it_that_wait_or_were_released_go_with_it(warehouse: str, estat: Simulator) -> None:
    inflow = {"tab": "02", "cat01": "0", "cat02": "60000", "area": "43000"}
    marked = edits.set_text(UNUSUAL, THIRD, inflow, "※")
    estat.publish(marked)
    published = load.run(MOVES)
    waiting = holds.held_rows(MOVES)
    assert published.held_rows == len(waiting) == 1
    undo.undo(2, "記号のまま公表すべきでない")
    assert holds.held_rows() == [] and current(warehouse, THIRD) == []
    with pytest.raises(KpiError):
        holds.release(waiting[0].held_id, "確認済み")


def test_a_feed_is_not_named_like_the_command(tmp_path: Path, warehouse: str) -> None:
    from kpi_warehouse.contract import load_contract
    from kpi_warehouse.settings import settings

    path = tmp_path / "undo.odcs.yaml"
    text = (settings().contracts / "expo.odcs.yaml").read_text("utf-8")
    path.write_text(text.replace("id: expo\n", "id: undo\n", 1), "utf-8")
    with pytest.raises(ContractError, match="undo"):
        load_contract(path)
    for arguments in (
        ["load", "undo", "1"],
        ["load", "undo", "--reason", "x"],
        ["load", MOVES, "--reason", "x"],
    ):
        assert CliRunner().invoke(app, arguments).exit_code == 2
