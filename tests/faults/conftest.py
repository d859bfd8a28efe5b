"""Folders and embedded servers, gone when the test ends."""

from __future__ import annotations

import stat
import subprocess
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
def empty_home(open_folder: Path) -> Path:
    """A `KPI_HOME` that is still to be made."""
    return open_folder / "var"


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """A `KPI_HOME` whose server was started once and stopped, to copy: making a database takes a second."""
    with a_folder() as made:
        server = EmbeddedServer(Settings(home=made / "var"))
        server.start()
        server.stop()
        yield made / "var"
        server.remove()


@pytest.fixture
def home(made_home: Path, empty_home: Path) -> Path:
    """A `KPI_HOME` whose server was started once and stopped."""
    subprocess.run(["cp", "-a", made_home, empty_home], check=True)
    return empty_home


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
