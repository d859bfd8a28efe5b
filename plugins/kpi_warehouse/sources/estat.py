"""Client of the e-Stat API 3.0: getStatsList, getMetaInfo and getStatsData as JSON, page by page, exact bytes kept.

It reads the body before it judges the HTTP status (errors carry HTTP 4xx and 5xx with a normal body, and HTTP 200 too),
retries what can pass, never what cannot, and asks at most once a second unless told otherwise. The appId travels in the
query string because the API wants it there; it is in no `Page`, log line or error.

Source: e-Stat API 3.0 specification, https://www.e-stat.go.jp/api/api-info/e-stat-manual3-0
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests
import tenacity
from isal import isal_zlib

from kpi_warehouse.errors import KpiError, SourceRefused, SourceUnavailable
from kpi_warehouse.settings import Settings
from kpi_warehouse.sources.estat_answers import Head, TableEntry, TableMeta, read_head, read_listing, read_meta

PAGE_LIMIT = 100_000
CODES_LIMIT = 100
RESTARTS = 3
GZIP_WBITS = 31
_KEY = re.compile(r"(appId=)[^&\s\"']+", re.IGNORECASE)


class _HideKey(logging.Filter):
    """urllib3 logs every request line at DEBUG, with the query string."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _KEY.sub(r"\1***", record.getMessage()), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_HideKey())


@dataclass(frozen=True)
class DataQuery:
    """Cells of one table: for each axis (`tab`, `cat01`…, `area`, `time`) the codes wanted."""

    table_id: str
    axes: dict[str, list[str]]

    def parts(self) -> list[dict[str, str]]:
        """The query as request parameters; a list over 100 codes (the API's limit) is cut, so several may come back."""
        cut = [
            [(_parameter(axis), ",".join(codes[at : at + CODES_LIMIT])) for at in range(0, len(codes), CODES_LIMIT)]
            for axis, codes in self.axes.items()
        ]
        return [{"statsDataId": self.table_id, **dict(choice)} for choice in itertools.product(*cut)]


@dataclass(frozen=True)
class Page:
    """One answer of getStatsData: the exact bytes received, and what the answer says of itself.

    `part` counts the requests a query was cut into, from 1; the row numbers count within a part, from 1 (0: no data).
    `params` and `url` are without the appId.
    """

    body: bytes
    content_encoding: str | None
    url: str
    params: dict[str, str]
    part: int
    total_number: int
    from_number: int
    to_number: int
    next_key: int | None
    updated_on: str

    def text(self) -> bytes:
        """The JSON text, inflated."""
        return _inflate(self.body, self.content_encoding)


class _TableMovedError(Exception):
    """The table changed, or pages do not continue each other, while it was being read."""


