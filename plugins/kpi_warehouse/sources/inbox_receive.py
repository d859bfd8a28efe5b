"""Reception: a whole file → its contract → the personal-data check → landing → the book of deliveries.

In this order: nothing is kept of a file that no contract is known for, that cannot be read, or that holds people. Such a
file stays where it lies, untouched, and its delivery says why. Killed anywhere, the next look does the same again; a file that
killed its reader three times is refused as unreadable.

`python -m kpi_warehouse.sources.inbox_receive` is one look in a process of its own, so that a hostile file brings down that
process and not the one that watches the inbox.
"""

from __future__ import annotations

import hashlib
import logging
import resource
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import fsspec
import psycopg

from kpi_warehouse.contract import Contract, file_source, load_contract
from kpi_warehouse.errors import GateRejected, KpiError, LoadConflict, UnreadableFile
from kpi_warehouse.readers.places import places_in_words
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.files import LARGEST_BYTES, Arrival, FileMoved, scan, shown_address
from kpi_warehouse.sources.inbox_names import (
    FileFeed,
    given_name,
    is_skipped,
    match_name,
    match_properties,
    name_fault,
    shown_name,
)
from kpi_warehouse.sources.inbox_reading import Content, read_content
from kpi_warehouse.sources.personal_data import find_personal_data, refusal
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.deliveries import (
    REFUSED,
    SENT_BACK,
    Delivery,
    accepted_with,
    find_delivery,
    latest_delivery,
    read_delivery,
    reopen,
)
from kpi_warehouse.warehouse.landing import Landing, write_whole
from kpi_warehouse.warehouse.reception import accept, receiving, refuse, unsettle

MOST_ATTEMPTS = 3
# A watcher that looks at the same moment may have a file in hand that is handed in by command.
LONGEST_WAIT_SECONDS = 10.0
MOST_MEMORY_BYTES = 4 * 1024**3
MEDIA_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    ".xls": "application/vnd.ms-excel",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".json": "application/json",
}
log = logging.getLogger(__name__)


