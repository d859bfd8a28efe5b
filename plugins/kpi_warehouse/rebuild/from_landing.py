"""`kpi rebuild`: the history table of a feed made again whole, step by step as it was written, at the instants it was written.

What was decided is not decided again: which loads were accepted, which of their rows were held and released, which periods gave way,
what was corrected and what was taken back stands in `ops`. The bytes are in landing. So no gate runs, nobody is told, and `ops` stays as
it is. Everything happens in one transaction; killed at any instruction, nothing has happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from kpi_warehouse.contract import Contract, EstatSource
from kpi_warehouse.decisions.undo import take_back
from kpi_warehouse.errors import KpiError
from kpi_warehouse.holds import COLUMNS, Held, publish_held
from kpi_warehouse.load import contract_of, page_borders
from kpi_warehouse.readers.estat_pages import LandedPage, stage_pages
from kpi_warehouse.readers.file_rows import stage_file_again
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.history import (
    PeriodDigest,
    digest_periods,
    lock_history,
    write_rows,
)
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.tables import (
    create_raw,
    create_stage,
    drop_stage,
    names,
    raw_table,
    rename_raw,
    stage_table,
)

BEFORE = "rebuild_before"


@dataclass
class Rebuilt:
    """What came of it. `state`: `rebuilt` the table was put in place, `equal` it was there already and is the same, `differs` it was
    there and is not the same, so it was left as it is.

    `differing` says, per load, what is not as the books say; `unproven` counts the loads read under an earlier text of the contract,
    whose digests are not those of today, so that only the numbers of their rows could be compared.
    """

    feed: str
    state: str
    loads: int = 0
    releases: int = 0
    rows: int = 0
    unproven: int = 0
    differing: list[str] = field(default_factory=list)


def rebuild(feed: str, *, replace: bool = False) -> Rebuilt:
    """Make `raw.<feed>` again from landing.

    Args:
        replace: put the new table in place although it is not what the books say, or not what is there.

    Raises:
        KpiError: nothing of the feed was ever accepted; or without `replace`, what is read today is not what the books say.
        StorageFailed: landing has not all of the bytes.
    """
    contract = contract_of(feed)
    with connect() as connection:
        lock_history(connection, contract)
        steps = list(_steps(connection, feed))
        if not steps:
            raise KpiError(
                f"{feed} には、受け付けた取込がありません。作り直すものはありません。", "rebuild.nothing"
            )
        done = Rebuilt(feed, "rebuilt")
        was_there = rename_raw(connection, contract, BEFORE)
        create_raw(connection, contract)
        for at, kind, number in steps:
            _STEPS[kind](connection, contract, number, at, done)
        done.rows = _number(connection, sql.SQL("select count(*) from {}").format(raw_table(contract)))
        if was_there and _same(connection, contract):
            connection.rollback()
            done.state = "equal"
            return done
        if was_there and not replace:
            connection.rollback()
            done.state = "differs"
            return done
        if done.differing and not replace:
            connection.rollback()
            raise KpiError(
                f"{contract.title_ja}：いまの契約で読み直すと、記録と違うところがあります。何も変えていません。\n"
                + "\n".join(f"・{line}" for line in done.differing[:20])
                + "\n契約を当時のものに戻すか、違いを承知のうえで --replace を付けてください。",
                "rebuild.differs",
            )
        if was_there:
            connection.execute(sql.SQL("drop table raw.{} cascade").format(sql.Identifier(BEFORE)))
        connection.execute(
            "select ops.settle_trouble(incident_id, %s) from ops.incident where cause = 'history_lost' and feed = %s"
            " and resolved_at is null",
            [f"保存したバイト列から作り直しました（取込 {done.loads:,} 件、{done.rows:,} 行）。", feed],
        )
    return done


def _steps(connection: psycopg.Connection, feed: str) -> Iterator[tuple[datetime, str, int]]:
    """Every step by which the feed's history was written: instant, kind, and the number of its load or held row."""
    rows = connection.execute(
        "select published_at, 'load', load_id from ops.load where feed = %(feed)s and published_at is not null"
        " union all select undone_at, 'undo', load_id from ops.undo where feed = %(feed)s"
        " union all select settled_at, 'release', held_id from ops.held_row where feed = %(feed)s and state = 'released'"
        " order by 1, 3",
        {"feed": feed},
    ).fetchall()
    yield from rows


def _write_load(
    connection: psycopg.Connection, contract: Contract, load_id: int, at: datetime, done: Rebuilt
) -> None:
    load = (
        connection.cursor(row_factory=dict_row)
        .execute("select * from ops.load where load_id = %s", [load_id])
        .fetchone()
    )
    assert load is not None
    _stage(connection, contract, load)
    _mark_held(connection, contract, load_id)
    _compare(connection, contract, load, done)
    periods = [
        PeriodDigest(*row)
        for row in connection.execute(
            "select period, period_end, rows, digest, changed from ops.load_period where load_id = %s and not overtaken"
            " order by period, period_end",
            [load_id],
        ).fetchall()
    ]
    written = write_rows(
        connection,
        contract,
        load_id,
        periods,
        held=bool(load["held_rows"]),
        page_borders=page_borders(connection, load_id),
        known_from=at,
    )
    drop_stage(connection, contract, load_id)
    found, said = (written.opened, written.closed), (load["opened_rows"], load["closed_rows"])
    if found != said:
        done.differing.append(
            f"取込番号 {load_id}：新しい行と閉じた行が {found[0]:,}・{found[1]:,}（記録は {said[0]:,}・{said[1]:,}）"
        )
    done.loads += 1


