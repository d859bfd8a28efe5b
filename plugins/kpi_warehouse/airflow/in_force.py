"""Which contracts become DAGs, when one of them may be wrong.

Airflow takes every DAG of a file out of service when that file raises. So the file that makes the DAGs goes by the
contracts that can be read, and another file, which makes none, raises what is wrong with the rest: one mistake stops one
feed, and is shown where people look for it.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from kpi_warehouse.contract import Contract, load_contract
from kpi_warehouse.errors import ContractError

FILES = "*.odcs.yaml"


def feeds_in_force(folder: Path) -> list[Contract]:
    """The active contracts of a folder that can be read, in the order of their names.

    Inside a task only that task's own contract is read: the cost of a start does not grow with the number of feeds.
    """
    running = get_parsing_context().dag_id
    own = folder / FILES.replace("*", running) if running else None
    paths = [own] if own is not None and own.exists() else sorted(folder.glob(FILES))
    read = (_readable(path) for path in paths)
    return [contract for contract in read if contract is not None and contract.status == "active"]


def raise_what_is_wrong(folder: Path) -> None:
    """Check every contract of a folder.

    Raises:
        ContractError: every fault of every file, one a line, each with file, line, key, what was found and expected; or
            the folder holds no contract at all.
    """
    paths = sorted(folder.glob(FILES))
    if not paths:
        raise ContractError(f"契約ファイル（{FILES}）が {folder} にひとつもありません。", "contract.none")
    faults = []
    for path in paths:
        try:
            load_contract(path)
        except ContractError as error:
            faults.append(error.message_ja)
    if faults:
        raise ContractError("\n".join(faults), "contract.invalid")


def _readable(path: Path) -> Contract | None:
    try:
        return load_contract(path)
    except Exception:  # whatever it is, raise_what_is_wrong meets it too and raises it
        return None
