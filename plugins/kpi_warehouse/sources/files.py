"""The inbox: a folder that divisions drop files into, at any fsspec URL (`KPI_INBOX`), and what arrives there.

A look (`scan`) lists the files, and a file counts once it had the same size and time at two looks at least
`KPI_INBOX_SETTLE_SECONDS` apart, so one that is still being written is never taken. What was seen is kept in
`ops.delivery`, so the two looks may be of different processes, and a file keeps the number of its first look.

**Files are left where they are**, taken or not: we write nothing into the inbox and delete nothing from it. A share of a
division is often mounted for reading alone (SFTP, LGWAN file exchange), the division wants to see what it handed in, and
a move that is killed half-way is a file lost. The exact bytes of what was taken are in landing, and `ops.delivery`
remembers every file by place, size and time, so that one which lies there for years is looked at once. Whoever tidies the
folder may do so at any time: a file is not needed any more as soon as it was received. Folders named 返却 (return slips) and
処理済 (for those who tidy) are not looked into.

A symbolic link is not followed, and a name that wants to be a path is refused.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
import paramiko
from fsspec.implementations.local import LocalFileSystem

from kpi_warehouse.errors import KpiError, SourceUnavailable
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_names import (
    FileFeed,
    given_name,
    is_skipped,
    is_skipped_folder,
    match_name,
)
from kpi_warehouse.warehouse.reception import Seen, note_seen

LARGEST_BYTES = 200 * 1024 * 1024
DEEPEST = 4
MOST_FILES = 20_000
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
log = logging.getLogger(__name__)


class FileMoved(KpiError):
    """The file changed or went away while it was read: the next look sees how it is then."""

    retryable = True


@dataclass(frozen=True)
class Arrival:
    """A whole file that waits for reception. `size` is in bytes; `feed` is set when its address or its folder belongs to a feed.

    `read` gives its bytes; it raises FileMoved or SourceUnavailable.
    """

    delivery_id: int
    name: str
    location: str
    size: int
    mtime: datetime | None
    read: Callable[[], bytes] = field(repr=False, compare=False)
    feed: str | None = None


def scan(inbox_url: str, contracts: Sequence[FileFeed]) -> list[Arrival]:
    """Look into the inbox once: the files that wait for reception, in the order of their arrival.

    Files that are new or still change are noted; a later look returns them. Of those that matched no contract before,
    only the ones come back that match one now.

    Raises:
        SourceUnavailable: the inbox cannot be listed.
        StorageFailed: the database cannot be reached.
    """
    inbox, listed_at = Inbox(inbox_url), time.monotonic()
    listed = {file.location: (file, path) for file, path in inbox.files()}
    # In the order in which they were written, as far as the place knows it: 最終 before 最終2 whatever their names say.
    files = sorted(
        (file for file, _ in listed.values()),
        key=lambda file: (file.mtime or datetime.max.replace(tzinfo=UTC), file.location),
    )
    arrivals = []
    for delivery in note_seen(inbox.shown, files, settings().inbox_settle_seconds, listed_at):
        feed = feed_of_folder(delivery.location.removeprefix(inbox.shown), contracts)
        if (
            delivery.state == "unmatched"
            and feed is None
            and isinstance(match_name(delivery.file_name, contracts), str)
        ):
            continue
        file, path = listed[delivery.location]
        arrivals.append(
            Arrival(
                delivery.delivery_id,
                file.file_name,
                file.location,
                file.bytes,
                file.mtime,
                _reader(inbox, path, file),
                feed,
            )
        )
    return arrivals


def feed_of_folder(place: str, contracts: Sequence[FileFeed]) -> str | None:
    """The feed whose name a folder on the way to a file has: whoever puts it there has said which one it is."""
    feeds = {contract.feed for contract in contracts}
    return next((name for name in reversed(place.split("/")[:-1]) if name in feeds), None)


def _reader(inbox: Inbox, path: str, file: Seen) -> Callable[[], bytes]:
    return lambda: inbox.read(path, file)


class Inbox:
    """An inbox at an fsspec URL. `shown` is its address without password.

    Raises:
        SourceUnavailable: also of every method, when the place cannot be reached or read. Code `inbox.unreachable`,
            `inbox.missing` or `inbox.forbidden`.
    """

    def __init__(self, url: str) -> None:
        self.shown = shown_address(url)
        # fsspec takes %E7%86%8A in a file URL for the name of a folder.
        address = unquote(url) if url.startswith("file://") else url
        options: dict[str, Any] = {}
        if address.startswith(("sftp://", "ssh://")):
            options = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), CONNECT_SECONDS)
            options["host_key_policy"] = KnownHosts
        self._files: Any
        try:
            self._files, root = fsspec.core.url_to_fs(address, **options)
            if options:
                self._files.ftp.get_channel().settimeout(ANSWER_SECONDS)
        except Exception as error:
            raise self._unreachable(error) from None
        self._root = root.rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)

    def files(self) -> list[tuple[Seen, str]]:
        """The files that may be deliveries, each with the path to read it by."""
        found = []
        try:
            self._files.invalidate_cache()
            for entry in self._walk(self._root, 0):
                path = str(entry["name"])
                relative = path.removeprefix(self._root).lstrip("/")
                # A name in another encoding cannot be kept as text; its bytes are spelled out.
                place = relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                name = given_name(relative.rpartition("/")[2])
                # Only a folder of this machine says when a file was put there; elsewhere `created` is its writing.
                put_at = _instant(entry.get("created")) if self._local else None
                seen = Seen(name, f"{self.shown}/{place}", int(entry["size"] or 0), _mtime(entry), put_at)
                found.append((seen, path))
                if len(found) >= MOST_FILES:
                    log.warning(
                        "受付箱 %s には %d 件を超えるファイルがあります。整理してください。",
                        self.shown,
                        MOST_FILES,
                    )
                    break
        except Exception as error:
            raise self._unreachable(error) from None
        return found

    def _walk(self, folder: str, depth: int) -> Iterator[dict[str, Any]]:
        try:
            entries = self._files.ls(folder, detail=True)
        except PermissionError:
            if depth == 0:
                raise
            log.warning("受付箱の中のフォルダーを開く権限がありません：%s", shown_address(folder))
            return
        for entry in sorted(entries, key=lambda entry: str(entry["name"])):
            name = str(entry["name"]).rstrip("/").rpartition("/")[2]
            if entry["type"] == "directory" and not entry.get("islink"):
                if depth < DEEPEST and not is_skipped_folder(name):
                    yield from self._walk(entry["name"], depth + 1)
            elif entry["type"] == "file" and not entry.get("islink") and not is_skipped(name):
                yield entry

    def read(self, path: str, file: Seen) -> bytes:
        """The bytes of a file that is, before and after, as it was seen.

        Raises:
            FileMoved: it is not; or it is larger than what is taken.
        """
        try:
            self._same(path, file)
            with self._files.open(path, "rb") as stream:
                if hasattr(stream, "prefetch"):
                    stream.prefetch(file.bytes)
                body: bytes = stream.read(min(file.bytes, LARGEST_BYTES) + 1)
            self._same(path, file)
        except FileNotFoundError:
            raise FileMoved(f"{file.file_name} は読み取る前になくなりました。", "inbox.moved") from None
        except KpiError:
            raise
        except Exception as error:
            raise self._unreachable(error) from None
        if len(body) != file.bytes:
            raise FileMoved(f"{file.file_name} は書き込みの途中です。", "inbox.moved")
        return body

    def _same(self, path: str, file: Seen) -> None:
        self._files.invalidate_cache()
        entry = self._files.info(path)
        if entry.get("islink") or (entry["size"], _mtime(entry)) != (file.bytes, file.mtime):
            raise FileMoved(f"{file.file_name} は読み取りの間に変わりました。", "inbox.moved")

    def _unreachable(self, error: Exception) -> SourceUnavailable:
        # A connection that broke is not used again.
        if getattr(self, "_files", None) is not None:
            type(self._files).clear_instance_cache()
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            code, reason = "inbox.missing", "フォルダーが見つかりません"
        elif isinstance(error, PermissionError | paramiko.AuthenticationException):
            code, reason = "inbox.forbidden", "開く権限がありません"
        else:
            code, reason = "inbox.unreachable", f"つながりません（{type(error).__name__}）"
        return SourceUnavailable(
            f"受付箱 {self.shown} を読めません：{reason}。KPI_INBOX の値と、置き場所の状態を確認してください。",
            code,
        )


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Takes a server whose key `~/.ssh/known_hosts` holds, refuses one whose key differs, and says that it met a new one."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Asked by paramiko, which knows no hosts of its own."""
        path = Path("~/.ssh/known_hosts").expanduser()
        known = paramiko.HostKeys(str(path)) if path.exists() else paramiko.HostKeys()
        if known.check(hostname, key):
            return
        if known.lookup(hostname) is not None:
            raise paramiko.BadHostKeyException(hostname, key, next(iter(known[hostname].values())))
        log.warning(
            "SFTP サーバー %s の鍵は known_hosts にありません（%s）。", hostname, key.get_fingerprint().hex()
        )


def shown_address(url: str) -> str:
    """An address that may be shown and kept: without password, user and query, in readable letters."""
    if "://" not in url:
        return unquote(url).rstrip("/")
    parts = urlsplit(url)
    return unquote(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}").rstrip("/")


def _mtime(entry: dict[str, Any]) -> datetime | None:
    """When a file was written, as its place says, to the microsecond; None when it does not."""
    return _instant(next((entry[name] for name in _TIMES if entry.get(name) is not None), None))


def _instant(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(re.sub(r"Z$", "+00:00", value))
        except ValueError:
            return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return None
