"""Landed e-Stat pages → rows of a stage table.

A process fetches the next page from landing while it inflates, decodes and sends this one, a few hundred rows at a time;
several processes take a part of the pages each. Memory is bounded by two compressed pages a process, whatever the table's size.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise

from isal import isal_zlib

from kpi_warehouse.contract import Contract
from kpi_warehouse.readers.estat_json import PageReader
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.tables import copy_statement

GZIP_WBITS = 31
# Of inflated text: what is made of a piece still fits into the processor's cache.
PIECE_BYTES = 128 * 1024


@dataclass(frozen=True)
class LandedPage:
    """A page of a load: its number, the digest of its bytes, and whether they are compressed (`gzip` or None)."""

    page: int
    sha256: str
    content_encoding: str | None


def stage_pages(
    contract: Contract, load_id: int, periods: list[date], pages: list[LandedPage], processes: int
) -> int:
    """Decode and COPY pages into the load's stage table; returns the rows.

    Raises:
        UnreadableValue: a page holds what the contract does not know; with page, row and text.
        StorageFailed: landing has lost or damaged a page.
    """
    borders = [0, *share_borders(len(pages), processes), len(pages)]
    shares = [pages[first:last] for first, last in pairwise(borders) if first < last]
    if len(shares) <= 1:
        return sum(_stage_share(contract, load_id, periods, share) for share in shares)
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(shares) - 1, mp_context=fork, initializer=_end_with_parent) as pool:
        running = [pool.submit(_stage_share, contract, load_id, periods, share) for share in shares[1:]]
        own = _stage_share(contract, load_id, periods, shares[0])
        return own + sum(share.result() for share in running)


def share_borders(pages: int, processes: int) -> list[int]:
    """Where one process's share of the pages ends and the next one's begins: numbers of pages, from 1, without the last.

    Each share is a run of pages, so that the rows of a stage table can be read again in the order in which they arrived.
    """
    return sorted({pages * share // processes for share in range(1, processes)} - {0, pages})


def _end_with_parent() -> None:
    """A process whose parent was killed would keep the stage table locked and wait for work that never comes."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stage_share(contract: Contract, load_id: int, periods: list[date], pages: list[LandedPage]) -> int:
    landing, reader, rows = Landing(settings().landing_url), PageReader(contract, periods), 0
    with (
        connect() as connection,
        ThreadPoolExecutor(1) as ahead,
        connection.cursor().copy(copy_statement(contract, load_id)) as copy,
    ):
        coming = ahead.submit(landing.get, pages[0].sha256)
        for position, page in enumerate(pages):
            body = coming.result()
            if position + 1 < len(pages):
                coming = ahead.submit(landing.get, pages[position + 1].sha256)
            for block in reader.read(partial(_text, body, page.content_encoding), page.page):
                copy.write(block.copy_text)
                rows += block.rows
    return rows


def _text(body: bytes, content_encoding: str | None) -> Iterator[bytes]:
    """The text of a landed page in pieces. That its stream is whole was proved before it was landed."""
    if content_encoding != "gzip":
        yield from (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))
        return
    stream, coming = isal_zlib.decompressobj(GZIP_WBITS), body
    while not stream.eof:
        piece = stream.decompress(coming, PIECE_BYTES)
        coming = stream.unconsumed_tail
        if not piece and not stream.eof:
            return
        yield piece
