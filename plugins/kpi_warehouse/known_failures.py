"""`expectations/ledger.yaml`: failures of rules that are known and accepted, by name, for a time, up to a number of rows.

A fault in the file is told with file, line and key, like those of contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from kpi_warehouse.contract import contracts
from kpi_warehouse.contract_file import ContractFile

LEDGER = "ledger.yaml"
_KEYS = ("feed", "rule", "reason", "until", "most", "owner")


@dataclass(frozen=True)
class KnownFailure:
    """One entry: rule of a feed, why it may fail, the last day it may, the most failing rows, and the owning 課."""

    feed: str
    rule: str
    reason_ja: str
    until: date
    most: int
    owner_ja: str


def known_failures(folder: Path, *, on: date | None = None) -> tuple[KnownFailure, ...]:
    """The entries of the ledger beside the contracts; none when there is no file.

    Args:
        on: a day on which every entry must be in force; None when expired entries are no fault (they excuse nothing).

    Raises:
        ContractError: a wrong or expired entry, with file, line, key, what was found and what was expected.
    """
    path = folder / LEDGER
    if not path.exists():
        return ()
    file = ContractFile.read(path)
    listed = file.document.get("entries")
    for key in file.document:
        if key != "entries":
            file.fault((key,), key, "entries だけ")
    if not isinstance(listed, list):
        file.fault(("entries",), listed, "項目の並び（なければ []）")
        listed = []
    rules = {
        contract.feed: {rule.name for rule in contract.rules if not rule.proves_key}
        for contract in (contracts(folder) if listed else ())
    }
    entries = [entry for at, one in enumerate(listed) if (entry := _entry(file, at, one, rules, on))]
    seen: set[tuple[str, str]] = set()
    for at, entry in enumerate(entries):
        if (entry.feed, entry.rule) in seen:
            file.fault(("entries", at, "rule"), entry.rule, "フィードと検査の組は一度だけ")
        seen.add((entry.feed, entry.rule))
    file.raise_faults()
    return tuple(entries)


def _entry(
    file: ContractFile, at: int, one: Any, rules: dict[str, set[str]], on: date | None
) -> KnownFailure | None:
    before = len(file.faults)
    if not isinstance(one, dict):
        file.fault(("entries", at), one, f"キー {'、'.join(_KEYS)} のある項目")
        return None
    for key in one:
        if key not in _KEYS:
            file.fault(("entries", at, key), key, f"{'、'.join(_KEYS)} のいずれか")
    for key in ("reason", "owner"):
        if not isinstance(one.get(key), str) or not one[key].strip():
            file.fault(("entries", at, key), one.get(key), "日本語の文" if key == "reason" else "所管課")
    feed, rule = str(one.get("feed")), str(one.get("rule"))
    until: Any = one.get("until")
    most: Any = one.get("most")
    if feed not in rules:
        file.fault(("entries", at, "feed"), feed, "契約のあるフィード名（`kpi feed list`）")
    elif rule not in rules[feed]:
        named = "、".join(sorted(rules[feed]))
        file.fault(("entries", at, "rule"), rule, f"{feed} の検査の名前（{named}。キーの一意性は除く）")
    if type(until) is not date:
        file.fault(("entries", at, "until"), until, "期限の日 YYYY-MM-DD")
    elif on is not None and until < on:
        file.fault(
            ("entries", at, "until"),
            until,
            f"{on} 以後の日。期限切れです。直すか、理由を見直して延ばしてください",
        )
    if type(most) is not int or most < 1:
        file.fault(("entries", at, "most"), most, "1 以上の行数")
    if len(file.faults) > before:
        return None
    return KnownFailure(feed, rule, one["reason"].strip(), until, most, one["owner"].strip())
