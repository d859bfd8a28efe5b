"""The e-Stat client as the tests use it: no pace, no pauses, and a simulator that is told what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from estat_pages import KEY
from scripted_server import Act, scripted

from demo.estat import Fault, Simulator, Table, published
from demo.estat.tables import KUMAMOTO, MOVES
from kpi_warehouse.errors import KpiError
from kpi_warehouse.sources.estat import DataQuery, EstatClient, Page

KUMAMOTO_ROWS = 258
HERE = DataQuery(MOVES, {"area": [KUMAMOTO]})
ONE = DataQuery("0000000001", {"time": ["2024000909"]})
Told = Callable[..., AbstractContextManager[Simulator]]


def client(url: str, slept: list[float] | None = None, **options: Any) -> EstatClient:
    naps = slept if slept is not None else []
    settings: dict[str, Any] = {"requests_per_second": 0, "sleep": naps.append}
    return EstatClient(url, KEY, **(settings | options))


def pull(reader: EstatClient, query: DataQuery = HERE) -> list[Page]:
    """Every page of the version that was read last."""
    kept: list[Page] = []
    for got in reader.pages(query, on_restart=kept.clear):
        kept.append(got)
    return kept


def cells(pages: list[Page]) -> list[dict[str, str]]:
    found = []
    for got in pages:
        value = json.loads(got.text())["GET_STATS_DATA"]["STATISTICAL_DATA"]["DATA_INF"]["VALUE"]
        found += value if isinstance(value, list) else [value]
    return found


def refused(*acts: Act, **options: Any) -> tuple[KpiError, int]:
    """The error after these answers, and how many requests it took."""
    with scripted(*acts) as (url, received), pytest.raises(KpiError) as raised:
        pull(client(url, attempts=2, **options), ONE)
    return raised.value, len(received)


def telling(sim: Simulator) -> Told:
    """A running simulator to be used by one test after another: `with told(faults…, table=…) as sim`."""

    @contextmanager
    def told(*faults: Fault, table: Table | None = None) -> Iterator[Simulator]:
        sim.publish(table or published.moves())
        sim.requests.clear()
        sim.faults[:] = faults
        yield sim

    return told
