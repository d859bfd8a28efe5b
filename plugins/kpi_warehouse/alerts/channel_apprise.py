"""Every service that apprise knows: Slack, Microsoft Teams by workflow webhook, and a hundred others."""

from __future__ import annotations

import logging
from typing import Any

from kpi_warehouse.alerts.channel_http import shortened
from kpi_warehouse.alerts.channels import ChannelFailed, Message, Send

TYPES = {"重大": "failure", "要対応": "failure", "注意": "warning", "情報": "info"}


def apprise(url: str) -> Send:
    """By apprise, one message whole: what is longer than the service takes is cut, and says where the rest is.

    Raises:
        ValueError: no service has such an address.
    """
    from apprise import Apprise

    # Its log repeats parts of addresses.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    service: Any = Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        raise ValueError("どの通知サービスの URL でもありません")

    def send(message: Message) -> None:
        kind = "success" if message.kind == "resolve" else TYPES[message.severity]
        room = int(service.body_maxlen) - len(message.subject) - 2
        body = shortened(message.body, max(room, 200), message.thread)
        try:
            taken = service.notify(body=body, title=message.subject, notify_type=kind)
        except Exception as error:
            raise ChannelFailed(type(error).__name__, passing=True) from None
        if not taken:
            raise ChannelFailed("相手側が受け付けませんでした", passing=True)

    return send
