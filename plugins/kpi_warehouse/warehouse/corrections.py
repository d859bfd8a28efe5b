"""The book of corrections: wrong values of a file that their owner has allowed to be replaced, one cell each.

A correction names the value it expects to find. It applies while the source still shows that value, and to the very bytes
it was approved for; a published delivery that shows anything else ends it (`settle_corrections`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import psycopg
from psycopg.rows import class_row

Outcome = Literal["applied", "fixed", "differs"]
APPROVED_JA = "修正承認済み"


@dataclass(frozen=True)
class Correction:
    """An approved correction. `key` names the row (period, axes, measure) or the stated total, as text by column."""

    correction_id: int
    key: dict[str, str]
    label: str
    expect: Decimal
    value: Decimal
    owner_ja: str
    reason_ja: str
    active: bool


@dataclass(frozen=True)
class Use:
    """What a delivery said to a correction: still the wrong value, the right one, or a third."""

    correction: Correction
    outcome: Outcome
    found: Decimal | None
    is_total: bool = False


def corrections_for(connection: psycopg.Connection, feed: str, sha256: str) -> list[Correction]:
    """The corrections to look for in a file: those in force, and all that were approved for these very bytes."""
    return (
        connection.cursor(row_factory=class_row(Correction))
        .execute(
            "select correction_id, key, label, expect, value, owner_ja, reason_ja, state = 'active' as active"
            " from ops.correction where feed = %s and (state = 'active' or sha256 = %s) order by correction_id",
            [feed, sha256],
        )
        .fetchall()
    )


def corrections_used(connection: psycopg.Connection, load_id: int) -> list[Correction]:
    """The corrections that a load applied, each as it was in force then."""
    return (
        connection.cursor(row_factory=class_row(Correction))
        .execute(
            "select correction_id, key, label, expect, value, owner_ja, reason_ja, true as active"
            " from ops.correction join ops.correction_use as u using (correction_id)"
            " where u.load_id = %s and u.outcome = 'applied' order by correction_id",
            [load_id],
        )
        .fetchall()
    )


def note_uses(connection: psycopg.Connection, load_id: int, uses: list[Use]) -> None:
    """Write down what a load's file said to each correction (again: an earlier try is replaced)."""
    connection.execute("delete from ops.correction_use where load_id = %s", [load_id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.correction_use (load_id, correction_id, outcome, found) values (%s, %s, %s, %s)",
            [(load_id, use.correction.correction_id, use.outcome, use.found) for use in uses],
        )


def settle_corrections(connection: psycopg.Connection, load_id: int) -> list[str]:
    """End the corrections that a published delivery no longer needs; returns what to say of each, in Japanese.

    Must run inside the transaction that publishes: a delivery that is refused ends nothing.
    """
    rows = connection.execute(
        "update ops.correction as c set settled_at = clock_timestamp(),"
        " state = case u.outcome when 'fixed' then 'retired' else 'refuted' end,"
        " message_ja = case u.outcome when 'fixed'"
        " then format('修正 %%s（%%s：%%s → %%s）は役目を終えました。届いたファイルで直っています。',"
        "  c.correction_id, c.label, c.expect, c.value)"
        " else format('修正 %%s（%%s：%%s → %%s）は失効しました。届いたファイルでは %%s です。%%sに確かめてください（`kpi hold list`）。',"
        "  c.correction_id, c.label, c.expect, c.value, coalesce(u.found::text, '数値なし'), c.owner_ja) end"
        " from ops.correction_use as u where u.load_id = %s and u.correction_id = c.correction_id"
        " and c.state = 'active' and u.outcome <> 'applied' returning c.message_ja",
        [load_id],
    ).fetchall()
    return [row[0] for row in rows]
