"""An inbox that divisions drop files into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from division_files import Drop

from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import receive_all


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
