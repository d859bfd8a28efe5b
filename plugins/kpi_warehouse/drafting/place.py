"""Where drafts live: in `drafts/` beside the contracts until they check, then among the contracts with the status `draft`.

Nothing looks into `drafts/`: neither feeds nor checks nor the watcher of the inbox. What lies there may hold cells of a sample, so
git does not take it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kpi_warehouse.contract import load_contract
from kpi_warehouse.errors import ContractError, KpiError
from kpi_warehouse.gate.suite import compile_contract

FOLDER = "drafts"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True)
class Landed:
    """Where a draft went. `wrong_ja` says what keeps it from checking; None for one that stands among the contracts."""

    path: Path
    wrong_ja: str | None


def check_name(feed: str) -> str | None:
    """What is wrong with the name of a new feed, in Japanese; None when nothing is."""
    if _NAME.fullmatch(feed):
        return None
    return f"「{feed}」はフィード名にできません。小文字の英字で始まる、英数字と _ だけの名前（48 文字まで）にしてください。"


def taken(contracts: Path, feed: str) -> Path | None:
    """A contract or draft of this name that is there already."""
    for folder in (contracts, contracts / FOLDER):
        path = folder / f"{feed}.odcs.yaml"
        if path.exists():
            return path
    return None


def beside(contracts: Path, feed: str, suffix: str) -> Path:
    """Path of a file that goes with a draft (its preview); the folder is made."""
    folder = contracts / FOLDER
    folder.mkdir(exist_ok=True)
    return folder / f"{feed}{suffix}"


def put(contracts: Path, feed: str, text: str) -> Landed:
    """Write a draft: among the contracts if it checks, else into the drafts, with what is wrong.

    Raises:
        KpiError: the folder cannot be written.
    """
    try:
        path = beside(contracts, feed, ".odcs.yaml")
        _write(path, text)
    except OSError as error:
        raise KpiError(
            f"{contracts} に下書きを書けません（{error.strerror}）。", "draft.not_written"
        ) from None
    wrong = problem(path)
    if wrong is not None:
        return Landed(path, wrong)
    whole = contracts / path.name
    # A link instead of a move: a contract that came meanwhile is not written over.
    try:
        os.link(path, whole)
    except FileExistsError:
        return Landed(path, f"{whole} がすでにあります。")
    except OSError:  # a file system without links
        path.rename(whole)
    path.unlink(missing_ok=True)
    return Landed(whole, None)


def problem(path: Path) -> str | None:
    """What keeps a contract file from checking, in Japanese; None when nothing does."""
    try:
        compile_contract(load_contract(path))
    except ContractError as error:
        return error.message_ja
    return None


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
