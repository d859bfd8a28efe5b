"""The gate: staged rows → verdict, with every result, held row and reason written to `ops`.

Order: completeness against the source's own count, months, keys and coverage first (they need no scan or one index);
then the contract's suite on the periods that changed. A delivery that changes nothing inherits the earlier verdict.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from kpi_warehouse.contract import Contract, FileSource, find_contract
from kpi_warehouse.errors import ContractError
from kpi_warehouse.gate.file_findings import HOLDS, file_findings, hold_of_file
from kpi_warehouse.gate.known import known_failures_applied
from kpi_warehouse.gate.taken_back import taken_back_before
from kpi_warehouse.gate.verdict import EXAMPLES, Finding, Outcome, Verdict
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect, sqlalchemy_url, warehouse_url
from kpi_warehouse.warehouse.history import (
    PeriodDigest,
    covers_whole_periods,
    digest_periods,
    in_periods,
)
from kpi_warehouse.warehouse.tables import analyze, ensure_raw, names, stage_name, stage_table


def judge(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    *,
    asked: list[date],
    declared_rows: int | None,
    staged_rows: int,
) -> tuple[Verdict, list[PeriodDigest]]:
    """Judge one staged load; returns the verdict and the digests of its periods.

    Commits nothing but the stage table's marks of held rows; the caller records the verdict.

    Args:
        asked: months the pull asked for; each must have come.
        declared_rows: the source's own count (sum of TOTAL_NUMBER over the requests); None for a file, whose totals are
            rules of its contract.
        staged_rows: rows that arrived in the stage table.
    """
    accepted = _accepted_rows(connection, contract)
    suite: list[Finding] = []
    if accepted:
        periods = digest_periods(connection, contract, load_id)
    else:
        # Of a first load everything is new: the digests are not needed to know what to judge, so both are made at once.
        with ThreadPoolExecutor(1) as beside:
            coming = beside.submit(_digest_beside, contract, load_id)
            suite = _suite_findings(contract, load_id)
            periods = coming.result()
    changed = [entry for entry in periods if entry.changed]
    findings = [_coverage_kept(accepted, periods)] if covers_whole_periods(contract) else []
    said = file_findings(connection, contract, load_id)
    if declared_rows is not None:
        findings += [_rows_match_source(declared_rows, staged_rows), _months_delivered(asked, periods)]
    sound = all(finding.success for finding in findings)
    if sound and not changed:
        return Verdict("inherited", [*findings, *said], 0), periods
    if not any(rule.proves_key for rule in contract.rules):
        findings.append(_keys_unique(connection, contract, load_id))
        connection.commit()
    if sound and accepted:
        suite = _suite_findings(contract, load_id, periods)
    findings = known_failures_applied(contract, [*findings, *suite, *said])
    findings += taken_back_before(connection, contract, changed)
    broken = [finding for finding in findings if not finding.success]
    if any(finding.severity == "critical" and finding.scope == "table" for finding in broken):
        return Verdict("rejected", findings, 0), periods
    held = sum(
        hold_of_file(connection, contract, load_id, finding.expectation, changed)
        if finding.expectation in HOLDS
        else _hold(connection, contract, load_id, finding, changed)
        for finding in broken
        if finding.severity == "critical" and finding.scope == "rows"
    )
    if any(finding.asks for finding in broken):
        return Verdict("asked", findings, held), periods
    outcome: Outcome = (
        "held" if held else "flagged" if any(f.severity == "warning" for f in broken) else "passed"
    )
    return Verdict(outcome, findings, held), periods


def _accepted_rows(connection: psycopg.Connection, contract: Contract) -> dict[tuple[date, date], int]:
    """Rows of every accepted period of the feed, by its first and last day."""
    return {
        (start, end): rows
        for start, end, rows in connection.execute(
            "select period, period_end, rows from ops.period_digest where feed = %s", [contract.feed]
        )
    }


def _digest_beside(contract: Contract, load_id: int) -> list[PeriodDigest]:
    with connect() as connection:
        return digest_periods(connection, contract, load_id)


def record(connection: psycopg.Connection, contract: Contract, load_id: int, verdict: Verdict) -> None:
    """Write results and held rows of a verdict (again: an earlier try of the same load is replaced)."""
    connection.execute("delete from ops.gate_result where load_id = %s", [load_id])
    connection.execute("delete from ops.held_row where load_id = %s", [load_id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.gate_result (load_id, expectation, severity, scope, success, unexpected_count, observed,"
            " reason_ja, evidence_ja, periods) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    load_id,
                    f.expectation,
                    f.severity,
                    f.scope,
                    f.success,
                    f.unexpected_count,
                    Jsonb(f.examples),
                    f.reason_ja,
                    f.evidence_ja,
                    list(f.periods),
                )
                for f in verdict.findings
            ],
        )
    # Of a delivery that is asked about no row waits by itself yet: all of them do.
    if verdict.held_rows and verdict.outcome != "asked":
        record_held(connection, contract, load_id)


def record_held(connection: psycopg.Connection, contract: Contract, load_id: int) -> None:
    """Write the rows that the gate marked in the stage table to the book of rows that wait."""
    connection.execute(
        sql.SQL(
            "insert into ops.held_row (load_id, feed, period, period_end, row, expectation, reason_ja, source_ref)"
            " select g.load_id, {feed}, s.{period}, s.{period_end}, to_jsonb(s) - 'held_note', g.expectation,"
            " concat_ws(' ', s.held_note, g.reason_ja), {source_ref}"
            " from {stage} as s join ops.gate_result as g on g.load_id = {load_id} and g.expectation = s.held_by"
        ).format(
            feed=sql.Literal(contract.feed),
            period=sql.Identifier(contract.period_names[0]),
            period_end=sql.Identifier(contract.period_names[1]),
            source_ref=_source_ref(contract),
            stage=stage_table(contract, load_id),
            load_id=sql.Literal(load_id),
        )
    )


def _source_ref(contract: Contract) -> sql.Composable:
    """Where a staged row came from: the cell of a file, or table, codes and page of e-Stat."""
    if isinstance(contract.source, FileSource):
        return sql.SQL("s.source_cell")
    return sql.SQL("{} || ' ' || concat_ws(' ', {}) || ' p.' || s.source_page").format(
        sql.Literal(contract.source.table_id), names(contract.key_names, "s")
    )


def _rows_match_source(declared: int, staged: int) -> Finding:
    return Finding(
        "row_count_matches_source",
        "critical",
        "table",
        declared == staged,
        abs(declared - staged),
        f"届いた行数が、提供元の示す件数（TOTAL_NUMBER）と一致すること。提供元 {declared:,} 件、届いた {staged:,} 件。",
        [] if declared == staged else [{"declared_rows": declared, "staged_rows": staged}],
    )


def _months_delivered(asked: list[date], periods: list[PeriodDigest]) -> Finding:
    missing = sorted(set(asked) - {entry.period for entry in periods})
    return Finding(
        "months_delivered",
        "critical",
        "table",
        not missing,
        len(missing),
        "公表済みの月が途中で抜けていないこと。抜けた月は年の合計を黙って小さくするため。",
        [{"missing_period": f"{month:%Y-%m}"} for month in missing[:EXAMPLES]],
    )


def _coverage_kept(accepted: dict[tuple[date, date], int], periods: list[PeriodDigest]) -> Finding:
    """Exact for whole rows that go; publish checks the keys themselves before it closes any."""
    shrunk = [
        {
            "period": f"{entry.period:%Y-%m}",
            "accepted_rows": accepted[entry.period, entry.period_end],
            "delivered_rows": entry.rows,
        }
        for entry in periods
        if entry.rows < accepted.get((entry.period, entry.period_end), 0)
    ]
    return Finding(
        "coverage_did_not_shrink",
        "critical",
        "table",
        not shrunk,
        len(shrunk),
        "前回まであったセルが今回の提供から消えていないこと。",
        shrunk[:EXAMPLES],
    )


def _keys_unique(connection: psycopg.Connection, contract: Contract, load_id: int) -> Finding:
    """Uniqueness is taken from a unique index on the stage table: the cheapest exact proof there is."""
    table, key = stage_table(contract, load_id), names(contract.key_names)
    duplicates: list[dict[str, Any]] = []
    index = sql.Identifier(f"{stage_name(contract, load_id)}_key")
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("create unique index if not exists {} on {} ({})").format(index, table, key)
            )
    except psycopg.errors.UniqueViolation:
        cursor = connection.execute(
            sql.SQL(
                "select {key}, count(*) as times from {table} group by {key} having count(*) > 1 limit {n}"
            ).format(key=key, table=table, n=sql.Literal(EXAMPLES))
        )
        header = [column.name for column in cursor.description or []]
        duplicates = [dict(zip(header, row, strict=True)) for row in cursor.fetchall()]
    return Finding(
        "keys_are_unique",
        "critical",
        "table",
        not duplicates,
        len(duplicates),
        "同じキー（月・地域など）の行が二度届いていないこと。",
        _plain(duplicates),
    )


def _suite_findings(contract: Contract, load_id: int, periods: Sequence[PeriodDigest] = ()) -> list[Finding]:
    """Run the contract's suite on the changed ones of these periods, or on everything where none is unchanged.

    Importing GX takes seconds, so only who gates pays for it.
    """
    from kpi_warehouse.gate.suite import accepted_feeds, compile_contract, open_batch, validate

    compiled = compile_contract(contract, load_id)
    whole = all(entry.changed for entry in periods)
    table = stage_name(contract, load_id) if whole else _changed_view(contract, load_id, periods)
    url = sqlalchemy_url(warehouse_url())
    options = "-crole%3Dkpi_loader%20-csearch_path%3Dstage%20-cwork_mem%3D256MB%20-cjit%3Doff"
    url += ("&" if "?" in url else "?") + f"options={options}"

    longest, *others = compiled.sweeps()

    def check_others() -> tuple[list[Any], list[Any]]:
        with open_batch(url, table) as batch:
            schema = validate(compiled.schema(), batch)
            prepared.result()
            return schema, [result for sweep in others for result in validate(sweep, batch)]

    # The longest query of the rules keeps one core of the server; what does not depend on it is asked beside it.
    with ThreadPoolExecutor(2) as beside:
        prepared = beside.submit(_prepare, contract, load_id, accepted_feeds(contract))
        with open_batch(url, table) as batch:
            asked_beside = beside.submit(check_others)
            prepared.result()
            swept = validate(longest, batch)
            schema, swept_beside = asked_beside.result()
            findings = [_schema_finding(result) for result in schema]
            broken = [name for result in [*swept, *swept_beside] for name in _broken_rules(contract, result)]
            unknown = _not_judged([*swept, *swept_beside])
            single = {}
            if broken:
                for name, result in zip(broken, validate(compiled.single(broken), batch), strict=True):
                    single[name] = result.result
    start = contract.period.name
    for name, rule in compiled.rules.items():
        result = single.get(name, {})
        rows = [dict(row) for row in (result.get("details") or {}).get("unexpected_rows") or []]
        count = int(result.get("observed_value") or 0)
        named, evidence = compiled.named.get(name), ""
        if named is not None and rows:
            evidence = named.evidence_ja(contract, rows, count)
        elif name in unknown:
            evidence = f"検査できなかった期間があります：{'、'.join(unknown[name])}"
        findings.append(
            Finding(
                name,
                rule.severity,
                rule.scope,
                name not in single,
                count,
                rule.reason_ja,
                _plain(rows[:EXAMPLES]),
                evidence,
                tuple(sorted({row[start] for row in rows if row.get(start)})) if named is not None else (),
            )
        )
    return findings


def _not_judged(sweeps: Sequence[Any]) -> dict[str, list[str]]:
    """What the named rules say that they could not judge, by rule."""
    said: dict[str, list[str]] = {}
    for sweep in sweeps:
        for row in sweep.result.get("details", {}).get("not_judged", []):
            said.setdefault(row["rule"], []).append(row["said"])
    return said


def _broken_rules(contract: Contract, sweep: Any) -> list[str]:
    """Names of the rules that a sweep found broken.

    Raises:
        ContractError: the SQL of a rule cannot be run.
    """
    broken = [row["rule"] for row in sweep.result.get("details", {}).get("broken", [])]
    if not sweep.success and not broken:
        raise ContractError(
            f"{contract.path.name}: 検査の SQL を実行できません：{_exception(sweep.exception_info)}",
            "contract.rule_sql",
        )
    return broken


def _prepare(contract: Contract, load_id: int, accepted: set[str]) -> None:
    """What the rules' queries need: statistics of the new table, and the history of every feed they compare with."""
    with connect() as connection:
        analyze(connection, stage_table(contract, load_id))
        # A rule may compare with a feed that was never loaded: its (empty) history must exist for the query to parse.
        for feed in accepted:
            if connection.execute("select to_regclass(%s)", [f'raw."{feed}"']).fetchone() == (None,):
                ensure_raw(connection, find_contract(settings().contracts, feed))


