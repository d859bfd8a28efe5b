"""Two loads of one feed at once, and a server that stops under a load: history ends whole, and the loser says why."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import psycopg
import pytest
from embedded_servers import NewServer

from demo.estat import Fault, Simulator
from demo.estat.synthetic import synthetic_migration
from kpi_warehouse import load
from kpi_warehouse.errors import KpiError, LoadConflict, StorageFailed
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import migrate
from kpi_warehouse.warehouse.server import EmbeddedServer

FEED = "estat_migration_monthly"
TABLE = synthetic_migration(["2024-01", "2024-02"])


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def current(url: str) -> set[tuple[object, ...]]:
    """The accepted cells; none of them twice."""
    found = rows(
        url,
        "select period, indicator_code, sex_code, nationality_code, area_code, persons"
        f" from raw.{FEED} where known_to = 'infinity'",
    )
    assert len(found) == len(set(found)) > 0
    return set(found)


@pytest.fixture
def estat(use_estat: Callable[[Simulator], None]) -> Iterator[Simulator]:
    with Simulator([TABLE]) as simulator:
        use_estat(simulator)
        yield simulator


@pytest.mark.parametrize("first", ["either", "older", "newer"])
def test_two_loads_of_one_feed_at_once_publish_its_rows_once(
    first: str, warehouse: str, estat: Simulator
) -> None:
    together, published_first = Barrier(2), Event()

    def all_verbs(_: int) -> load.Published:
        load_id = load.fetch(FEED).load_id
        load.stage(load_id)
        load.gate(load_id)
        together.wait(60)  # both have passed the gate on an empty history
        if (first, load_id) in (("older", 2), ("newer", 1)):
            published_first.wait(60)
        try:
            return load.publish(load_id)
        finally:
            published_first.set()

    with ThreadPoolExecutor(2) as pool:
        published = list(pool.map(all_verbs, range(2)))

    opened = sorted(one.opened_rows for one in published)
    assert opened[0] == 0 < opened[1] == len(current(warehouse))
    assert {one.state for one in published} <= {"published", "unchanged", "superseded"}
    assert rows(warehouse, f"select count(*) from raw.{FEED} where known_to < 'infinity'") == [(0,)]
    assert rows(warehouse, "select count(*) from pg_tables where schemaname = 'stage'") == [(0,)]


def test_one_load_is_never_worked_on_by_two(warehouse: str, estat: Simulator) -> None:
    load_id = load.fetch(FEED).load_id
    with psycopg.connect(warehouse) as other:
        other.execute("select pg_advisory_lock(%s, %s)", [0x4B5049, load_id])
        with pytest.raises(LoadConflict) as refused:
            load.stage(load_id)
    assert refused.value.code == "load.busy" and refused.value.retryable
    load.stage(load_id)
    load.gate(load_id)
    assert load.publish(load_id).state == "published"


@pytest.fixture
def own_server(
    home: Path, new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedServer]:
    """A server of the test's own, which it may stop, with an empty warehouse."""
    server = new_server(home)
    server.start()
    monkeypatch.setenv("KPI_HOME", str(home))
    monkeypatch.delenv("KPI_DATABASE_URL", raising=False)
    settings.cache_clear()
    migrate()
    yield server
    settings.cache_clear()


def test_a_server_that_stops_under_a_load_is_named_and_the_load_ends_whole_when_it_is_back(
    own_server: EmbeddedServer, estat: Simulator
) -> None:
    estat.faults.append(Fault("hang", function="getStatsData", seconds=4, times=1))
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(load.fetch, FEED, run_ref="run")
        asked = len(estat.requests)
        while not any("getStatsData" in str(request) for request in estat.requests[asked:]):
            assert not fetching.done()
        own_server.stop()
        with pytest.raises(StorageFailed) as lost:
            fetching.result(60)
    assert lost.value.retryable and "何も公表していません" in lost.value.message_ja

    own_server.start()
    load_id = load.fetch(FEED, run_ref="run").load_id
    load.stage(load_id)
    running = own_server.running()
    assert running is not None
    os.kill(running.pid, signal.SIGQUIT)  # a crash: what is unlogged is empty afterwards
    while own_server.running() is not None:
        time.sleep(0.05)
    with pytest.raises(KpiError):
        load.gate(load_id)

    url = own_server.start().url()
    load.gate(load_id)
    published = load.publish(load_id)
    assert (published.state, published.opened_rows) == ("published", len(current(url)))
    assert rows(url, "select count(*) from ops.load") == [(1,)]
