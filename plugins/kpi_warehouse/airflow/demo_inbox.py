"""The demo's divisions: without an e-Stat key, their files lie in the inbox as if they had been handed in.

One of them has an error (a digit lost). It is sent back, and then its corrected version is dropped, as a division would.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kpi_warehouse.settings import settings


def inbox_folder() -> Path | None:
    """The default inbox; None when another place is configured, into which the demo puts nothing."""
    if settings().inbox:
        return None
    return Path(unquote(urlsplit(settings().inbox_url).path))


def drop_demo_files() -> None:
    """Put the demo's files into the default inbox, those that are not there yet."""
    folder = inbox_folder()
    if folder is not None:
        for file in _files():
            _drop(file, folder)


def drop_corrected(feed_files: tuple[str, ...]) -> str | None:
    """Drop the corrected version of a file whose name fits one of these globs; its name, or None when there is none."""
    folder = inbox_folder()
    for file in sorted((_demo() / "corrected").iterdir()):
        if folder is not None and any(file.match(glob) for glob in feed_files) and _drop(file, folder):
            return file.name
    return None


def remove_demo_files() -> None:
    """Take back what the demo dropped; whatever else lies in the inbox stays."""
    folder = inbox_folder()
    if folder is None or not folder.exists():
        return
    for file in (*_files(), *(_demo() / "corrected").iterdir()):
        dropped = folder / file.name
        if dropped.exists() and dropped.read_bytes() == file.read_bytes():
            dropped.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _demo() -> Path:
    return settings().project / "demo/inbox"


def _files() -> list[Path]:
    return sorted(file for file in _demo().iterdir() if file.is_file())


def _drop(file: Path, folder: Path) -> bool:
    """Copy whole or not at all, under another name first; whether it was not there before."""
    target = folder / file.name
    if target.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{file.name}.part"
    shutil.copyfile(file, temporary)
    temporary.replace(target)
    return True
