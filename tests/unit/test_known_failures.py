"""The ledger of known failures excuses what is named, for as long and as much as is written, and nothing else."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from kpi_warehouse.contract import find_contract
from kpi_warehouse.errors import ContractError
from kpi_warehouse.gate.known import known_failures_applied
from kpi_warehouse.gate.verdict import Finding
from kpi_warehouse.known_failures import known_failures
from kpi_warehouse.settings import settings

FEED, RULE = "estat_migration_monthly", "net_is_in_minus_out"
TODAY = date.today()


def ledger(folder: Path, **changed: object) -> Path:
    entry = {
        "feed": FEED,
        "rule": RULE,
        "reason": "原典の誤記",
        "until": TODAY + timedelta(9),
        "most": 3,
        "owner": "企画課",
    }
    lines = [
        f"{'  - ' if at == 0 else '    '}{key}: {value}"
        for at, (key, value) in enumerate((entry | changed).items())
    ]
    for contract in settings().contracts.glob("*.odcs.yaml"):
        shutil.copy(contract, folder)
    (folder / "ledger.yaml").write_text("entries:\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"rule": "no_such_rule"}, r"ledger.yaml:3: entries\[0\].rule"),
        ({"until": "soon"}, r"ledger.yaml:5: entries\[0\].until"),
        ({"most": 0}, r"ledger.yaml:6: entries\[0\].most"),
        ({"until": TODAY - timedelta(2)}, "期限切れ"),
    ],
)
def test_a_wrong_or_expired_entry_is_told_with_line_and_key(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    with pytest.raises(ContractError, match=told):
        known_failures(ledger(tmp_path, **changed), on=TODAY)


@pytest.mark.parametrize(
    ("changed", "success", "count", "severity", "said"),
    [
        ({}, False, 3, "warning", "既知の不一致：原典の誤記"),
        ({}, False, 4, "critical", "4 件に増えました"),
        ({"until": TODAY - timedelta(2)}, False, 1, "critical", "過ぎました"),
        ({}, True, 0, "warning", "もう起きていません"),
    ],
)
def test_a_known_failure_is_flagged_within_its_bounds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, object],
    success: bool,
    count: int,
    severity: str,
    said: str,
) -> None:
    folder = ledger(tmp_path, **changed)
    monkeypatch.setenv("KPI_CONTRACTS", str(folder))
    settings.cache_clear()
    finding = Finding(RULE, "critical", "table", success, count, "理由。", [])
    last = known_failures_applied(find_contract(folder, FEED), [finding])[-1]
    monkeypatch.undo()
    settings.cache_clear()
    assert last.severity == severity
    assert said in last.reason_ja
