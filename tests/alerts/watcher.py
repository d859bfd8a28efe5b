"""The watcher as the campaign runs it: the real one, or one whose sender was sabotaged in a way the campaign must notice."""

from __future__ import annotations

import os
import random
import sys
import threading
from dataclasses import replace

from kpi_warehouse.alerts import channels, reconcile, sender, watch
from kpi_warehouse.alerts.channels import Channel, Message
from kpi_warehouse.settings import settings

original = channels.channels_for


def losing(*asked: object) -> list[Channel]:
    """Channels that say yes and drop every fifth message."""

    def wrapped(channel: Channel) -> Channel:
        return replace(channel, send=lambda m: None if random.random() < 0.2 else channel.send(m))

    return [wrapped(channel) for channel in original(*asked)]  # type: ignore[arg-type]


def doubling(*asked: object) -> list[Channel]:
    """Channels that send every fifth message twice, under another key."""

    def wrapped(channel: Channel) -> Channel:
        def send(message: Message) -> None:
            channel.send(message)
            if random.random() < 0.2:
                channel.send(replace(message, key=message.key + "/again"))

        return replace(channel, send=send)

    return [wrapped(channel) for channel in original(*asked)]  # type: ignore[arg-type]


def disks() -> object:
    """A disk that is as full as the campaign says."""
    os.environ["KPI_DISK_FREE_GB"] = "1000000000" if (settings().home / "disk_full").exists() else "0"
    settings.cache_clear()
    return look_at_disks()


# Hundreds of failures in one week are what the campaign is for.
sender.BUDGET_A_WEEK = 10**6
look_at_disks = reconcile._disks
reconcile._disks = disks  # type: ignore[assignment]
if "lose" in sys.argv:
    sender.channels_for = losing  # type: ignore[assignment]
if "double" in sys.argv:
    sender.channels_for = doubling  # type: ignore[assignment]
watch.watch(threading.Event())
