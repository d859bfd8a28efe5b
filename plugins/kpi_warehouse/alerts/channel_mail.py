"""Mail: by SMTP, and into a Maildir on this machine where no address is configured.

Messages are UTF-8 with encoded headers (RFC 2047) and plain text, which every client reads. All messages of an incident are one
thread: each refers to the first by a Message-ID made from the incident, so a recovery stands below what it ends.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, default
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import url2pathname

from kpi_warehouse.alerts.channels import ChannelFailed, Message, Send

TIMEOUT_SECONDS = 20
DOMAIN = "kpi-warehouse.invalid"


def mailbox(url: str) -> Send:
    """Into `new/` of the Maildir at a `file:` or `mailbox:` URL. The same message again changes nothing."""
    folder = Path(url2pathname(urlsplit(url).path))

    def send(message: Message) -> None:
        name = f"{int(message.created_at.timestamp())}.{sha256(message.key.encode()).hexdigest()[:24]}.kpi"
        try:
            for part in ("tmp", "new", "cur"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            if list((folder / "cur").glob(f"{name}*")):
                return
            with (folder / "tmp" / name).open("wb") as file:
                file.write(_mail(message, "kpi@localhost", ["kpi@localhost"], default).as_bytes())
                file.flush()
                os.fsync(file.fileno())
            (folder / "tmp" / name).replace(folder / "new" / name)
        except OSError as error:
            raise ChannelFailed(f"{type(error).__name__}: {error.strerror}", passing=True) from error

    return send


def smtp(url: str) -> Send:
    """By SMTP, with STARTTLS unless the URL says `starttls=no` (and TLS from the start with `smtps://`).

    Raises:
        ValueError: host, `from` or `to` is missing.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    sender, to = query.get("from", [""])[0], [a for text in query.get("to", []) for a in text.split(",")]
    if not (parts.hostname and sender and to):
        raise ValueError("ホスト名、from=、to= が要ります")
    host, secure = parts.hostname, parts.scheme == "smtps"
    starttls = not secure and query.get("starttls", ["yes"])[0] != "no"

    def send(message: Message) -> None:
        try:
            with _connected(host, parts.port, secure) as server:
                if starttls:
                    server.starttls(context=ssl.create_default_context())
                if parts.username:
                    server.login(unquote(parts.username), unquote(parts.password or ""))
                server.send_message(_mail(message, sender, to))
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise ChannelFailed(f"宛先を拒まれました（{sorted(codes)}）", passing=min(codes) < 500) from error
        except smtplib.SMTPResponseException as error:
            raise ChannelFailed(f"SMTP {error.smtp_code}", passing=error.smtp_code < 500) from error
        except (OSError, smtplib.SMTPException) as error:
            raise ChannelFailed(type(error).__name__, passing=True) from error

    return send


def _connected(host: str, port: int | None, secure: bool) -> smtplib.SMTP:
    if secure:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT_SECONDS, context=context)
    return smtplib.SMTP(host, port or 587, timeout=TIMEOUT_SECONDS)


def _mail(message: Message, sender: str, to: list[str], policy: EmailPolicy[Any] = SMTP) -> EmailMessage:
    mail = EmailMessage(policy=policy)
    mail["Subject"] = message.subject
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Date"] = format_datetime(message.created_at)
    # Mail servers drop a second mail of the same Message-ID, so the number alone, which a new warehouse begins again, will not do.
    began = (message.started_at or message.created_at).astimezone(UTC)
    first = f"<{message.thread}.{began:%Y%m%dT%H%M%S}@{DOMAIN}>"
    opens = message.kind == "open"
    mail["Message-ID"] = first if opens else f"<{message.key.replace('/', '.')}@{DOMAIN}>"
    if not opens:
        mail["In-Reply-To"] = mail["References"] = first
    mail["X-Idempotency-Key"] = message.key
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.body, cte="base64")
    for name, content in message.attachments:
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail
