"""A contract tried on sample files: received, read and judged by the real verbs, in a database and folders made for it.

What a sample must come to is in the beginning of its name: `good…` and `late…` are published whole, `revised…` (after a good one) asks
or is taken as the contract says, `drifted…` is refused, held or marked, `broken…` is refused. Any other name is only shown.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from kpi_warehouse.contract import Contract, FileSource, file_source
from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.errors import KpiError
from kpi_warehouse.readers.file_rows import read_file
from kpi_warehouse.readers.layout_result import Reading
from kpi_warehouse.warehouse.scratch import elsewhere, scratch_database

ORDER = ("good", "late", "revised", "drifted", "broken")


@dataclass(frozen=True)
class Outcome:
    """What became of a sample. `state`: published, unchanged, or the code of the refusal; `expected_ja` None: as it should."""

    name: str
    state: str
    rows: int
    held: int
    marked: int
    message_ja: str
    expected_ja: str | None


def read_sample(contract: Contract, path: Path) -> Reading:
    """Only read it: rows, faults with their cells, and what changed of the form. Needs no database.

    Raises:
        UnreadableFile: nothing of it could be read.
        ContractError: the feed comes from e-Stat.
    """
    return read_file(contract, path.read_bytes(), path.name)


def check_samples(contract: Contract, folder: Path) -> list[Outcome]:
    """Load every sample of a folder, in the order good, late, revised, drifted, broken, others; leaves no trace.

    Raises:
        KpiError: the folder holds no file, the feed has no file names, or the database is not there.
    """
    source = file_source(contract)
    samples = (
        sorted((file for file in folder.iterdir() if file.is_file()), key=_place) if folder.is_dir() else []
    )
    if not samples:
        raise KpiError(f"{folder} に見本のファイルがありません。", "samples.none")
    if not source.file_names:
        raise KpiError(
            f"{contract.feed} はファイル名の型（fileNames）がないため試せません。", "samples.no_names"
        )
    with tempfile.TemporaryDirectory(prefix="kpi-samples-") as made, scratch_database() as url:
        home = Path(made)
        contracts = home / "expectations"
        shutil.copytree(contract.path.parent, contracts)
        # A draft is tried as if its author had decided.
        text = contract.path.read_text(encoding="utf-8").replace(TO_BE_CHECKED, "（未確認）")
        (contracts / contract.path.name).write_text(
            text.replace("status: draft", "status: active"), encoding="utf-8"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KPI_")}
        environment |= {
            "KPI_HOME": str(home),
            "KPI_DATABASE_URL": url,
            "KPI_CONTRACTS": str(contracts),
            "KPI_INBOX_SETTLE_SECONDS": "0",
        }
        return elsewhere(environment, _try_all, contract.feed, samples)


def _try_all(feed: str, samples: list[Path]) -> list[Outcome]:
    from kpi_warehouse.load import contract_of

    contract = contract_of(feed)
    return [_try(contract, file_source(contract), sample) for sample in samples]


def _place(sample: Path) -> tuple[int, str]:
    found = [at for at, word in enumerate(ORDER) if sample.name.startswith(word)]
    return (found[0] if found else len(ORDER), sample.name)


def _try(contract: Contract, source: FileSource, sample: Path) -> Outcome:
    """Hand one sample in, and load it."""
    from kpi_warehouse import load
    from kpi_warehouse.file_outcome import NEXT_STEP
    from kpi_warehouse.sources.inbox_receive import hand_in
    from kpi_warehouse.warehouse.connection import connect

    rows = held = marked = 0
    message = ""
    try:
        hand_in(contract, sample)
        done = load.run(contract.feed)
        state, rows, held = done.state, done.opened_rows, done.held_rows
        with connect() as connection:
            row = connection.execute(
                "select count(*), string_agg(reason_ja, '／' order by expectation) from ops.gate_result"
                " where load_id = %s and not success and severity <> 'info'",
                [done.load_id],
            ).fetchone()
            marked, message = (row[0], row[1] or "") if row else (0, "")
    except KpiError as error:
        # Where the slip was is of no use: the folder is gone.
        told = [
            line
            for line in error.message_ja.splitlines()
            if line != NEXT_STEP and not line.startswith("差し戻し票")
        ]
        state, message = error.code, "\n".join(told)
    outcome = Outcome(sample.name, state, rows, held, marked, message, None)
    return Outcome(**{**asdict(outcome), "expected_ja": _missed(outcome, source)})


def _missed(outcome: Outcome, source: FileSource) -> str | None:
    """What the name asked for, where that is not what came."""
    taken = outcome.state in ("published", "unchanged")
    whole = taken and outcome.held == 0
    ask = source.revisions == "ask"
    wanted = {
        "good": (whole, "そのまま公表されること"),
        "late": (whole, "そのまま公表されること"),
        "revised": (
            taken and (outcome.held > 0) == ask,
            "変わった値が保留されること" if ask else "新しい版になること",
        ),
        "drifted": (not whole or outcome.marked > 0, "差し戻し・保留・注意のどれかになること"),
        "broken": (not taken, "差し戻されること"),
    }
    for word, (met, expected) in wanted.items():
        if outcome.name.startswith(word):
            return None if met else expected
    return None
