"""What the gate says: the result of each expectation, and the verdict made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from kpi_warehouse.contract import Scope, Severity

Outcome = Literal["passed", "flagged", "held", "asked", "rejected", "inherited"]
EXAMPLES = 20


@dataclass(frozen=True)
class Finding:
    """Result of one expectation. `examples` holds at most 20 failing rows (aggregates and codes, never persons).

    `evidence_ja` is for who has to answer a question, one thought a line: what is unusual, how unusual against which
    periods, and the two likeliest explanations; of a rule that holds, what it could not judge. `periods` are the first
    days of the periods that it is about; empty where it is about all that was delivered.
    """

    expectation: str
    severity: Severity
    scope: Scope
    success: bool
    unexpected_count: int
    reason_ja: str
    examples: list[dict[str, Any]]
    evidence_ja: str = ""
    periods: tuple[date, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether a person has to answer before anything of the delivery is published."""
        return not self.success and self.severity == "question"


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, from what, and how many rows wait (of a delivery that is asked about: would wait)."""

    outcome: Outcome
    findings: list[Finding]
    held_rows: int

    @property
    def broken(self) -> list[Finding]:
        """Findings that failed."""
        return [finding for finding in self.findings if not finding.success]

    def rejection_ja(self, title_ja: str) -> str:
        """The rejection of a feed's delivery in words: what does not hold, how often, and the first place."""
        lines = [f"{title_ja}：検査に合わないため受け入れませんでした（前回の値を表示したままです）。"]
        lines += [_broken_ja(finding) for finding in self.broken]
        return "\n".join(lines)

    def question_ja(self, title_ja: str, load_id: int) -> str:
        """The question about a feed's delivery in words: what is unusual, with its evidence, and how it is answered."""
        lines = [
            f"{title_ja}：いつもと違う値のため、公表せずに問い合わせています（前回の値を表示したままです）。",
        ]
        for finding in self.broken:
            if not finding.asks:
                continue
            if not finding.evidence_ja:
                lines.append(_broken_ja(finding))
                continue
            lines.append(f"・{finding.reason_ja}")
            lines += [f"　{line}" for line in finding.evidence_ja.strip().splitlines()]
        lines += [
            f"正しい値なら：kpi hold release {load_id} --reason '確かめた課・資料・日付'",
            f"誤りなら　　：正しい値が届けば、この問い合わせは終わります。記録に残すには kpi hold reject {load_id} --reason '…'",
        ]
        return "\n".join(lines)


def _broken_ja(finding: Finding) -> str:
    first = _in_words(finding.examples[0]) if finding.examples else ""
    return f"・{finding.reason_ja} → {finding.unexpected_count:,} 件{f'（例：{first}）' if first else ''}"


def _in_words(example: dict[str, Any]) -> str:
    """One failing row; of a file's row its cell and its value say all."""
    if "source_cell" in example:
        return f"{example['source_cell']} の {example['value_text'] or example['value'] or example['value_mark']}"
    return "、".join(f"{name}={value}" for name, value in example.items() if value is not None)
