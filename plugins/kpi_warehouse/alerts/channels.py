"""Where notifications go: addresses of `KPI_ALERT_URLS`, and who of them is asked for what.

An entry is `name=URL`; entries are separated by white space. The name is a 課 or 推進本部 as contracts write it (with `_` for a
space), `division` (any of them), `engineer`, `escalation`, or `*`. `name@2027-04-01=URL` is in force from that day on and then takes
the place of the entries before, so a reorganisation can be written down beforehand. Entries of one name are each other's
fall-back in the order they stand. Unset, everything goes to the mailbox in `KPI_HOME`.

| URL | channel |
|---|---|
| `mailbox:///folder` | Maildir on this machine |
| `smtp://user:password@host:587/?from=…&to=…` (`smtps://`; `&starttls=no`) | mail |
| `hmac+https://:secret@host/path` | JSON, signed |
| `alertmanager+http://host:9093` | Alertmanager API v2 |
| `lineworks+https://webhook…` | LINE WORKS Incoming Webhook |
| any other | apprise: Slack, Microsoft Teams (`workflows://`), … |

Addresses hold secrets: a channel is called by its name and kind everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol
from urllib.parse import urlsplit

from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings

EVERYBODY = "*"
AUDIENCES = ("division", "engineer", "escalation")
MAILBOX = "mailbox"


@dataclass(frozen=True)
class Message:
    """One message as every channel gets it.

    Attributes:
        key: the same for every try of the same notification: receivers drop doubles by it.
        thread: the same for every message about one incident, as people quote it.
        started_at: when the thread began; with it, `thread` is like no other, also of a warehouse that was set up again.
        facts: the same in a form for machines (JSON types only).
        attachments: file name and bytes; channels without files leave them out.
    """

    key: str
    thread: str
    kind: str
    severity: str
    subject: str
    body: str
    created_at: datetime
    facts: Mapping[str, object] = field(default_factory=dict)
    attachments: tuple[tuple[str, bytes], ...] = ()
    resolved_at: datetime | None = None
    started_at: datetime | None = None


class ChannelFailed(Exception):
    """A message was not taken. `passing`: the same may be taken later; else the channel will never take it."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


Send = Callable[[Message], None]


class Maker(Protocol):
    """Makes the sending function of an address; raises ValueError for an address that is none."""

    def __call__(self, url: str) -> Send: ...


@dataclass(frozen=True)
class Channel:
    """A place that takes messages. `send` raises `ChannelFailed`. `disturbs`: somebody is rung at night by it."""

    name: str
    send: Send
    disturbs: bool = True


@dataclass(frozen=True)
class Entry:
    """One entry of `KPI_ALERT_URLS`."""

    name: str
    valid_from: date
    url: str
    position: int


def entries(configured: str) -> list[Entry]:
    """The entries of a setting.

    Raises:
        KpiError: an entry is not `name=URL`, or its date is none. The URL is not repeated in the message.
    """
    found = []
    for position, text in enumerate(configured.split(), start=1):
        name, equals, url = text.partition("=")
        name, _, since = name.partition("@")
        if not (name and equals and urlsplit(url).scheme):
            raise KpiError(
                f"KPI_ALERT_URLS の {position} 番目は「名前=URL」の形ではありません（名前：{name or 'なし'}）。",
                "alerts.address",
            )
        try:
            valid_from = date.fromisoformat(since) if since else date.min
        except ValueError:
            raise KpiError(
                f"KPI_ALERT_URLS の {position} 番目「{name}@{since}」の日付は YYYY-MM-DD で書いてください。",
                "alerts.address",
            ) from None
        found.append(Entry(name, valid_from, url, position))
    return found


def channels_for(owner: str | None, audience: str, on: date) -> list[Channel]:
    """Where a notification goes, the fall-backs after the first; never empty.

    Args:
        owner: 課 or 推進本部 of the contract; None for trouble of the system.
        audience: `division`, `engineer` or `escalation`.

    Raises:
        KpiError: `KPI_ALERT_URLS` is wrong.
    """
    known = _configured()
    if not known:
        return [Channel(MAILBOX, _makers()[MAILBOX]((settings().home / "mailbox").as_uri()), disturbs=False)]
    desk = [owner.replace(" ", "_")] if owner and audience == "division" else []
    wanted = [*desk, audience, EVERYBODY]
    chosen = [channel for name in wanted for channel in _in_force(known, name, on)]
    # Somebody wrote addresses, but none for this: whoever has the first one knows whom it concerns.
    return chosen or [_channel(known[0], 1)]


def names_without_owner() -> list[str]:
    """Names in `KPI_ALERT_URLS` that nobody has: neither an audience nor the owner of a contract. A slip, or a 課 that is yet to come.

    Raises:
        KpiError: `KPI_ALERT_URLS` is wrong.
    """
    from kpi_warehouse.alerts.due import feeds_that_can_be_read

    owners = {contract.owner.replace(" ", "_") for contract in feeds_that_can_be_read()}
    known = {*AUDIENCES, EVERYBODY, *owners}
    return [name for name in dict.fromkeys(entry.name for entry in _configured()) if name not in known]


def every_channel(on: date) -> list[Channel]:
    """All channels in force, for what must get through by any of them.

    Raises:
        KpiError: an address is wrong.
    """
    known = _configured()
    names = dict.fromkeys(entry.name for entry in known)
    return [channel for name in names for channel in _in_force(known, name, on)] or channels_for(
        None, "engineer", on
    )


def _configured() -> list[Entry]:
    configured = settings().alert_urls
    return entries(configured.get_secret_value()) if configured else []


def _in_force(known: list[Entry], name: str, on: date) -> list[Channel]:
    mine = [entry for entry in known if entry.name == name and entry.valid_from <= on]
    newest = max((entry.valid_from for entry in mine), default=None)
    return [
        _channel(entry, number)
        for number, entry in enumerate((e for e in mine if e.valid_from == newest), start=1)
    ]


def _channel(entry: Entry, number: int) -> Channel:
    scheme = urlsplit(entry.url).scheme
    kind = scheme.partition("+")[0]
    makers = _makers()
    try:
        send = makers.get(kind, makers["apprise"])(entry.url)
    except ValueError as error:
        raise KpiError(
            f"KPI_ALERT_URLS の {entry.position} 番目（{entry.name}、{scheme}://）は使えません：{error}",
            "alerts.address",
        ) from None
    suffix = f"#{number}" if number > 1 else ""
    return Channel(f"{entry.name}:{kind}{suffix}", send, disturbs=kind != MAILBOX)


def _makers() -> Mapping[str, Maker]:
    # Imported when a channel is needed: nothing that only records trouble pays for a mail library.
    from kpi_warehouse.alerts import channel_apprise, channel_http, channel_mail

    return {
        MAILBOX: channel_mail.mailbox,
        "smtp": channel_mail.smtp,
        "smtps": channel_mail.smtp,
        "hmac": channel_http.signed,
        "alertmanager": channel_http.alertmanager,
        "lineworks": channel_http.lineworks,
        "apprise": channel_apprise.apprise,
    }
