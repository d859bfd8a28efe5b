"""The simulator as a running server: in a thread for tests, in the foreground for the command line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import uvicorn

from demo.estat.app import BASE_PATH, EstatApp
from demo.estat.faults import Fault
from demo.estat.tables import Table

HOST = "127.0.0.1"
STOP_SECONDS = 10


class Simulator:
    """Serves tables over HTTP on 127.0.0.1.

    Args:
        tables: what it serves.
        faults: what goes wrong; `sim.faults` may be changed while it runs.
        app_id: the one key accepted; None = any 40 hexadecimal digits.
        clock: RESULT.DATE of every answer (`2026-01-15T10:00:00.000+09:00`); None = the time of the answer.
        prepared: keep finished answers, for the benchmark (see `EstatApp`).
        control: offer `/control/…`.
        port: 0 = a free one.

    Example::

        with Simulator([published.moves()]) as sim:
            requests.get(f"{sim.base_url}/json/getMetaInfo", params={"appId": "0" * 40, "statsDataId":
            "0003420473"}) assert sim.requests[0]["statsDataId"] == "0003420473"
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
        port: int = 0,
    ) -> None:
        self.app = EstatApp(tables, faults, app_id=app_id, clock=clock, prepared=prepared, control=control)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, port))
        self._socket.listen()
        self.root_url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self.base_url = f"{self.root_url}{BASE_PATH}"
        # No access log: request lines carry the appId.
        config = uvicorn.Config(
            self.app,
            loop="asyncio",
            lifespan="off",
            access_log=False,
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Requests received so far, see `EstatApp.requests`."""
        return self.app.requests

    @property
    def faults(self) -> list[Fault]:
        """What goes wrong; a list to change."""
        return self.app.faults

    def publish(self, table: Table) -> None:
        """Serve this version of a table from now on."""
        self.app.publish(table)

    def prepare(self, **params: str) -> int:
        """Finish every page of a query ahead of time (see `EstatApp.prepare`)."""
        return self.app.prepare(**params)

    def serve(self) -> None:
        """Serve in this thread until SIGTERM or SIGINT."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve, name="estat-simulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        # Answers still hanging are cut off: whoever waits for them is a test that has ended.
        self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        if self.app.errors and error is None:
            raise RuntimeError("the simulator itself failed") from self.app.errors[0]
