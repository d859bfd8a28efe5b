"""An HTTP server that plays a script: what the e-Stat simulator, being well-behaved, does not do."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[[BaseHTTPRequestHandler], None]


def answer(body: bytes, status: int = 200, **headers: str) -> Act:
    """A plain answer; headers with `_` for `-`."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return act


def zipped(body: bytes) -> Act:
    return answer(body, Content_Encoding="gzip")


def raw(sent: bytes) -> Act:
    """Exactly these bytes, then the connection ends."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(sent)
        handler.close_connection = True

    return act


def page_text(
    rows: int = 2, first: int = 1, total: int | None = None, *, reverse: bool = False, **changed: Any
) -> bytes:
    """A getStatsData body of table 0000000001; `changed` goes into RESULT_INF, None takes a key away."""
    last, total = first + rows - 1, total if total is not None else first + rows - 1
    numbers = {"TOTAL_NUMBER": total, "FROM_NUMBER": first, "TO_NUMBER": last}
    numbers |= {"NEXT_KEY": last + 1} if last < total else {}
    numbers = {name: value for name, value in (numbers | changed).items() if value is not None}
    values = [{"@time": "2024000909", "$": str(number)} for number in range(rows)]
    body: dict[str, Any] = {
        "RESULT": {"STATUS": 0, "ERROR_MSG": "正常に終了しました。", "DATE": "2026-01-15T10:00:00.000+09:00"},
        "PARAMETER": {"LANG": "J"},
        "STATISTICAL_DATA": {
            "RESULT_INF": numbers,
            "TABLE_INF": {"@id": "0000000001", "TITLE": "表", "UPDATED_DATE": "2026-01-10"},
            "DATA_INF": {"VALUE": values[0] if rows == 1 else values},
        },
    }
    if reverse:
        body["STATISTICAL_DATA"] = dict(reversed(body["STATISTICAL_DATA"].items()))
        body = dict(reversed(body.items()))
    return json.dumps({"GET_STATS_DATA": body}, separators=(",", ":")).encode()


def page(**options: Any) -> Act:
    return zipped(gzip.compress(page_text(**options)))


@contextmanager
def scripted(*acts: Act) -> Iterator[tuple[str, list[str]]]:
    """Serve one act per request, the last one for ever; yields the base URL and the paths asked for."""
    received: list[str] = []
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        stopped = stopping

        def do_GET(self) -> None:
            received.append(self.path)
            acts[min(len(received), len(acts)) - 1](self)

        def log_message(self, *_: Any) -> None:
            """No access log: it would hold the key that the tests look for."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/rest/3.0/app", received
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