class EstatClient:
    """Reads e-Stat.

    Args:
        base_url: address up to `/app`.
        app_id: the application's key.
        requests_per_second: most requests a second over all threads; 0 is no limit.
        timeout_seconds: to read an answer (some wrong parameters make the live API hang).
        attempts: tries of one request before it is given up.
        sleep: replaced in tests.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        *,
        requests_per_second: float = 1.0,
        timeout_seconds: float = 60.0,
        attempts: int = 6,
        page_limit: int = PAGE_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url, self._app_id = base_url.rstrip("/"), app_id
        self._pause = 1 / requests_per_second if requests_per_second else 0.0
        self._timeout, self._attempts, self._sleep = timeout_seconds, attempts, sleep
        self._page_limit = page_limit
        self._turn, self._next_at = threading.Lock(), 0.0
        self._session = requests.Session()
        self._session.headers.update({"Accept-Encoding": "gzip", "User-Agent": "kumamoto-kpi-warehouse"})

    @classmethod
    def from_settings(cls, settings: Settings) -> EstatClient:
        """The client as the environment configures it.

        Raises:
            SourceRefused: ESTAT_APP_ID is not set.
        """
        if settings.estat_app_id is None:
            raise SourceRefused(
                "e-Stat のアプリケーションIDが設定されていません。環境変数 ESTAT_APP_ID に設定してください"
                "（e-Stat の「マイページ → API機能（アプリケーションID発行）」で取得できます）。",
                "estat.no_key",
            )
        return cls(
            settings.estat_base_url,
            settings.estat_app_id.get_secret_value(),
            requests_per_second=settings.estat_requests_per_second,
            timeout_seconds=settings.estat_timeout_seconds,
        )

    def tables(
        self, *, stats_code: str | None = None, search_word: str | None = None, updated_date: str | None = None
    ) -> list[TableEntry]:
        """getStatsList: tables of a statistics code or search word, updated in `yyyymmdd` or `yyyymmdd-yyyymmdd`."""
        wanted = {"statsCode": stats_code, "searchWord": search_word, "updatedDate": updated_date}
        found: list[TableEntry] = []
        start: int | None = 1
        while start is not None:
            params = {name: value for name, value in wanted.items() if value} | {"startPosition": str(start)}
            answer = self._ask("getStatsList", params, what="統計表の一覧")
            entries, start = read_listing(answer.text)
            found += entries
        return found

    def describe(self, table_id: str) -> TableMeta:
        """getMetaInfo: title, update date, axes and codes of a table.

        Raises:
            SourceRefused: no such table, wrong key.
            SourceUnavailable: no usable answer after all tries.
        """
        return read_meta(table_id, self._ask("getMetaInfo", {"statsDataId": table_id}, what=f"統計表 {table_id}").text)

    def pages(self, query: DataQuery, *, on_restart: Callable[[], None]) -> Iterator[Page]:
        """getStatsData: every page of a query, in order.

        A table that changes while it is read (other TOTAL_NUMBER or update date, pages that do not continue) is read
        again from its first page: `on_restart` is called, and everything yielded before is to be forgotten.

        Raises:
            SourceUnavailable: no usable answer after all tries, or the table kept changing.
            SourceRefused: wrong key, parameter or table.
        """
        for _ in range(RESTARTS + 1):
            try:
                yield from self._pull(query)
            except _TableMovedError as moved:
                reason = str(moved)
                on_restart()
            else:
                return
        raise SourceUnavailable(
            f"e-Stat の統計表 {query.table_id} は取得中に変わり続けています（{reason}）。時間をおいてやり直してください。",
            "estat.moving",
        )

    def _pull(self, query: DataQuery) -> Iterator[Page]:
        updated_on = None
        for part, params in enumerate(query.parts(), start=1):
            start, total = 1, None
            while True:
                page = self._page(part, params, start)
                updated_on = updated_on or page.updated_on
                total = page.total_number if total is None else total
                if page.total_number == 0:
                    yield page
                    break
                if page.updated_on != updated_on:
                    raise _TableMovedError(f"更新日が {updated_on} から {page.updated_on} に変わりました")
                if page.total_number != total:
                    raise _TableMovedError(f"件数が {total} から {page.total_number} に変わりました")
                if page.from_number != start or (page.next_key is None and page.to_number != total):
                    raise _TableMovedError(f"{start} 件目からのはずが {page.from_number}〜{page.to_number}／{total} 件でした")
                yield page
                if page.next_key is None:
                    break
                start = page.next_key

    def _page(self, part: int, params: dict[str, str], start: int) -> Page:
        # CLASS_INF repeats what describe() read, so it is left out; replaceSpChars is never sent: 1 would turn hidden
        # values into 0.
        asked = {**params, "metaGetFlg": "N", "explanationGetFlg": "N", "limit": str(self._page_limit)}
        if start > 1:
            asked["startPosition"] = str(start)
        answer = self._ask("getStatsData", asked, what=f"統計表 {params['statsDataId']}")
        head = answer.head
        return Page(
            body=answer.body,
            content_encoding=answer.content_encoding,
            url=f"{self._base_url}/json/getStatsData?{urlencode(asked)}",
            params=asked,
            part=part,
            total_number=head.total_number,
            from_number=head.from_number,
            to_number=head.to_number,
            next_key=head.next_key,
            updated_on=head.updated_on,
        )

    def _ask(self, function: str, params: dict[str, str], *, what: str) -> _Answer:
        """One request, repeated while its trouble can pass."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(SourceUnavailable),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        answer: _Answer = retrying(self._ask_once, function, params, what)
        return answer

    def _ask_once(self, function: str, params: dict[str, str], what: str) -> _Answer:
        self._take_turn()
        trouble: KpiError | None = None
        try:
            with self._session.get(
                f"{self._base_url}/json/{function}",
                params={"appId": self._app_id, **params},
                timeout=(10, self._timeout),
                stream=True,
            ) as response:
                body = response.raw.read(decode_content=False)
                status, headers = response.status_code, response.headers
                announced = int(headers.get("Content-Length") or len(body))
        except requests.Timeout:
            trouble = _unavailable(what, f"{self._timeout:.0f} 秒以内に応答がありません", "estat.timeout")
        except (requests.RequestException, OSError, ValueError) as error:
            trouble = _unavailable(what, f"接続できません（{type(error).__name__}）", "estat.connection")
        except Exception as error:  # urllib3 raises its own errors while the raw body is read
            if type(error).__module__.split(".")[0] != "urllib3":
                raise
            trouble = _unavailable(what, f"通信が途中で切れました（{type(error).__name__}）", "estat.connection")
        if trouble is not None:
            # Raised out here so that the original error, whose text holds the URL with the key, is no context of it.
            raise trouble
        if len(body) < announced:
            raise _unavailable(what, f"応答が途中で切れました（{announced:,} バイト中 {len(body):,}）", "estat.truncated")
        return _judge(_Answer(body, headers.get("Content-Encoding")), status, headers.get("Retry-After"), what)

    def _take_turn(self) -> None:
        with self._turn:
            now = time.monotonic()
            wait = self._next_at - now
            self._next_at = max(now, self._next_at) + self._pause
        if wait > 0:
            time.sleep(wait)


