"""HTTP pull: what a feed's address holds now, as an arrival like any file of the inbox.

The address may carry a key (in its query, or as user and password), and every error of requests and every debug line of
urllib3 quotes it. So such errors never leave this module, and what is shown and kept is the address without them. No
redirect to another host is followed: the key would travel along.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import requests
import urllib3

from kpi_warehouse.errors import SourceRefused, SourceUnavailable
from kpi_warehouse.sources.files import LARGEST_BYTES, Arrival
from kpi_warehouse.sources.inbox_names import given_name, name_fault
from kpi_warehouse.warehouse.reception import Seen, note_pulled, validators_of

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
TOTAL_SECONDS = 600.0
MOST_REDIRECTS = 5
PIECE = 1 << 18
_SUFFIXES = {"json": ".json", "csv": ".csv", "sheet": ".xlsx", "ms-excel": ".xls", "text/plain": ".txt"}


class _HideQuery(logging.Filter):
    """Takes queries out of urllib3's lines. A filter acts on its own logger only, so each one gets it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"\?[^\s\"']+", "?***", record.getMessage()), ()
        return True


_LOGGERS = [
    logging.getLogger(f"urllib3.{name}")
    for name in ("connection", "connectionpool", "poolmanager", "response", "util.retry")
]


@contextmanager
def _queries_hidden() -> Iterator[None]:
    """While we ask; other clients of this process hide their own keys and tell the rest."""
    hide = _HideQuery()
    for logger in _LOGGERS:
        logger.addFilter(hide)
    try:
        yield
    finally:
        for logger in _LOGGERS:
            logger.removeFilter(hide)


def pull(feed: str, url: str, *, largest_bytes: int = LARGEST_BYTES) -> Arrival | None:
    """Fetch what a feed's address holds; None when it is what was taken from there before.

    Raises:
        SourceUnavailable: no whole answer for now (time-out, 5xx, 429, connection). Code `http.unavailable`.
        SourceRefused: the answer is no (4xx), points elsewhere, or is too large. Code `http.refused`, `http.redirect`
            or `http.too_large`.
    """
    location = f"{_shown(url)}#{feed}"
    known = validators_of(location)
    headers = {"User-Agent": "kumamoto-kpi-warehouse"}
    headers |= {
        {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}[name]: value
        for name, value in known.items()
    }
    try:
        with _queries_hidden():
            answer = _fetch(url, headers, largest_bytes, location)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        trouble: str | None = type(error).__name__
    else:
        trouble = None
    if trouble is not None:
        # Raised outside of the handler: the original quotes the address.
        raise SourceUnavailable(
            f"{location} から受け取れません（{trouble}）。時間をおいてやり直します。", "http.unavailable"
        )
    if answer is None:
        return None
    body, response = answer
    validators = {
        name: value for name in ("etag", "last-modified") if (value := response.headers.get(name, "")) != ""
    }
    name = _name_of(url, feed, response.headers.get("content-type", ""))
    seen = Seen(name, location, len(body), _moment(validators.get("last-modified")))
    delivery = note_pulled(feed, seen, hashlib.sha256(body).hexdigest(), validators)
    if delivery.state != "settling":
        return None
    return Arrival(delivery.delivery_id, name, location, len(body), delivery.mtime, lambda: body, feed)


def _fetch(
    url: str, headers: dict[str, str], largest_bytes: int, location: str
) -> tuple[bytes, requests.Response] | None:
    deadline = time.monotonic() + TOTAL_SECONDS
    with requests.Session() as session:
        for _ in range(MOST_REDIRECTS):
            with session.get(
                url,
                headers=headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
                allow_redirects=False,
            ) as response:
                if response.is_redirect:
                    url = _same_host(url, response.headers["location"], location)
                    continue
                if response.status_code == 304:
                    return None
                _judge(response.status_code, location)
                body = bytearray()
                for piece in response.iter_content(PIECE):
                    body += piece
                    if len(body) > largest_bytes:
                        raise SourceRefused(
                            f"{location} の内容が大きすぎます（上限 {largest_bytes / 1024**2:,.0f} MB）。",
                            "http.too_large",
                        )
                    if time.monotonic() > deadline:
                        raise TimeoutError
                return bytes(body), response
    raise SourceRefused(f"{location} は転送を繰り返します。契約の url を確認してください。", "http.redirect")


def _judge(status: int, location: str) -> None:
    if status == 200:
        return
    if status >= 500 or status in (408, 425, 429):
        raise SourceUnavailable(
            f"{location} が一時的に応答できません（HTTP {status}）。時間をおいてやり直します。",
            "http.unavailable",
        )
    raise SourceRefused(
        f"{location} が断りました（HTTP {status}）。契約の url と、鍵の期限を確認してください。",
        "http.refused",
    )


def _same_host(url: str, target: str, location: str) -> str:
    """Where a redirect points, on the same host; from http to https is the same host."""
    moved = urljoin(url, target)
    old, new = urlsplit(url), urlsplit(moved)
    upgraded = old.scheme == "http" and new.scheme == "https"
    same_port = (old.port or _port(old.scheme)) == (new.port or _port(new.scheme))
    if old.hostname != new.hostname or not (upgraded or (old.scheme == new.scheme and same_port)):
        raise SourceRefused(
            f"{location} は別の場所（{new.hostname}）へ転送します。転送先が正しければ、契約の url を書き換えてください。",
            "http.redirect",
        )
    return moved


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _shown(url: str) -> str:
    """The address without user, password and what its query says; the names of the query's parts stay."""
    parts = urlsplit(url)
    query = "&".join(f"{name}=***" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?' + query if query else ''}"


def _name_of(url: str, feed: str, content_type: str) -> str:
    name = given_name(unquote(urlsplit(url).path).rpartition("/")[2])
    if name_fault(name) is None and name.casefold().endswith(tuple(_SUFFIXES.values())):
        return name
    return feed + next((suffix for kind, suffix in _SUFFIXES.items() if kind in content_type), "")


def _moment(last_modified: str | None) -> datetime | None:
    if not last_modified:
        return None
    try:
        at = parsedate_to_datetime(last_modified)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
