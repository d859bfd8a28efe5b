"""The pull of an e-Stat feed: pages into landing and into the book of loads, and whether a pull is needed at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
from psycopg.types.json import Jsonb

from kpi_warehouse.contract import Contract
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.estat import EstatClient, Page
from kpi_warehouse.sources.estat_plan import Plan
from kpi_warehouse.warehouse.landing import Landed, Landing
from kpi_warehouse.warehouse.ledger import Step


def accepted_periods(connection: psycopg.Connection, contract: Contract) -> set[date]:
    """First days of the feed's periods that have been accepted."""
    rows = connection.execute(
        "select period from ops.period_digest where feed = %s", [contract.feed]
    ).fetchall()
    return {row[0] for row in rows}


def nothing_newer(
    connection: psycopg.Connection, contract: Contract, plan: Plan, updated_on: date | None
) -> bool:
    """Whether an accepted load under this contract already holds these periods at the source's update date."""
    row = connection.execute(
        "select exists (select 1 from ops.load as l where feed = %s and state in ('published', 'unchanged')"
        # What was found before a publication was taken back may be what was taken back.
        " and not exists (select 1 from ops.undo as u where u.feed = l.feed and u.undone_at > l.opened_at)"
        " and contract_sha256 = %s and coalesce(held_rows, 0) = 0"
        " and period_from <= %s and period_to >= %s and source_updated_on >= %s)",
        [contract.feed, contract.sha256, plan.periods[0], plan.periods[-1], updated_on],
    ).fetchone()
    return bool(row and row[0])


def land_pages(current: Step, client: EstatClient, plan: Plan) -> None:
    """Land every page while the next one is on its way. A table that moves under the pull starts again from its first page.

    Nothing waits for the disk to have a page's entry in the books: a power cut before the end of the step makes the pull
    start again, and its end writes all of them for good.
    """
    current.connection.execute("set synchronous_commit = off")
    landing, declared, number = Landing(settings().landing_url), 0, 0
    moved = threading.Event()
    coming = client.pages(plan.query, on_restart=moved.set)
    _begin_reading(current)
    with ThreadPoolExecutor(1) as ahead:
        asked = ahead.submit(next, coming, None)
        while (page := asked.result()) is not None:
            # Read before the next request can set it.
            if moved.is_set():
                moved.clear()
                declared = number = 0
                _begin_reading(current)
            asked = ahead.submit(next, coming, None)
            number += 1
            declared += page.total_number if page.from_number <= 1 else 0
            _land(current, landing.put(page.body), page, number)
            current.update(declared_rows=declared)
            current.connection.commit()
            current.detail = {"pages": number, "declared_rows": declared}
    current.connection.execute("reset synchronous_commit")


def _land(current: Step, landed: Landed, page: Page, number: int) -> None:
    current.connection.execute(
        "insert into ops.landed (sha256, bytes, location, media_type, content_encoding)"
        " values (%s, %s, %s, 'application/json', %s) on conflict do nothing",
        [landed.sha256, landed.bytes, landed.location, page.content_encoding],
    )
    current.connection.execute(
        "insert into ops.load_page (load_id, page, part, sha256, url, params, first_row, last_row, total_rows)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            current.load_id,
            number,
            page.part,
            landed.sha256,
            page.url,
            Jsonb(page.params),
            page.from_number,
            page.to_number,
            page.total_number,
        ],
    )


def _begin_reading(current: Step) -> None:
    current.connection.execute("delete from ops.load_page where load_id = %s", [current.load_id])
    # Before the first page is asked for: what is read from now on is newer than what others read before.
    current.connection.execute(
        "update ops.load set read_at = clock_timestamp() where load_id = %s", [current.load_id]
    )
    current.connection.commit()


def same_bytes(connection: psycopg.Connection, contract: Contract, load_id: int) -> bool:
    """Whether these pages are, byte for byte, those of the last accepted load of the same periods.

    While a question is open they are looked at all the same: the source has taken back what the question is about.
    """
    row = connection.execute(
        "with mine as (select array_agg((params, sha256) order by page) as pages from ops.load_page where load_id = %(me)s),"
        " last as (select l.load_id from ops.load as l join ops.load as m on m.load_id = %(me)s"
        " where l.feed = m.feed and l.load_id <> m.load_id and l.state = 'published' and l.contract_sha256 = %(contract)s"
        " and coalesce(l.held_rows, 0) = 0 and l.period_from = m.period_from and l.period_to = m.period_to"
        " and not exists (select 1 from ops.load as later where later.feed = l.feed and later.state = 'published'"
        " and later.published_at > l.published_at)"
        " and not exists (select 1 from ops.load_period as p where p.load_id = l.load_id and p.overtaken)"
        " and not exists (select 1 from ops.load as q where q.feed = l.feed and q.state = 'asked')"
        " order by l.published_at desc limit 1)"
        " select mine.pages = (select array_agg((p.params, p.sha256) order by p.page) from ops.load_page as p"
        " join last on last.load_id = p.load_id) from mine",
        {"me": load_id, "contract": contract.sha256},
    ).fetchone()
    return bool(row and row[0])
