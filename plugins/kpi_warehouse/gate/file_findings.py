"""What the gate finds in a file beside its rows: a changed form, and cells that no longer fit an approved correction."""

from __future__ import annotations

import psycopg
from psycopg import sql

from kpi_warehouse.contract import Contract, FileSource
from kpi_warehouse.gate.verdict import EXAMPLES, Finding
from kpi_warehouse.warehouse.history import PeriodDigest, in_periods
from kpi_warehouse.warehouse.tables import stage_table

# The form changed in a way that only the owner can judge: the delivery waits as a whole, and is released as a whole.
FORM_HELD = "form_is_the_contracts"
FORM_FLAGGED = "form_change_is_noted"
CORRECTION_MET = "correction_finds_its_value"
HOLDS = (FORM_HELD, CORRECTION_MET)
_REASONS = {
    FORM_HELD: "様式が契約と同じであること。列や単位が変わったため、この提供を丸ごと保留しました（契約の drift: hold）。",
    FORM_FLAGGED: "様式が契約と同じであること。列や単位の変化を注意として記録しました（契約の drift: flag）。",
    CORRECTION_MET: "認められた修正のセルが、誤りの値か正しい値のままであること。別の値に変わったため、所管課に確かめます。",
}


def file_findings(connection: psycopg.Connection, contract: Contract, load_id: int) -> list[Finding]:
    """Findings about the file of a load; none for a feed that is no file, or a file of which nothing is to be said."""
    if not isinstance(contract.source, FileSource):
        return []
    said: dict[str, list[dict[str, str]]] = {}
    for policy, place, label, found, expected, code in connection.execute(
        "select policy, place, label, found, expected_ja, code from ops.drift where load_id = %s"
        " and policy <> 'note' order by position",
        [load_id],
    ):
        entry = {"place": place, "label": label, "value_text": found, "expected": expected, "code": code}
        said.setdefault(FORM_HELD if policy == "hold" else FORM_FLAGGED, []).append(entry)
    for place, label, expect, value, found in connection.execute(
        "select c.place, c.label, c.expect::text, c.value::text, coalesce(u.found::text, '数値なし')"
        " from ops.correction_use as u join ops.correction as c using (correction_id)"
        " where u.load_id = %s and u.outcome = 'differs' order by correction_id",
        [load_id],
    ):
        entry = {"place": place, "label": label, "value_text": found, "expected": f"{expect} か {value}"}
        said.setdefault(CORRECTION_MET, []).append(entry)
    return [
        Finding(
            name,
            "critical" if name in HOLDS else "warning",
            "rows" if name in HOLDS else "table",
            False,
            len(entries),
            _REASONS[name],
            entries[:EXAMPLES],
        )
        for name, entries in said.items()
    ]


def hold_of_file(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    expectation: str,
    changed: list[PeriodDigest],
) -> int:
    """Mark the rows that wait: for a changed form all of the changed periods, for a correction the row it names."""
    stage = stage_table(contract, load_id)
    if expectation == FORM_HELD:
        statement = sql.SQL("update {} as s set held_by = {} where held_by is null and {}").format(
            stage, sql.Literal(FORM_HELD), in_periods(contract, "s", changed)
        )
        return connection.execute(statement).rowcount
    same_key = sql.SQL(" and ").join(
        sql.SQL("s.{}::text = c.key ->> {}").format(sql.Identifier(name), sql.Literal(name))
        for name in contract.key_names
    )
    statement = sql.SQL(
        "update {} as s set held_by = {} from ops.correction_use as u join ops.correction as c using (correction_id)"
        " where u.load_id = {} and u.outcome = 'differs' and s.held_by is null and {}"
    ).format(stage, sql.Literal(CORRECTION_MET), sql.Literal(load_id), same_key)
    return connection.execute(statement).rowcount
