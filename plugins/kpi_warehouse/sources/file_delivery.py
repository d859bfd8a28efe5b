"""A delivery of a division as the source of a load: what waits for the feed is taken, one file a load."""

from __future__ import annotations

import os

from psycopg.types.json import Jsonb

from kpi_warehouse.contract import Contract, file_source
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_http import pull
from kpi_warehouse.sources.inbox_receive import file_feeds, receive, receive_all
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.deliveries import Delivery, next_delivery
from kpi_warehouse.warehouse.ledger import Step


def take_delivery(current: Step, contract: Contract) -> Delivery | None:
    """The delivery this load is to bring in, noted as its only page; None when nothing new has come.

    What was received already is taken first. Otherwise the inbox (or the feed's address) is looked at here and now, so
    that a run started by hand, or the nightly one, needs no watcher.

    Raises:
        SourceUnavailable, SourceRefused: inbox or address cannot be read.
    """
    delivery = next_delivery(contract.feed, current.load_id)
    if delivery is None:
        look(contract)
        delivery = next_delivery(contract.feed, current.load_id)
    if delivery is None:
        return None
    current.connection.execute("delete from ops.load_page where load_id = %s", [current.load_id])
    current.connection.execute(
        "insert into ops.load_page (load_id, page, part, sha256, url, params) values (%s, 1, 1, %s, %s, %s)",
        [
            current.load_id,
            delivery.sha256,
            delivery.location,
            Jsonb({"file_name": delivery.file_name, "delivery_id": delivery.delivery_id}),
        ],
    )
    return delivery


def look(contract: Contract) -> None:
    """Look into the inbox, or ask the feed's address, and receive what is there."""
    url = feed_url(contract)
    if url is None:
        receive_all()
        if _still_settling():
            receive_all(wait=True)
        return
    arrival = pull(contract.feed, url)
    if arrival is not None:
        receive(arrival, file_feeds(settings().contracts))


def _still_settling() -> bool:
    """Whether files were seen that may still be growing; only then is a second look worth its wait."""
    with connect() as connection:
        row = connection.execute(
            "select exists (select 1 from ops.delivery where state = 'settling')"
        ).fetchone()
    return bool(row and row[0])


def feed_url(contract: Contract) -> str | None:
    """Where a feed is pulled from: `KPI_FEED_URL_<FEED>`, else the contract's address; None for the inbox."""
    return os.environ.get(f"KPI_FEED_URL_{contract.feed.upper()}") or file_source(contract).url


def file_name_of(load_id: int) -> str:
    """Name of the file a load reads."""
    with connect() as connection:
        row = connection.execute(
            "select params ->> 'file_name' from ops.load_page where load_id = %s order by page", [load_id]
        ).fetchone()
    return str(row[0]) if row else ""
