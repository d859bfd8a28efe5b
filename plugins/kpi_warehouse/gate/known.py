"""Known failures in the gate: a failing rule that was accepted by name, for a time and up to a number of rows, is flagged."""

from __future__ import annotations

from dataclasses import replace

from kpi_warehouse import clock
from kpi_warehouse.contract import Contract
from kpi_warehouse.gate.verdict import Finding
from kpi_warehouse.known_failures import KnownFailure, known_failures
from kpi_warehouse.settings import settings


def known_failures_applied(contract: Contract, findings: list[Finding]) -> list[Finding]:
    """The findings with those of known failures downgraded to warnings, each saying so, and entries without need told."""
    entries = {
        entry.rule: entry for entry in known_failures(settings().contracts) if entry.feed == contract.feed
    }
    applied = []
    for finding in findings:
        entry = entries.get(finding.expectation)
        applied.append(finding if entry is None or finding.success else _judged(finding, entry))
        if entry is not None and finding.success:
            reason = (
                f"既知の不一致「{entry.rule}」（{entry.reason_ja}）はもう起きていません。"
                "expectations/ledger.yaml から消してください。"
            )
            applied.append(Finding(f"{entry.rule}_still_known", "warning", "table", False, 1, reason, []))
    return applied


def _judged(finding: Finding, entry: KnownFailure) -> Finding:
    if entry.until < clock.today():
        said = f"既知の不一致としての期限 {entry.until} は過ぎました（{entry.owner_ja}）"
        return replace(finding, reason_ja=f"{finding.reason_ja}〔{said}〕")
    if finding.unexpected_count > entry.most:
        said = f"既知の不一致は {entry.most:,} 件まで。{finding.unexpected_count:,} 件に増えました（{entry.owner_ja}）"
        return replace(finding, reason_ja=f"{finding.reason_ja}〔{said}〕")
    said = f"既知の不一致：{entry.reason_ja}（{entry.owner_ja}、{entry.until} まで、{entry.most:,} 件まで）"
    return replace(finding, severity="warning", reason_ja=f"{finding.reason_ja}〔{said}〕")
