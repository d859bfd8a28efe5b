"""Client of the e-Stat API 3.0: getStatsList, getMetaInfo and getStatsData as JSON, page by page, exact
bytes kept.

How one request is made, repeated and judged is in `estat_connection` and `estat_judgement`; here is what
is asked, and that the pages of a pull are one whole. The appId is in no `Page`, log line or error.

Source: e-Stat API 3.0 specification, https://www.e-stat.go.jp/api/api-info/e-stat-manual3-0
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlencode

import msgspec

from kpi_warehouse.errors import SourceRefused, SourceUnavailable
from kpi_warehouse.settings import Settings
from kpi_warehouse.sources.estat_answers import (
    Reply,
    TableEntry,
    TableMeta,
    inflate,
    read_listing,
    read_meta,
)
from kpi_warehouse.sources.estat_connection import EstatConnection
from kpi_warehouse.sources.estat_judgement import changed

PAGE_LIMIT = 100_000
CODES_LIMIT = 100
RESTARTS = 3
AXIS = re.compile(r"tab|area|time|cat(?:0[1-9]|1[0-5])")
_Body = TypeVar("_Body")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataQuery:
    """Cells of one table: for each axis (`tab`, `cat01`…`cat15`, `area`, `time`) the codes wanted, never
    a range.

    An axis left out is wanted whole.

    Raises:
        SourceRefused: an axis the API does not know, which it would ignore and serve too much; an axis
            without codes.
    """

    table_id: str
    axes: dict[str, list[str]]

    def __post_init__(self) -> None:
        for axis, codes in self.axes.items():
            if not AXIS.fullmatch(axis):
                problem = f"「{axis}」という軸はありません（tab、cat01〜cat15、area、time のどれか）"
            elif not codes or any(not code or "," in code for code in codes):
                problem = f"軸 {axis} のコードが空か、正しくありません（{codes}）"
            else:
                continue
            raise SourceRefused(f"e-Stat（統計表 {self.table_id}）：{problem}。", "estat.parameter")

    def parts(self) -> list[dict[str, str]]:
        """The query as request parameters; lists over 100 codes (the API's limit) are cut, so several may
        come.
        """
        cut = []
        for axis, codes in self.axes.items():
            once = list(dict.fromkeys(codes))
            steps = range(0, len(once), CODES_LIMIT)
            cut.append([(_parameter(axis), ",".join(once[at : at + CODES_LIMIT])) for at in steps])
        return [{"statsDataId": self.table_id, **dict(choice)} for choice in itertools.product(*cut)]


@dataclass(frozen=True)
class Page:
    """One answer of getStatsData: the exact bytes received, and what the answer says of itself.

    `content_encoding` is None or `gzip`. `part` counts the requests a query was cut into, from 1; the row
    numbers count within a part, from 1 (0: no data). `params` and `url` are without the appId.
    `updated_on` is the table's UPDATED_DATE as served, empty when there is no data.
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
        return inflate(self.body, self.content_encoding)


class _TornError(Exception):
    """The pages read so far are not one whole: the table changed meanwhile, or pages do not continue each
    other.
    """

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code


class EstatClient:
    """Reads e-Stat. May be shared by threads.

    Args:
        base_url: address up to `/app`.
        app_id: the application's key.
        requests_per_second: most requests a second of this client; 0 is no limit.
        timeout_seconds: to wait for the next bytes of an answer (some wrong parameters make the live API
            hang).
        answer_seconds: to receive one answer whole.
        attempts: tries of one request before it is given up.
        total_seconds: no further try of a request begins later than this after its first.
        page_limit: most rows of a page; the API allows 100,000.
        sleep: replaced in tests.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        *,
        requests_per_second: float = 1.0,
        timeout_seconds: float = 60.0,
        answer_seconds: float = 600.0,
        attempts: int = 6,
        total_seconds: float = 900.0,
        page_limit: int = PAGE_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._page_limit, self._sleep = page_limit, sleep
        self._connection = EstatConnection(
            base_url,
            app_id,
            requests_per_second=requests_per_second,
            timeout_seconds=timeout_seconds,
            answer_seconds=answer_seconds,
            attempts=attempts,
            total_seconds=total_seconds,
            sleep=sleep,
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The client as the environment configures it.

        Raises:
            SourceRefused: ESTAT_APP_ID is not set.
        """
        if settings.estat_app_id is None or not settings.estat_app_id.get_secret_value().strip():
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def tables(
        self,
        *,
        stats_code: str | None = None,
        search_word: str | None = None,
        updated_date: str | None = None,
    ) -> list[TableEntry]:
        """getStatsList: tables of a statistics code or search word; none is an empty list.

        Args:
            search_word: words with AND, OR, NOT.
            updated_date: `yyyy`, `yyyymm`, `yyyymmdd` or `yyyymmdd-yyyymmdd`.

        Raises:
            SourceUnavailable, SourceRefused, SourceChanged: as `describe`.
        """
        what = "統計表の一覧"
        wanted = {"statsCode": stats_code, "searchWord": search_word, "updatedDate": updated_date}
        asked = {name: value for name, value in wanted.items() if value} | {"explanationGetFlg": "N"}
        found: list[TableEntry] = []
        start, following = 0, 1
        while following > start:
            start = following
            reply, _ = self._connection.ask("getStatsList", {**asked, "startPosition": str(start)}, what=what)
            entries, next_key = _read(read_listing, reply, what)
            found += entries
            following = next_key or 0
        return found

    def describe(self, table_id: str) -> TableMeta:
        """getMetaInfo: title, update date, axes and codes of a table.

        Raises:
            SourceUnavailable: no usable answer after all tries.
            SourceRefused: no such table, wrong key.
            SourceChanged: an answer of another shape than the specification has.
        """
        what = f"統計表 {table_id} の情報"
        reply, _ = self._connection.ask("getMetaInfo", {"statsDataId": table_id}, what=what)
        return _read(read_meta, reply, what)

    def pages(self, query: DataQuery, *, on_restart: Callable[[], None]) -> Iterator[Page]:
        """getStatsData: every page of a query, in order; a part without data is one page with no rows.

        A table that changes while it is read (other TOTAL_NUMBER or update date, pages that do not
        continue) is read again from its first page: `on_restart` is called, and everything yielded before
        is to be forgotten. When the iterator ends, the pages since then are of one version of the table,
        and for each part their row numbers run from 1 to TOTAL_NUMBER without gap. Whether a page holds
        the rows it announces is for its reader to count.

        Raises:
            SourceUnavailable: no usable answer after all tries, or the table kept changing.
            SourceRefused: wrong key, parameter or table.
            SourceChanged: an answer of another shape, or of another table.
        """
        what = f"統計表 {query.table_id}"
        for attempt in range(RESTARTS + 1):
            try:
                yield from self._pull(query, what)
            except _TornError as error:
                torn = error.code, str(error)
            else:
                return
            on_restart()
            if attempt < RESTARTS:
                _log.warning("e-Stat（%s）：%s。最初のページから読み直します", what, torn[1])
                self._sleep(2.0**attempt)
        raise SourceUnavailable(
            f"e-Stat（{what}）：取得中に{torn[1]}。{RESTARTS + 1} 回読みましたが、"
            "一つの版としてそろいません。時間をおいてやり直してください。",
            torn[0],
        )

    def _pull(self, query: DataQuery, what: str) -> Iterator[Page]:
        updated_on = ""
        for part, params in enumerate(query.parts(), start=1):
            before: Page | None = None
            while before is None or before.next_key is not None:
                page = self._page(part, params, before, what)
                _check_continues(page, before, updated_on)
                updated_on = updated_on or page.updated_on
                yield page
                before = page

    def _page(self, part: int, params: dict[str, str], before: Page | None, what: str) -> Page:
        # CLASS_INF and the explanation repeat what describe() read; NOTE, with the meaning of the marks,
        # does not. replaceSpChars is never sent: 1 would turn hidden values into 0.
        asked = {
            **params,
            "metaGetFlg": "N",
            "explanationGetFlg": "N",
            "annotationGetFlg": "Y",
            "limit": str(self._page_limit),
        }
        if before is not None:
            asked["startPosition"] = str(before.next_key)
        reply, head = self._connection.ask("getStatsData", asked, what=what)
        if head.table_id not in ("", params["statsDataId"]):
            raise changed(what, f"統計表 {head.table_id} の応答が返りました")
        if head.total_number is None and head.status == 0:
            raise changed(what, "TOTAL_NUMBER がありません")
        return Page(
            body=reply.body,
            content_encoding=reply.content_encoding,
            url=f"{self._connection.base_url}/json/getStatsData?{urlencode(asked)}",
            params=asked,
            part=part,
            total_number=head.total_number or 0,
            from_number=head.from_number,
            to_number=head.to_number,
            next_key=head.next_key,
            updated_on=head.updated_on,
        )


def _check_continues(page: Page, before: Page | None, updated_on: str) -> None:
    """A page must be of the same version as those before it, begin where the last one ended, and lead on
    or end.

    Raises:
        _TornError: it does not.
    """
    if page.updated_on and updated_on and page.updated_on != updated_on:
        raise _TornError(f"更新日が {updated_on} から {page.updated_on} に変わりました", "estat.moving")
    if before is not None and page.total_number != before.total_number:
        raise _TornError(
            f"件数が {before.total_number:,} から {page.total_number:,} に変わりました", "estat.moving"
        )
    if page.total_number == 0 and page.next_key is None:
        return
    first = 1 if before is None else before.to_number + 1
    continues = page.from_number == first and first <= page.to_number <= page.total_number
    following = None if page.to_number == page.total_number else page.to_number + 1
    if not continues or page.next_key != following:
        raise _TornError(
            f"ページがつながりません（{first:,} 件目からのはずが {page.from_number:,}〜"
            f"{page.to_number:,} 件目、次は {page.next_key}、全 {page.total_number:,} 件）",
            "estat.incomplete",
        )


def _read(read: Callable[[bytes], _Body], reply: Reply, what: str) -> _Body:
    """Read a body; what the reader stumbles over is a change of the API."""
    try:
        return read(reply.text())
    except msgspec.ValidationError as error:
        found = str(error)
    raise changed(what, found)


def _parameter(axis: str) -> str:
    """`cat01` → `cdCat01`."""
    return f"cd{axis[0].upper()}{axis[1:]}"
