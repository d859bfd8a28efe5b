"""A reading with the approved corrections put in: only where the file still shows the value that was found wrong.

Pure functions. What was written in the file stays beside the new value (`value_text`), with who allowed it and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from kpi_warehouse.readers.layout_result import Check, MeasureRow, Reading
from kpi_warehouse.warehouse.corrections import APPROVED_JA, Correction, Use


def key_of(row: MeasureRow) -> dict[str, str]:
    """What names a row whatever cell it stands in: period, kind, axes and measure, as text."""
    return {
        **row.axes,
        "period": row.period.isoformat(),
        "period_end": row.period_end.isoformat(),
        "period_kind": row.period_kind,
        "measure_code": row.measure_code,
    }


def total_key(check: Check) -> dict[str, str]:
    """What names a stated total."""
    return {"total": check.name, "label": check.label, "measure_code": check.measure_code or ""}


def corrected(reading: Reading, corrections: Sequence[Correction]) -> tuple[Reading, list[Use]]:
    """Put the corrections in; returns the reading and what the file says to each correction it has the cell of."""
    if not corrections:
        return reading, []
    wanted = {tuple(sorted(correction.key.items())): correction for correction in corrections}
    uses: list[Use] = []

    def judged(key: dict[str, str], found: Decimal | None, *, total: bool) -> Correction | None:
        """The correction to apply to what was found under a key."""
        correction = wanted.get(tuple(sorted(key.items())))
        if correction is None:
            return None
        if found == correction.expect:
            uses.append(Use(correction, "applied", found, total))
            return correction
        if correction.active:
            uses.append(Use(correction, "fixed" if found == correction.value else "differs", found, total))
        return None

    rows = []
    for row in reading.rows:
        use = judged(key_of(row), row.value, total=False)
        rows.append(row if use is None else _corrected_row(row, use))
    checks = []
    for check in reading.checks:
        use = judged(total_key(check), check.stated, total=True)
        checks.append(check if use is None else replace(check, stated=use.value))
    return replace(reading, rows=rows, checks=checks), uses


def _corrected_row(row: MeasureRow, correction: Correction) -> MeasureRow:
    note = f"{APPROVED_JA}：{correction.expect} → {correction.value}（{correction.owner_ja}：{correction.reason_ja}）"
    return row._replace(
        value=correction.value,
        value_text=row.value_text or str(correction.expect),
        qualifier="、".join(part for part in (row.qualifier, APPROVED_JA) if part),
        note="。".join(part for part in (row.note, note) if part),
    )
