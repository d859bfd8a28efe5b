"""kill -9 at any instruction of a verb: done again it ends where an undisturbed load ends, and nobody ever sees half."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import psycopg
import pytest

from demo.estat import Fault, Simulator, Table, edits
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import load
from kpi_warehouse.errors import GateRejected, KpiError, LoadConflict
from kpi_warehouse.gate.verdict import Verdict
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.landing import Landing

FEED = "estat_migration_monthly"
FIRST = synthetic_migration(["2024-01", "2024-02"])
GROWN = edits.revise_month(synthetic_migration(["2024-01", "2024-02", "2024-03"]), "2024-02")
SECOND = replace(GROWN, updated_on=GROWN.updated_on + timedelta(days=1))
WAIT = 15.0
Cells = set[tuple[object, ...]]
FORK = get_context("fork")


def delivered(table: Table) -> Cells:
    """The cells of a table that the contract asks for."""
    areas = load.contract_of(FEED).axes[-1].codes
    return {
        (f"{time[:4]}-{time[-2:]}-01", *codes, int(text or ""))
        for time, texts in table.months.items()
        for codes, text in zip(table.cells, texts, strict=True)
        if codes[0] != "01" and codes[3] in areas
    }


def history(url: str, condition: str = "known_to = 'infinity'") -> list[tuple[Any, ...]]:
    query = (
        "select period::text, indicator_code, sex_code, nationality_code, area_code, persons"
        f" from raw.{FEED} where {condition}"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def number(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(call: int, verb: Callable[[], object]) -> None:
    """Run the verb and die before the given call to database or landing, counted from 1."""
    seen = 0

    def count(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == call:
                die()
            return original(*arguments, **options)

        setattr(owner, name, counted)

    for owner, name in (
        (psycopg.Connection, "execute"),
        (psycopg.Connection, "commit"),
        (psycopg.Cursor, "executemany"),
        (psycopg.Cursor, "copy"),
        (psycopg.Copy, "write"),
        (Landing, "put"),
        (Landing, "get"),
    ):
        count(owner, name)
    verb()
    os._exit(0)


def was_killed(target: Callable[..., object], *arguments: object, after: float | None = None) -> bool:
    """Run in a process of its own, killed from outside `after` seconds if given; whether it was killed."""
    child = FORK.Process(target=target, args=arguments)
    child.start()
    if after is not None:
        time.sleep(after)
        child.kill()
    child.join(60)
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def again(verb: Callable[[], Any]) -> Any:
    """Do it again as a retried task does: the server needs a moment to see that a client died."""
    until = time.monotonic() + WAIT
    while True:
        try:
            return verb()
        except LoadConflict:
            assert time.monotonic() < until
            time.sleep(0.05)


def fetch() -> int:
    return load.fetch(FEED, run_ref="run").load_id


VERBS: dict[str, Callable[[int], object]] = {
    "fetch": lambda _: fetch(),
    "stage": load.stage,
    "gate": load.gate,
    "publish": load.publish,
}
# A gate costs most, so it dies at fewer places.
PLACES = {
    "fetch": range(1, 60, 3),
    "stage": range(1, 60, 2),
    "gate": (1, 3, 5, 8, 13, 18, 21, 23, 25, 27, 29, 31, 34, 55),
    "publish": range(1, 60, 2),
}


@pytest.fixture
def loaded(warehouse: str, use_estat: Callable[[Simulator], None]) -> Iterator[str]:
    """A warehouse with the first version accepted, while the source serves the second."""
    with Simulator([FIRST]) as estat:
        use_estat(estat)
        load.run(FEED)
        estat.publish(SECOND)
        yield warehouse


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_statement_is_done_again(verb: str, loaded: str) -> None:
    before, after = delivered(FIRST), delivered(SECOND)
    order = list(VERBS)
    at = order.index(verb)
    load_id = 0 if verb == "fetch" else fetch()
    for name in order[1:at]:
        VERBS[name](load_id)

    kills = 0
    for call in PLACES[verb]:
        if not was_killed(dying_at, call, lambda: again(lambda: VERBS[verb](load_id))):
            break
        kills += 1
        current = history(loaded)
        assert len(current) == len(set(current))
        assert set(current) in ([before, after] if verb == "publish" else [before])
    assert kills >= 5

    load_id = again(fetch) if verb == "fetch" else load_id
    for name in order[max(at, 1) :]:
        again(lambda name=name: VERBS[name](load_id))  # type: ignore[misc]
    check_whole(loaded, load_id)


def check_whole(url: str, load_id: int) -> None:
    """History is what two undisturbed loads make of it."""
    before, after = delivered(FIRST), delivered(SECOND)
    current = history(url)
    assert len(current) == len(after)
    assert set(current) == after
    closed = history(url, "known_to < 'infinity'")
    assert len(closed) == len(before - after)
    assert set(closed) == before - after
    with psycopg.connect(url) as connection:
        book = connection.execute(
            "select state, verdict, opened_rows, closed_rows, staged_rows = declared_rows from ops.load where load_id = %s",
            [load_id],
        ).fetchone()
    assert book == ("published", "passed", len(after - before), len(before - after), True)
    assert number(url, "select count(*) from pg_tables where schemaname = 'stage'") == 0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_loads_killed_at_random_moments_end_whole(seed: int, loaded: str) -> None:
    chance = random.Random(seed)
    before, after = delivered(FIRST), delivered(SECOND)

    def whole_load() -> None:
        load_id = again(fetch)
        for name in ("stage", "gate", "publish"):
            again(lambda name=name: VERBS[name](load_id))  # type: ignore[misc]
        os._exit(0)

    for _ in range(4):
        killed = was_killed(whole_load, after=chance.uniform(0.02, 0.6))
        assert (
            set(history(loaded)) in ([before] if killed else [before, after]) or set(history(loaded)) == after
        )
    load_id = again(fetch)
    with psycopg.connect(loaded) as connection:
        state = connection.execute("select state from ops.load where load_id = %s", [load_id]).fetchone()
    if state == ("fetched",):
        for name in ("stage", "gate", "publish"):
            again(lambda name=name: VERBS[name](load_id))  # type: ignore[misc]
        check_whole(loaded, load_id)
    assert set(history(loaded)) == after


def test_workers_of_a_killed_stage_die_with_it(
    loaded: str, monkeypatch: pytest.MonkeyPatch, use_estat: Callable[[Simulator], None]
) -> None:
    with Simulator([SECOND], faults=[Fault("page_size", rows=500)]) as estat:
        use_estat(estat)
        load_id = fetch()
    monkeypatch.setenv("KPI_STAGE_PROCESSES", "2")
    settings.cache_clear()
    get = Landing.get

    def slowly(landing: Landing, sha256: str) -> bytes:
        time.sleep(0.2)
        return get(landing, sha256)

    def stage_slowly() -> None:
        Landing.get = slowly  # type: ignore[method-assign]
        load.stage(load_id)

    assert was_killed(stage_slowly, after=0.7)
    assert again(lambda: load.stage(load_id)) == len(delivered(SECOND))
    load.gate(load_id)
    load.publish(load_id)
    check_whole(loaded, load_id)


def test_a_gate_killed_as_it_refuses_has_refused(
    warehouse: str, use_estat: Callable[[Simulator], None]
) -> None:
    net = {"tab": "04", "cat01": "0", "cat02": "60000", "area": "43000"}
    with Simulator([edits.add_persons(FIRST, "2024-02", net)]) as estat:
        use_estat(estat)
        load_id = fetch()
    load.stage(load_id)

    def refuse() -> None:
        Verdict.rejection_ja = lambda *_: die()  # type: ignore[assignment]
        load.gate(load_id)

    assert was_killed(refuse)
    with pytest.raises(KpiError) as refused:
        again(lambda: load.publish(load_id))
    assert refused.value.code == "load.not_gated"
    assert history(warehouse, "true") == []
    with pytest.raises(GateRejected):
        load.gate(load_id)


def test_a_gate_killed_while_it_judges_anew_takes_its_first_verdict_back(
    warehouse: str, use_estat: Callable[[Simulator], None]
) -> None:
    inflow = {"tab": "02", "cat01": "0", "cat02": "60000", "area": "43000"}
    with Simulator([edits.set_text(FIRST, "2024-02", inflow, "※")]) as estat:
        use_estat(estat)
        load_id = fetch()
    load.stage(load_id)
    assert load.gate(load_id).outcome == "held"

    def judge_again() -> None:
        load.judge = lambda *_, **__: die()  # type: ignore[assignment]
        load.gate(load_id)

    assert was_killed(judge_again)
    with pytest.raises(KpiError) as refused:
        again(lambda: load.publish(load_id))
    assert refused.value.code == "load.not_gated"
    load.gate(load_id)
    assert load.publish(load_id).held_rows == 1
    assert not [row for row in history(warehouse) if row[-1] is None]