def _stage(connection: psycopg.Connection, contract: Contract, load: dict[str, Any]) -> None:
    """The load's rows in a stage table of its own: of e-Stat written by other processes, so made and committed beside."""
    pages = (
        connection.cursor(row_factory=class_row(LandedPage))
        .execute(
            "select p.page, p.sha256, l.content_encoding from ops.load_page as p"
            " join ops.landed as l using (sha256) where p.load_id = %s order by p.page",
            [load["load_id"]],
        )
        .fetchall()
    )
    if not pages:
        raise KpiError(
            f"取込番号 {load['load_id']} には保存したページがないため、{contract.feed} を作り直せません。",
            "rebuild.no_pages",
        )
    if isinstance(contract.source, EstatSource):
        with connect() as beside:
            create_stage(beside, contract, load["load_id"])
        periods = contract.source.cycle.between(load["period_from"], load["period_to"])
        stage_pages(contract, load["load_id"], periods, pages, settings().stage_processes)
        return
    name = connection.execute(
        "select params ->> 'file_name' from ops.load_page where load_id = %s order by page", [load["load_id"]]
    ).fetchone()
    create_stage(connection, contract, load["load_id"])
    body = Landing(settings().landing_url).get(pages[0].sha256)
    stage_file_again(connection, contract, load["load_id"], body, str(name[0]) if name else "")


def _mark_held(connection: psycopg.Connection, contract: Contract, load_id: int) -> None:
    connection.execute(
        sql.SQL(
            "update {stage} as s set held_by = h.expectation from ops.held_row as h where h.load_id = {load} and {same_key}"
        ).format(
            stage=stage_table(contract, load_id),
            load=sql.Literal(load_id),
            same_key=sql.SQL(" and ").join(
                sql.SQL("h.row ->> {} = s.{}::text").format(sql.Literal(name), sql.Identifier(name))
                for name in contract.key_names
            ),
        )
    )


def _compare(connection: psycopg.Connection, contract: Contract, load: dict[str, Any], done: Rebuilt) -> None:
    """Hold what is read today against the digests that were written when the load was judged."""
    if load["contract_sha256"] != contract.sha256:
        done.unproven += 1
        return
    said = {
        (period, end): (rows, digest)
        for period, end, rows, digest in connection.execute(
            "select period, period_end, rows, digest from ops.load_period where load_id = %s",
            [load["load_id"]],
        )
    }
    found = {
        (entry.period, entry.period_end): (entry.rows, entry.digest)
        for entry in digest_periods(connection, contract, load["load_id"])
    }
    for period in sorted(said.keys() | found.keys()):
        if said.get(period) != found.get(period):
            done.differing.append(
                f"取込番号 {load['load_id']}：{period[0]:%Y-%m-%d} の値が、受け付けたときに読んだ値と違います"
            )


def _release(
    connection: psycopg.Connection, contract: Contract, held_id: int, at: datetime, done: Rebuilt
) -> None:
    held = (
        connection.cursor(row_factory=class_row(Held))
        .execute(f"select {COLUMNS} from ops.held_row where held_id = %s", [held_id])
        .fetchone()
    )
    assert held is not None
    publish_held(connection, contract, held, at, anew=True)
    done.releases += 1


def _undo(
    connection: psycopg.Connection, contract: Contract, load_id: int, at: datetime, done: Rebuilt
) -> None:
    found = take_back(connection, contract, load_id, at)
    said = connection.execute(
        "select closed_rows, restored_rows from ops.undo where load_id = %s", [load_id]
    ).fetchone()
    if said != found:
        done.differing.append(
            f"取込番号 {load_id} の取消し：閉じた行と戻した行が {found[0]:,}・{found[1]:,}（記録と違います）"
        )


_STEPS = {"load": _write_load, "release": _release, "undo": _undo}


def _same(connection: psycopg.Connection, contract: Contract) -> bool:
    """Whether both tables hold the same rows, each as often."""
    columns = names(
        [
            *contract.stage_columns,
            "load_id",
            "known_from",
            "known_to",
            "public_from",
            "public_to",
        ]
    )
    either = sql.SQL("select {columns} from {one} except all select {columns} from {other}")
    before = sql.Identifier("raw", BEFORE)
    tables = [(raw_table(contract), before), (before, raw_table(contract))]
    return not any(
        _number(
            connection,
            sql.SQL("select count(*) from ({}) as d").format(
                either.format(columns=columns, one=one, other=other)
            ),
        )
        for one, other in tables
    )


def _number(connection: psycopg.Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
