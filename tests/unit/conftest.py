"""A simulator and a warehouse with the two sound months, for the tests of the gate and of what it never sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from moves_warehouse import FLOW, GOOD, MOVES, ROWS, Warehouse

from demo.estat import Simulator
from kpi_warehouse import load


@pytest.fixture
def estat(use_estat: Callable[[Simulator], None]) -> Iterator[Simulator]:
    """A simulator that serves two sound months of both tables."""
    with Simulator([GOOD, FLOW]) as simulator:
        use_estat(simulator)
        yield simulator


@pytest.fixture
def accepted(warehouse: str, estat: Simulator) -> Warehouse:
    """A warehouse that has accepted the two sound months."""
    assert load.run(MOVES).opened_rows == 2 * ROWS
    return Warehouse(warehouse)
