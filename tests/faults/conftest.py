"""Folders and embedded servers, gone when the test ends."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_servers import NewServer

from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer


def folder_with(mode: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kpi-test-", dir="/tmp"))
    folder.chmod(mode)
    yield folder
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to the server's user when we are root."""
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
