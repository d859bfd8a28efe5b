"""Folders and embedded servers, gone when the test ends."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_servers import NewServer

from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer
from tests.places import folder as a_folder


def folder_with(mode: int) -> Iterator[Path]:
    with a_folder(mode) as made:
        yield made
        assert stat.S_IMODE(made.stat().st_mode) == mode


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    yield from folder_with(0o755)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that only we may enter."""
    yield from folder_with(0o700)


@pytest.fixture(params=[0o755, 0o700], ids=["open", "closed"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Once a folder that every user may enter, once one that only we may."""
    yield from folder_with(request.param)


@pytest.fixture
def home(open_folder: Path) -> Path:
    return open_folder / "var"


@pytest.fixture
def new_server() -> Iterator[NewServer]:
    """Makes servers, and removes them in the end."""
    made: list[EmbeddedServer] = []

    def new(home: Path, **settings: object) -> EmbeddedServer:
        made.append(EmbeddedServer(Settings.model_validate({"home": home, **settings})))
        return made[-1]

    yield new
    for server in made:
        server.remove()
