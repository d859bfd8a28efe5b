"""A way to the database that swallows one answer: the server commits, and the client never hears of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class SilentProxy:
    """Passes everything on until a session, having sent `after`, sends COMMIT: that answer is swallowed, once, and the
    session ends. `swallowed` is set then."""

    def __init__(self, url: str, after: bytes) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._after = after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._guard = threading.Lock()
        self.swallowed = threading.Event()
        login = parts.netloc.rpartition("@")[0]
        place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=f"{login}@{place}"))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                silent = threading.Event()
                threading.Thread(target=self._to_server, args=(client, server, silent), daemon=True).start()
                threading.Thread(target=self._to_client, args=(client, server, silent), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        sent = b""
        with suppress(OSError):
            while block := client.recv(1 << 16):
                sent = (sent + block)[-(1 << 18) :]
                at = sent.find(self._after)
                if at >= 0 and b"COMMIT" in sent[at:]:
                    with self._guard:
                        if not self.swallowed.is_set():
                            silent.set()
                            self.swallowed.set()
                server.sendall(block)
        _hang_up(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while block := server.recv(1 << 16):
                if silent.is_set() and b"COMMIT" in block:
                    break
                client.sendall(block)
        _hang_up(client, server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def silent_proxy(url: str, after: bytes) -> Iterator[SilentProxy]:
    """A proxy to the server of a URL; see `SilentProxy`."""
    proxy = SilentProxy(url, after)
    try:
        yield proxy
    finally:
        proxy.close()
