"""What is known of a file's cells beside the file: the value accepted for the same month a year earlier, and what a second
source says where a rule of the contract compared with one."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import psycopg
from psycopg import sql

from kpi_warehouse.contract import PERIOD_END, Contract
from kpi_warehouse.gate.identities import Evidence
from kpi_warehouse.gate.verdict import Finding
from kpi_warehouse.readers.corrected import key_of
from kpi_warehouse.readers.layout_result import MeasureRow
from kpi_warehouse.warehouse.tables import ensure_raw, names, raw_table


def evidence_of(
    connection: psycopg.Connection,
    contract: Contract,
    rows: Sequence[MeasureRow],
    findings: Sequence[Finding],
) -> dict[str, Evidence]:
    """Evidence by cell. A cell of several quantities has none: a total's slip could not be told by either.

    Args:
        findings: what the gate found broken. A rule that compares with a second source returns its number as
            `second_value` and its name as `second_name` beside the row.
    """
    if not rows:
        return {}
    evidence = _last_year(connection, contract, rows)
    for finding in findings:
        for example in finding.examples:
            if (place := example.get("source_cell")) and example.get("second_value") is not None:
                second, name = Decimal(str(example["second_value"])), str(example["second_name"])
                known = evidence.get(place, Evidence())
                evidence[place] = replace(known, second=second, second_name=name)
    times = Counter(row.source_cell for row in rows)
    return {place: known for place, known in evidence.items() if times[place] == 1}


def _last_year(
    connection: psycopg.Connection, contract: Contract, rows: Sequence[MeasureRow]
) -> dict[str, Evidence]:
    ensure_raw(connection, contract)
    first, last = min(row.period for row in rows), max(row.period for row in rows)
    found = connection.execute(
        sql.SQL(
            "select {key}, {value} from {raw} where known_to = 'infinity' and {period} between %s and %s"
            " and {value} is not null"
        ).format(
            key=names(contract.key_names),
            value=sql.Identifier(contract.value.name),
            raw=raw_table(contract),
            period=sql.Identifier(contract.period.name),
        ),
        [_year_before(first), _year_before(last)],
    ).fetchall()
    accepted = {tuple(str(part) for part in row[:-1]): Decimal(row[-1]) for row in found}
    evidence: dict[str, Evidence] = {}
    for row in rows if accepted else ():
        key = key_of(row) | {
            contract.period.name: _year_before(row.period).isoformat(),
            PERIOD_END: _year_before(row.period_end).isoformat(),
        }
        last_year = accepted.get(tuple(key[name] for name in contract.key_names))
        if last_year is not None and row.source_cell not in evidence:
            evidence[row.source_cell] = Evidence(last_year=last_year)
    return evidence


def _year_before(day: date) -> date:
    """The same day a year before; of the last day of a month the last day of that month."""
    if (day + timedelta(days=1)).month != day.month:
        return day.replace(year=day.year - 1, day=monthrange(day.year - 1, day.month)[1])
    return day.replace(year=day.year - 1)
