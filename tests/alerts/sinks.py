"""Real receivers on 127.0.0.1: a mail server and a web server that keep what they are sent, and can misbehave."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

# A key ends with the instant it was made, by which it differs from those of any other warehouse.
MADE_AT = re.compile(r"/\d{8}T\d{6}Z$")


def plain(key: str | None) -> str:
    """An idempotency key without the instant: `INC-1/open`."""
    return MADE_AT.sub("", key or "")


# The fixture that configures `KPI_ALERT_URLS`.
Addresses = Callable[..., None]


@dataclass
class MailSink:
    """A mail server. `arrivals`: idempotency key and time of each message. `answer` is what it says to each message; anything but 250 is a refusal."""

    port: int = 0
    answer: str = "250 OK"
    mails: list[EmailMessage] = field(default_factory=list)
    arrivals: list[tuple[str, float]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.arrivals.append((plain(mail["X-Idempotency-Key"]), time.time()))
        return self.answer

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}/?from=kpi@example.jp&to=ka@example.jp&starttls=no"


@contextmanager
def mail_sink() -> Iterator[MailSink]:
    """A running mail server."""
    sink = MailSink()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        sink.port = probe.getsockname()[1]
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()


@dataclass
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebSink:
    """A web server. `status` is what it answers; 0 closes the connection without an answer."""

    port: int = 0
    status: int = 200
    requests: list[Request] = field(default_factory=list)
    arrivals: list[tuple[str, float]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def web_sink(*, tls: bool = False) -> Iterator[WebSink]:
    """A running web server; with `tls` it speaks HTTPS with a certificate nobody knows."""
    sink = WebSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if sink.status == 0:
                self.connection.close()
                return
            if sink.status < 300:
                sink.requests.append(Request(self.path, dict(self.headers), body))
                sink.arrivals.append((plain(self.headers.get("Idempotency-Key")), time.time()))
            self.send_response(sink.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sink.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