def _changed_view(contract: Contract, load_id: int, periods: Sequence[PeriodDigest]) -> str:
    """A view of the changed periods, dropped with the stage table: a query given to GX would be fetched as a whole first.

    It names those that are fewer, the changed or the others: every scan of the suite looks every row up in that list.
    """
    view = f"{stage_name(contract, load_id)}_changed"
    changed = [entry for entry in periods if entry.changed]
    others = [entry for entry in periods if not entry.changed]
    few, condition = (others, "not ({})") if len(others) < len(changed) else (changed, "{}")
    with connect() as connection:
        connection.execute(
            sql.SQL("create or replace view {} as select * from {} as s where " + condition).format(
                sql.Identifier("stage", view), stage_table(contract, load_id), in_periods(contract, "s", few)
            )
        )
    return view


def _exception(info: dict[str, Any]) -> str:
    """What the database said, without GX's wrapping."""
    entries = [info] if "exception_message" in info else list(info.values())
    said = str(
        next((entry["exception_message"] for entry in entries if entry.get("exception_message")), info)
    )
    return said.split("[SQL:", 1)[0].strip()


def _schema_finding(result: Any) -> Finding:
    config = result.expectation_config
    column = config.kwargs["column"]
    kind = {"expect_column_values_to_not_be_null": "required", "expect_column_values_to_be_in_set": "codes"}[
        config.type
    ]
    reasons = {
        "required": f"列 {column} は空でないこと。",
        "codes": f"列 {column} は契約に挙げたコードだけであること。",
    }
    examples = [{column: value} for value in result.result.get("partial_unexpected_list", [])[:EXAMPLES]]
    return Finding(
        f"{column}_{kind}",
        "critical",
        "table",
        bool(result.success),
        int(result.result.get("unexpected_count") or 0),
        reasons[kind],
        _plain(examples),
    )


def _hold(
    connection: psycopg.Connection,
    contract: Contract,
    load_id: int,
    finding: Finding,
    changed: list[PeriodDigest],
) -> int:
    """Mark the rows that a row rule found; returns how many were marked by this rule."""
    from kpi_warehouse.gate.suite import compile_contract

    query = compile_contract(contract, load_id).queries[finding.expectation]
    stage = stage_table(contract, load_id)
    batch = sql.SQL("(select * from {} as s where {})").format(stage, in_periods(contract, "s", changed))
    same_key = sql.SQL(" and ").join(
        sql.SQL("s.{0} = q.{0}").format(sql.Identifier(column)) for column in contract.key_names
    )
    statement = sql.SQL(
        "update {} as s set held_by = {}, held_note = to_jsonb(q) ->> 'said_ja' from ({}) as q where {} and s.held_by is null"
    ).format(
        stage,
        sql.Literal(finding.expectation),
        sql.SQL(query.replace("{batch}", batch.as_string(connection))),
        same_key,
    )
    return connection.execute(statement).rowcount


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON can hold them (dates and decimals become text)."""
    plain: list[dict[str, Any]] = json.loads(json.dumps(rows, default=str, ensure_ascii=False))
    return plain
