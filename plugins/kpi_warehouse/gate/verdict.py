"""What the gate says: the result of each expectation, and the verdict made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kpi_warehouse.contract import Scope, Severity

Outcome = Literal["passed", "flagged", "held", "rejected", "inherited"]
EXAMPLES = 20


@dataclass(frozen=True)
class Finding:
    """Result of one expectation. `examples` holds at most 20 failing rows (aggregates and codes, never persons)."""

    expectation: str
    severity: Severity
    scope: Scope
    success: bool
    unexpected_count: int
    reason_ja: str
    examples: list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, from what, and how many rows wait."""

    outcome: Outcome
    findings: list[Finding]
    held_rows: int

    @property
    def broken(self) -> list[Finding]:
        """Findings that failed."""
        return [finding for finding in self.findings if not finding.success]
