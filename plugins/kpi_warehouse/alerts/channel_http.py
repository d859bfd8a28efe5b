"""Webhooks: signed JSON of our own, Alertmanager v2, LINE WORKS."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import timedelta
from urllib.parse import unquote, urlsplit, urlunsplit

import requests

from kpi_warehouse.alerts.channels import ChannelFailed, Message, Send

TIMEOUT_SECONDS = 20
# LINE WORKS Incoming Webhook: texts longer than this are refused.
LINEWORKS_CHARACTERS = 2000
# Alertmanager ends an alert that nobody posts again; ours end when they end.
ALERTMANAGER_LASTS = timedelta(days=400)
# A digest tells of nothing that goes on.
DIGEST_LASTS = timedelta(days=1)
PASSING = {408, 425, 429}


def signed(url: str) -> Send:
    """`POST` of JSON to `hmac+https://:secret@host/path`.

    Headers: `Idempotency-Key`, and `X-KPI-Signature: t=<unix seconds>,v1=<hex>` where v1 is HMAC-SHA256 of
    `<t>.<body>` with the secret.

    Raises:
        ValueError: the secret is missing.
    """
    parts = urlsplit(url.partition("+")[2])
    if not parts.password:
        raise ValueError("署名の鍵がありません（hmac+https://:鍵@ホスト/…）")
    secret, address = unquote(parts.password).encode(), _without_login(parts.geturl())

    def send(message: Message) -> None:
        content = {
            "key": message.key,
            "incident": message.thread,
            "kind": message.kind,
            "severity": message.severity,
            "subject": message.subject,
            "body": message.body,
            **message.facts,
        }
        body = json.dumps(content, ensure_ascii=False, default=str).encode()
        now = str(int(time.time()))
        signature = hmac.new(secret, now.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"Idempotency-Key": message.key, "X-KPI-Signature": f"t={now},v1={signature}"}
        _post(address, body, headers)

    return send


def alertmanager(url: str) -> Send:
    """An alert at `alertmanager+http://host:9093`: labels tell the incident, `endsAt` its end."""
    parts = urlsplit(url.partition("+")[2])
    if not parts.hostname:
        raise ValueError("ホスト名がありません")
    address = _without_login(parts.geturl()).rstrip("/") + "/api/v2/alerts"

    def send(message: Message) -> None:
        lasts = DIGEST_LASTS if message.kind == "digest" else ALERTMANAGER_LASTS
        ends = message.resolved_at or message.created_at + lasts
        facts = {name: str(value) for name, value in message.facts.items() if value}
        alert = {
            "labels": {
                "alertname": str(facts.get("cause", "kpi_warehouse")),
                "incident": message.thread,
                "severity": message.severity,
                **({"feed": facts["feed"]} if "feed" in facts else {}),
            },
            "annotations": {"summary": message.subject, "description": message.body},
            "startsAt": str(facts.get("opened_at", message.created_at.isoformat())),
            "endsAt": ends.isoformat(),
        }
        _post(address, json.dumps([alert], ensure_ascii=False).encode(), {"Idempotency-Key": message.key})

    return send


def lineworks(url: str) -> Send:
    """Text to a talk room by its Incoming Webhook URL, `lineworks+https://…`; the webhook takes no files."""
    address = url.partition("+")[2]
    if not urlsplit(address).hostname:
        raise ValueError("Incoming Webhook の URL がありません")

    def send(message: Message) -> None:
        text = shortened(f"{message.subject}\n\n{message.body}", LINEWORKS_CHARACTERS, message.thread)
        content = {"title": message.subject[:100], "body": {"text": text}}
        _post(address, json.dumps(content, ensure_ascii=False).encode(), {"Idempotency-Key": message.key})

    return send


def shortened(text: str, limit: int, reference: str) -> str:
    """A text that fits, saying where the rest is."""
    rest = f"\n…（続きは `kpi incident show {reference.removeprefix('INC-')}`）"
    return text if len(text) <= limit else text[: limit - len(rest)] + rest


def _post(address: str, body: bytes, headers: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", **headers}
    try:
        answer = requests.post(
            address, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )
    except requests.RequestException as error:
        # Only the kind: the text of these errors repeats the address, which is a secret.
        raise ChannelFailed(type(error).__name__, passing=True) from None
    if answer.status_code >= 300:
        passing = answer.status_code >= 500 or answer.status_code in PASSING
        raise ChannelFailed(f"HTTP {answer.status_code}", passing=passing)


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