def file_feeds(folder: Path) -> tuple[FileFeed, ...]:
    """The contracts in force whose files come through the inbox; one that is wrong at the moment is left out.

    Read anew only when a file of the folder has changed.
    """
    stamps = tuple(
        (path, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in sorted(folder.glob("*.odcs.yaml"))
    )
    return _file_feeds(stamps)


@lru_cache(maxsize=1)
def _file_feeds(stamps: tuple[tuple[Path, int, int], ...]) -> tuple[FileFeed, ...]:
    feeds: list[FileFeed] = []
    for path, _, _ in stamps:
        try:
            contract = load_contract(path)
        except KpiError as error:
            log.warning("契約を読めないため、このフィードのファイルは受け取れません：%s", error.message_ja)
            continue
        except Exception:
            # Whatever is wrong with one contract, the files of the others are received.
            log.exception("契約 %s を読めないため、このフィードのファイルは受け取れません。", path.name)
            continue
        if contract.status == "active" and hasattr(contract.source, "file_names"):
            feeds.append(cast(FileFeed, contract))
    return tuple(feeds)


def inbox_in_use() -> str:
    """The inbox's URL. The default folder is made; any other place must be there, for it may be a mount that is missing."""
    if not settings().inbox:
        (settings().home / "inbox").mkdir(parents=True, exist_ok=True)
    return settings().inbox_url


def hand_in(contract: Contract, path: Path) -> Delivery:
    """Put a file into the inbox for a division, into the folder of its feed, and receive it.

    The same bytes under the same name are the file that was handed in before: what was refused is looked at again, what was
    received waits on. Other bytes under a name that is taken get a number (`実績 (2).xlsx`).

    Returns:
        The delivery that is to be loaded, `received`; or the one that holds these bytes already, as it ended.

    Raises:
        KpiError: the feed's files do not come through the inbox, its contract is no more than a draft, or the file is not of
            this feed (`inbox.unmatched`).
        UnreadableFile: nothing of it can be read (`inbox.unreadable`).
        GateRejected: it holds personal data (`inbox.refused_personal`).
        SourceUnavailable: the inbox cannot be reached.
    """
    if not file_source(contract).file_names:
        raise KpiError(f"{contract.feed} のファイルは受付フォルダーを通りません。", "inbox.no_names")
    if contract.status != "active":
        raise KpiError(
            f"{contract.feed} はまだ下書き（status: {contract.status}）です。"
            "（要確認）の箇所を確かめて status を active にし、`kpi feed check` に通してから取り込んでください。",
            "inbox.draft",
        )
    name = given_name(path.name)
    if is_skipped(name):
        raise KpiError(
            f"「{shown_name(name)}」は編集中の一時ファイルか、隠しファイルです。元のファイルを指定してください。",
            "inbox.skipped",
        )
    if fault := name_fault(name):
        raise KpiError(f"「{shown_name(name)}」：{fault}。名前を付け直してください。", "inbox.unmatched")
    body = path.read_bytes()
    inbox = inbox_in_use()
    files, root = fsspec.core.url_to_fs(unquote(inbox))
    folder = f"{root.rstrip('/')}/{contract.feed}"
    for place in _places(folder, name):
        if not files.exists(place):
            write_whole(files, place, body)
            break
        if files.cat_file(place) == body:
            break
    location = f"{shown_address(inbox)}/{contract.feed}/{place.rpartition('/')[2]}"
    before = latest_delivery(location)
    if before is not None and before.state in (*REFUSED, *SENT_BACK):
        reopen(before.delivery_id)
    receive_all(wait=True)
    return _handed_in(location, name)


def _places(folder: str, name: str) -> Iterator[str]:
    """Paths for a file in a folder: under its name, then with a number."""
    stem, suffix = Path(name).stem, Path(name).suffix
    yield f"{folder}/{name}"
    for number in count(2):
        yield f"{folder}/{stem} ({number}){suffix}"


def _handed_in(location: str, name: str) -> Delivery:
    """What became of the file that lies there.

    Raises:
        KpiError: it was refused, or another process still has it in hand.
    """
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        delivery = latest_delivery(location)
        if delivery is None or delivery.state != "settling" or time.monotonic() > until:
            break
        time.sleep(0.1)
    if delivery is None or delivery.state == "settling":
        raise LoadConflict(
            f"「{name}」は別の処理が受け取っている途中です。少し待って、もう一度実行してください。",
            "inbox.in_hand",
        )
    if delivery.state == "duplicate":
        with connect() as connection:
            delivery = accepted_with(connection, str(delivery.feed), str(delivery.sha256)) or delivery
    if delivery.state in REFUSED:
        kind = {"unreadable": UnreadableFile, "refused_personal": GateRejected}.get(delivery.state, KpiError)
        raise kind(str(delivery.message_ja), f"inbox.{delivery.state}")
    return delivery


def receive_all(
    inbox_url: str | None = None, feeds: Sequence[FileFeed] | None = None, *, wait: bool = False
) -> list[Delivery]:
    """One look into the inbox, and reception of what is whole; returns what was decided.

    Args:
        inbox_url: default `KPI_INBOX`.
        feeds: default the contracts in force.
        wait: look a second time after the settling time, so that what lies there now is taken now.

    Raises:
        SourceUnavailable: the inbox cannot be listed.
        Exception: of all files that were whole none could be taken; what the first one met.
    """
    inbox_url = inbox_url or inbox_in_use()
    feeds = feeds if feeds is not None else file_feeds(settings().contracts)
    arrivals = scan(inbox_url, feeds)
    if wait:
        time.sleep(settings().inbox_settle_seconds)
        arrivals = scan(inbox_url, feeds)
    decided: list[Delivery] = []
    failed = []
    for arrival in arrivals:
        try:
            delivery = receive(arrival, feeds)
        except Exception as error:
            # One file must not keep the others out; this one is tried again with the next look.
            log.exception("受付番号 %s（%s）を受け取れませんでした。", arrival.delivery_id, arrival.name)
            failed.append(error)
            continue
        if delivery.state != "settling":
            decided.append(delivery)
            log.info("受付番号 %s %s %s", delivery.delivery_id, delivery.state, delivery.file_name)
    if failed and not decided:
        raise failed[0]
    return decided


def receive(arrival: Arrival, feeds: Sequence[FileFeed]) -> Delivery:
    """Take one file; returns its delivery: received, duplicate, refused, or still settling when it moved meanwhile.

    Idempotent. A delivery that another process has in hand is returned as it is.

    Raises:
        SourceUnavailable: it cannot be read for now.
        StorageFailed: landing or the database cannot take it for now.
    """
    with receiving(arrival.delivery_id) as connection:
        if connection is None:
            return read_delivery(arrival.delivery_id)
        if find_delivery(connection, arrival.delivery_id).attempts > MOST_ATTEMPTS:
            message = (
                f"{arrival.name} は読み取りの途中で {MOST_ATTEMPTS} 回止まりました。運用担当が調べます。"
            )
            return refuse(
                connection, arrival.delivery_id, "unreadable", message, feed=arrival.feed, sha256=None
            )
        try:
            return _take(connection, arrival, feeds)
        except FileMoved:
            return unsettle(connection, arrival.delivery_id)
        except KpiError:
            # Trouble of the network, the disk or the database is none of the file's.
            connection.rollback()
            unsettle(connection, arrival.delivery_id)
            raise


def _take(connection: psycopg.Connection, arrival: Arrival, feeds: Sequence[FileFeed]) -> Delivery:
    number, name = arrival.delivery_id, arrival.name
    if arrival.size > LARGEST_BYTES:
        message = f"{name} は大きすぎます（{arrival.size / 1024**2:,.0f} MB、上限 {LARGEST_BYTES // 1024**2} MB）。分けて入れてください。"
        return refuse(connection, number, "unreadable", message, feed=arrival.feed, sha256=None)
    body = arrival.read()
    sha256 = hashlib.sha256(body).hexdigest()
    named: FileFeed | str = (
        next(
            (feed for feed in feeds if feed.feed == arrival.feed),
            "このファイルを取り込む設定が、今はありません。",
        )
        if arrival.feed
        else match_name(name, feeds)
    )
    content: Content | UnreadableFile
    # A name that fits none may still be a workbook that says itself where it belongs.
    source = None if isinstance(named, str) else named.source
    try:
        content = read_content(
            body,
            name,
            encoding=getattr(source, "encoding", None),
            delimiter=getattr(source, "delimiter", None),
        )
    except UnreadableFile as error:
        content = error
    hidden = match_properties(content.properties, feeds) if isinstance(content, Content) else None
    if arrival.feed and hidden is not None and hidden.feed != arrival.feed:
        message = (
            f"「{name}」は「{hidden.title_ja}」（{hidden.owner}）の様式です。その取込に提出してください。"
        )
        return refuse(connection, number, "unreadable", message, feed=arrival.feed, sha256=sha256)
    feed = hidden or named
    if isinstance(feed, str):
        return refuse(connection, number, "unmatched", feed, feed=None, sha256=sha256)
    if isinstance(content, UnreadableFile):
        return refuse(connection, number, "unreadable", content.message_ja, feed=feed.feed, sha256=sha256)
    people = find_personal_data(content.sheets, allowed=feed.source.not_personal)
    if people:
        return refuse(
            connection,
            number,
            "refused_personal",
            places_in_words(refusal(people)),
            feed=feed.feed,
            sha256=sha256,
        )
    landed = Landing(settings().landing_url).put(body)
    suffix = Path(name).suffix.casefold()
    return accept(connection, number, feed.feed, landed, MEDIA_TYPES.get(suffix, "application/octet-stream"))


if __name__ == "__main__":
    # What unpacks beyond this ends as an error of the one file, not as a machine without memory.
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, resource.RLIM_INFINITY))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    receive_all()
