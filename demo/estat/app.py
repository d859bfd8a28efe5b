"""The simulator's HTTP side: routes, key check, faults, compression, and a control endpoint if asked for."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta, timezone
from json import JSONDecodeError
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from demo.estat import answers
from demo.estat.edits import revise, revise_month
from demo.estat.faults import Fault, cut_page
from demo.estat.query import ApiError, Query, http_status, stats_data_id, stats_data_query
from demo.estat.tables import Table

BASE_PATH = "/rest/3.0/app"
GZIP_LEVEL = 6
JST = timezone(timedelta(hours=9))
NOT_FOUND = (
    "<!DOCTYPE html><html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"
)
MAINTENANCE = (
    '<!DOCTYPE html><html lang="ja"><head><meta charset="UTF-8"><title>メンテナンス中</title></head>'
    "<body><p>ただいまメンテナンス中です。</p></body></html>"
)
Answer = tuple[int, str]


class EstatApp:
    """An ASGI application that answers as the e-Stat API 3.0 does.

    Attributes:
        tables: statsDataId → the version served now.
        faults: what goes wrong; change the list at any time.
        requests: every API request received, oldest first: its parameters without appId, and `_function`,
            `_key_sent` (appId was there and has the right form), `_gzip` (asked for), `_at` (seconds,
            monotonic).
        errors: failures of the simulator itself, for example an edit that names a cell the table lacks.
        clock: RESULT.DATE of every answer; None = the time of the answer. A fixed clock makes repeated
            answers identical to the byte.
        prepared: keep finished, compressed answers (needs a fixed clock), so that serving again costs next
            to nothing.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        faults: Iterable[Fault] = (),
        *,
        app_id: str | None = None,
        clock: str | None = None,
        prepared: bool = False,
        control: bool = False,
    ) -> None:
        self.tables = {table.id: table for table in tables}
        self.faults = list(faults)
        self.requests: list[dict[str, Any]] = []
        self.errors: list[Exception] = []
        self.clock = clock
        self.prepared = prepared
        self._app_id = app_id
        self._kept: dict[tuple[Any, ...], bytes] = {}
        self._last_selection: tuple[Any, list[answers.Row]] | None = None
        routes = [Route(f"{BASE_PATH}/json/{{function}}", self._api, methods=["GET"])]
        if control:
            routes += [
                Route(f"/control/{name}", _reporting(endpoint), methods=["POST"])
                for name, endpoint in (
                    ("faults", self._control_faults),
                    ("clock", self._control_clock),
                    ("revise", self._control_revise),
                    ("prepare", self._control_prepare),
                )
            ]
            routes.append(Route("/control/requests", self._control_requests, methods=["GET"]))
        self._starlette = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._starlette(scope, receive, send)

    def publish(self, table: Table) -> None:
        """Serve this version of a table from now on; between two pages of a reader if it happens to be
        reading.
        """
        self.tables[table.id] = table
        self._kept.clear()

    def prepare(self, **params: str) -> int:
        """Finish every page of a getStatsData query ahead of time; gives the number of pages.

        The query must be the one that will come, `limit` included, and the clock fixed.
        """
        if self.clock is None or not self.prepared:
            raise ValueError("pages can be prepared only with prepared=True and a fixed clock")
        start, pages = 1, 0
        while True:
            query = params if start == 1 else {**params, "startPosition": str(start)}
            _, body = self._answer("getStatsData", query, [])
            self._kept[self._key("getStatsData", query)] = _compressed(body.encode())
            pages += 1
            following = re.search(r'"NEXT_KEY":(\d+)', body[:5000])
            if following is None:
                return pages
            start = int(following[1])

    async def _api(self, request: Request) -> Response:
        function = request.path_params["function"]
        if function not in answers.ROOTS:
            return HTMLResponse(NOT_FOUND, status_code=404)
        params = dict(request.query_params)
        app_id = params.pop("appId", "")
        key_ok = re.fullmatch(r"[0-9a-fA-F]{40}", app_id) is not None and self._app_id in {None, app_id}
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        self.requests.append(
            {**params, "_function": function, "_key_sent": key_ok, "_gzip": zipped, "_at": time.monotonic()}
        )
        struck = [fault for fault in self.faults if fault.strikes(function, params)]
        for fault in struck:
            if fault.kind == "hang":
                await asyncio.sleep(float(fault.options.get("seconds", 3600)))
            if fault.kind == "html":
                return HTMLResponse(MAINTENANCE, status_code=int(fault.options.get("http", 503)))
            if fault.kind == "http":
                after = fault.options.get("retry_after")
                headers = {} if after is None else {"Retry-After": str(after)}
                return Response(status_code=int(fault.options.get("http", 500)), headers=headers)
        key = self._key(function, params)
        kept = self._kept.get(key) if self.prepared and key_ok and zipped and not struck else None
        if kept is not None:
            return _json(kept, 200, zipped=True)
        status, body = (
            self._answer_or_note(function, params, struck) if key_ok else self._refuse(function, params)
        )
        status = _status_as_told(status, struck)
        content = body.encode()
        for fault in struck:
            if fault.kind == "truncate":
                content = content[: int(len(content) * float(fault.options.get("part", 0.5)))]
        content = _compressed(content) if zipped else content
        if self.prepared and self.clock is not None and zipped and status == 200 and not struck:
            self._kept[key] = content
        for fault in struck:
            if fault.kind == "drop":
                return _Dropped(content, float(fault.options.get("part", 0.5)))
        return _json(content, status, zipped=zipped)

    def _answer(self, function: str, params: dict[str, str], struck: list[Fault]) -> Answer:
        """HTTP status and body of one request."""
        date = self.clock or datetime.now(JST).isoformat(timespec="milliseconds")
        try:
            for fault in struck:
                if fault.kind == "status":
                    return self._told_status(function, params, fault, date)
            if function == "getStatsList":
                listed = [_edited(table, struck) for table in self.tables.values()]
                return 200, answers.stats_list(listed, params, date)
            table_id = stats_data_id(params)
            if table_id not in self.tables:
                raise ApiError(300, "statsDataId", table_id)
            table = _edited(self.tables[table_id], struck)
            if function == "getMetaInfo":
                return 200, answers.meta_info(table, params, date)
            query = stats_data_query(params, table)
            page = cut_page(self._selection(table, query), query, struck)
            return 200, answers.stats_data(table, query, page, date)
        except ApiError as error:
            return http_status(error.status), answers.error(
                function, error.status, error.message, params, date
            )

    def _answer_or_note(self, function: str, params: dict[str, str], struck: list[Fault]) -> Answer:
        try:
            return self._answer(function, params, struck)
        except Exception as error:
            self.errors.append(error)
            raise

    def _told_status(self, function: str, params: dict[str, str], fault: Fault, date: str) -> Answer:
        status = int(fault.options.get("status", 299))
        table = self.tables.get(params.get("statsDataId", ""))
        if status == 1 and function == "getStatsData" and table is not None:
            query = stats_data_query(params, table)
            return 200, answers.stats_data(table, query, answers.Page([], 0, 1, 0, None), date)
        error = ApiError(status, "statsDataId", params.get("statsDataId", ""))
        http = int(fault.options.get("http", http_status(status)))
        return http, answers.error(function, status, error.message, params, date)

    def _refuse(self, function: str, params: dict[str, str]) -> Answer:
        date = self.clock or datetime.now(JST).isoformat(timespec="milliseconds")
        return http_status(100), answers.error(function, 100, ApiError(100).message, params, date)

    def _selection(self, table: Table, query: Query) -> list[answers.Row]:
        """All rows of the query; the last selection is kept because its next page is what usually comes
        next.
        """
        key = (id(table), tuple(sorted((axis, *sorted(codes)) for axis, codes in query.wanted.items())))
        if self._last_selection is None or self._last_selection[0] != (key, table):
            self._last_selection = (key, table), list(answers.select(table, query))
        return self._last_selection[1]

    def _key(self, function: str, params: dict[str, str]) -> tuple[Any, ...]:
        shown = tuple(sorted(item for item in params.items() if item != ("startPosition", "1")))
        return function, shown, self.clock

    async def _control_faults(self, told: Any) -> dict[str, Any]:
        self.faults[:] = [Fault(**fault) for fault in told]
        return {"faults": len(self.faults)}

    async def _control_clock(self, told: Any) -> dict[str, Any]:
        self.clock = told["date"]
        self._kept.clear()
        return {"date": self.clock}

    async def _control_revise(self, told: Any) -> dict[str, Any]:
        """`{"table": id, "fraction"?, "seed"?, "period"?}`: publish a revised version."""
        table = self.tables[told.pop("table")]
        self.publish(revise_month(table, **told) if "period" in told else revise(table, **told))
        return {"updated_on": self.tables[table.id].updated_on.isoformat()}

    async def _control_prepare(self, told: Any) -> dict[str, Any]:
        return {"pages": await asyncio.to_thread(lambda: self.prepare(**told))}

    async def _control_requests(self, _: Request) -> Response:
        return JSONResponse(self.requests)


class _Dropped(Response):
    """A response that promises its whole length and ends early; the server then closes the connection."""

    def __init__(self, content: bytes, part: float) -> None:
        super().__init__(content, media_type="application/json")
        self._sent = content[: int(len(content) * part)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._sent, "more_body": True})


def _edited(table: Table, struck: list[Fault]) -> Table:
    for fault in struck:
        table = fault.edit(table)
    return table


def _status_as_told(status: int, struck: list[Fault]) -> int:
    return 200 if any(fault.kind == "errors_as_200" for fault in struck) else status


def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, GZIP_LEVEL, mtime=0)


def _json(content: bytes, status: int, *, zipped: bool) -> Response:
    headers = {"Content-Type": "application/json;charset=utf-8", "Vary": "Accept-Encoding"}
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(content, status_code=status, headers=headers)


def _reporting(
    endpoint: Callable[[Any], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    """A control endpoint that says what was wrong with the order instead of failing."""

    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await endpoint(await request.json()))
        except (JSONDecodeError, ValueError, TypeError, KeyError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    return answer


async def _not_found(_: Request, __: Exception) -> Response:
    return HTMLResponse(NOT_FOUND, status_code=404)
