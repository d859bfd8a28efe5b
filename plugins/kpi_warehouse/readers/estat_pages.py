"""Landed e-Stat pages → rows of a stage table.

One process inflates the next page while it decodes this one and sends the last; several processes take every n-th page
each. Memory is bounded by the pages in flight, two a process, whatever the table's size.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from isal import isal_zlib

from kpi_warehouse.contract import Contract
from kpi_warehouse.readers.estat_json import PageReader
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.tables import copy_statement

GZIP_WBITS = 31
# mallopt(3): what glibc asks of the system beyond what it needs just now, and keeps.
M_TOP_PAD, KEPT_BYTES = -2, 64 * 1024 * 1024


@dataclass(frozen=True)
class LandedPage:
    """A page of a load: its number, the digest of its bytes, and whether they are compressed (`gzip` or None)."""

    page: int
    sha256: str
    content_encoding: str | None


def stage_pages(
    contract: Contract, load_id: int, periods: list[str], pages: list[LandedPage], processes: int
) -> int:
    """Decode and COPY pages into the load's stage table; returns the rows.

    Raises:
        UnreadableValue: a page holds what the contract does not know; with page, row and text.
        StorageFailed: landing has lost or damaged a page.
    """
    shares = [share for start in range(processes) if (share := pages[start::processes])]
    if len(shares) <= 1:
        return sum(_stage_share(contract, load_id, periods, share) for share in shares)
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(shares), mp_context=fork, initializer=_end_with_parent) as pool:
        running = [pool.submit(_stage_share, contract, load_id, periods, share) for share in shares]
        return sum(share.result() for share in running)


def _end_with_parent() -> None:
    """A process whose parent was killed would keep the stage table locked and wait for work that never comes."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stage_share(contract: Contract, load_id: int, periods: list[str], pages: list[LandedPage]) -> int:
    landing, reader, rows = Landing(settings().landing_url), PageReader(contract, periods), 0

    _keep_memory()

    def inflate(page: LandedPage) -> bytes:
        body = landing.get(page.sha256)
        return isal_zlib.decompress(body, GZIP_WBITS) if page.content_encoding == "gzip" else body

    with (
        connect() as connection,
        ThreadPoolExecutor(1) as ahead,
        connection.cursor().copy(copy_statement(contract, load_id)) as copy,
    ):
        coming = ahead.submit(inflate, pages[0])
        for position, page in enumerate(pages):
            body = coming.result()
            if position + 1 < len(pages):
                coming = ahead.submit(inflate, pages[position + 1])
            read = reader.read(body, page.page)
            copy.write(read.copy_text)
            rows += read.rows
    return rows


def _keep_memory() -> None:
    """Keep the memory of one page for the next: given back and faulted in again it costs a tenth of the time.

    A C library without this setting manages without.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_TOP_PAD, KEPT_BYTES)