class _Answer:
    """An answer's exact bytes, its text, and the head of it."""

    def __init__(self, body: bytes, content_encoding: str | None) -> None:
        self.body, self.content_encoding = body, content_encoding
        self.text = b""
        self.head = Head()


def _judge(answer: _Answer, status: int, retry_after: str | None, what: str) -> _Answer:
    """Read the body, then decide: what the body says counts before the HTTP status."""
    try:
        answer.text = _inflate(answer.body, answer.content_encoding)
    except (zlib.error, isal_zlib.error):
        raise _unavailable(what, "圧縮された応答が壊れています", "estat.truncated") from None
    start = answer.text[:200].lstrip()
    if not start.startswith(b"{"):
        title = re.search(rb"<title>(.*?)</title>", answer.text[:4096], re.IGNORECASE | re.DOTALL)
        shown = f"「{title[1].decode('utf-8', 'replace').strip()}」" if title else f"HTTP {status}"
        if status == 404:
            raise SourceRefused(f"e-Stat（{what}）：この接続先に API はありません（{shown}）。ESTAT_BASE_URL を確認してください。", "estat.no_api")
        trouble = _unavailable(what, f"JSON ではない応答です（{shown}。メンテナンス中または遮断）", "estat.not_json")
        if retry_after and retry_after.isdigit():
            trouble.retry_after_seconds = float(retry_after)  # type: ignore[attr-defined]
        raise trouble
    try:
        answer.head = read_head(answer.text)
    except ValueError as error:
        raise _unavailable(what, f"JSON が途中で切れています（{error}）", "estat.truncated") from None
    _judge_status(answer.head, status, what)
    return answer


def _judge_status(head: Head, http_status: int, what: str) -> None:
    code, said = head.status, head.message
    if code in (0, 1) and http_status < 400:
        return
    if code == 100:
        raise SourceRefused(
            f"e-Stat（{what}）：認証に失敗しました（STATUS 100「{said}」）。ESTAT_APP_ID を確認してください。", "estat.auth"
        )
    if code == 300:
        raise SourceRefused(
            f"e-Stat（{what}）：統計表がありません（STATUS 300「{said}」）。契約の statsDataId を確認してください。",
            "estat.unknown_table",
        )
    if 101 <= code <= 105:
        raise SourceRefused(f"e-Stat（{what}）：指定に誤りがあります（STATUS {code}「{said}」）。", "estat.parameter")
    if 200 <= code <= 299 or http_status >= 500 or http_status == 429:
        raise _unavailable(what, f"提供元の異常です（HTTP {http_status}、STATUS {code}「{said}」）", "estat.server")
    raise SourceRefused(f"e-Stat（{what}）：想定外の応答です（HTTP {http_status}、STATUS {code}「{said}」）。", "estat.status")


def _unavailable(what: str, reason: str, code: str) -> SourceUnavailable:
    return SourceUnavailable(f"e-Stat（{what}）：{reason}。時間をおいて自動でやり直します。", code)


def _wait(state: tenacity.RetryCallState) -> float:
    """Exponential back-off with jitter, or what the server asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after_seconds", None)
    backoff: float = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=2)(state)
    return float(asked) if asked is not None else backoff


def _inflate(body: bytes, content_encoding: str | None) -> bytes:
    return isal_zlib.decompress(body, GZIP_WBITS) if content_encoding == "gzip" else body


def _parameter(axis: str) -> str:
    """`cat01` → `cdCat01`."""
    return f"cd{axis[0].upper()}{axis[1:]}"
