"""An inbox that divisions drop files into, and a home in which `run` was given."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from division_files import Drop
from stack_home import Book, Ended, Home, book, soon

from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import receive_all
from tests.places import folder


@pytest.fixture
def drop(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> Drop:
    """Put a file into the inbox, as a division does, and let it be received."""
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.05")
    settings.cache_clear()
    inbox = settings().home / "inbox"
    inbox.mkdir(parents=True)

    def into_inbox(file: Path, name: str = "") -> None:
        shutil.copyfile(file, inbox / (name or file.name))
        receive_all(wait=True)

    return into_inbox


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    with folder() as place:
        home = Home(place / "home")
        home.path.mkdir()
        (home.path / "somebody.txt").write_text("not the project's", encoding="utf-8")
        yield home
        home.command("clean")


@pytest.fixture(scope="session")
def first(home: Home) -> tuple[Ended, Ended, Book]:
    """`run` from nothing, a second `run` beside it, and what the warehouse holds afterwards."""
    process = home.begin("run")
    soon(lambda: (home.path / "stack-secrets.json").exists() or process.poll() is not None)
    beside = home.command("run")
    ended = home.watch(process)
    assert home.parts() == []
    with home.database():
        return ended, beside, book(home)
