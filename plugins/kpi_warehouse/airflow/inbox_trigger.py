"""The inbox as a source of events: one look for all feeds, and an event for each feed's own deliveries.

Airflow sends a trigger's event to every asset that watches the same trigger (same class, same arguments), so each feed has
a trigger of its own; and triggers with the same `shared_stream_key` share one poll in the triggerer, so one look serves them
all, however many feeds there are. The stream carries what waits in the book of deliveries at each look, not what happened: a
trigger that joins late, after a restart or when its DAG is unpaused, sees with the next look what it missed.

An event is sent by whoever gets its announcement (`claim_announcement`), which is written down before the event leaves: no
delivery is announced twice, whatever restarts. A triggerer that is killed in the second between the two loses the event; the
sweep that every feed's DAG has in its schedule finds the delivery then. Of a feed's deliveries one at a time is announced,
so that each gets a run of its own.

Files are taken by a process of its own (`kpi_warehouse.sources.inbox_receive`), started only when one is whole: a hostile
workbook costs that process, not the triggerer with all its waits. Database connections: one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from kpi_warehouse.settings import settings

RECEPTION_SECONDS = 600
LONGEST_PAUSE_SECONDS = 60.0
log = logging.getLogger(__name__)
Result = TypeVar("Result")


def inbox_asset(feed: str) -> Asset:
    """The deliveries of a feed, as an asset that its DAG listens to; one event for each."""
    return Asset(
        name=f"inbox/{feed}",
        uri=f"inbox://kpi/{feed}",
        group="inbox",
        watchers=[AssetWatcher(name=f"inbox_{feed}", trigger=InboxTrigger(feed=feed))],
    )


class InboxTrigger(BaseEventTrigger):
    """Fires `{"feed": …, "delivery_id": …}` once for each delivery of its feed that was received."""

    def __init__(self, feed: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.feed = feed

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments; what tells this trigger from another feed's."""
        return "kpi_warehouse.airflow.inbox_trigger.InboxTrigger", {"feed": self.feed}

    def shared_stream_key(self) -> Hashable | None:
        """One stream for all feeds: there is one inbox."""
        return ("kpi_inbox",)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[dict[str, int]]:
        """What waits, by feed, after each look. Never ends: trouble is logged and the look repeated, later each time."""
        failures = 0
        while True:
            try:
                await _look()
                failures = 0
            except Exception as error:
                failures += 1
                # The first time and then ever more rarely: an inbox that is down for a night is one line an hour.
                if failures & (failures - 1) == 0:
                    log.warning("受付箱を見られません（%d 回目）：%s", failures, error)
            try:
                waiting = await _in_turn(_unannounced)
                if waiting:
                    yield waiting
            except Exception as error:
                failures += 1
                log.warning("受付記録を読めません：%s", error)
            pause = settings().inbox_poll_seconds * 2 ** min(failures, 6)
            await asyncio.sleep(
                min(pause, max(LONGEST_PAUSE_SECONDS, settings().inbox_poll_seconds))
                if failures
                else settings().inbox_poll_seconds
            )

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[dict[str, int]]
    ) -> AsyncIterator[TriggerEvent]:
        """The events of this feed."""
        async for waiting in shared_stream:
            if (delivery_id := waiting.get(self.feed)) is None:
                continue
            try:
                claimed = await _in_turn(_claim, delivery_id)
            except Exception as error:
                log.warning(
                    "受付番号 %s を知らせられません（次に見るときにやり直し）：%s", delivery_id, error
                )
                continue
            if claimed:
                yield TriggerEvent(  # type: ignore[no-untyped-call]
                    {"feed": self.feed, "delivery_id": delivery_id}
                )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same alone, for a triggerer that shares no streams."""
        async for event in self.filter_shared_stream(self.open_shared_stream({"feed": self.feed})):
            yield event


# What speaks to the database or to the inbox does so in one thread, so one connection is open at a time.
_ONE_AT_A_TIME = ThreadPoolExecutor(1, thread_name_prefix="kpi-inbox")


async def _in_turn(function: Callable[..., Result], *arguments: object) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_ONE_AT_A_TIME, function, *arguments)


def _unannounced() -> dict[str, int]:
    from kpi_warehouse.warehouse.deliveries import unannounced

    return unannounced()


def _claim(delivery_id: int) -> bool:
    from kpi_warehouse.warehouse.deliveries import claim_announcement

    return claim_announcement(delivery_id)


def _anything_whole() -> bool:
    """Whether a file waits for reception."""
    from kpi_warehouse.sources.files import scan
    from kpi_warehouse.sources.inbox_receive import file_feeds, inbox_in_use

    return bool(scan(inbox_in_use(), file_feeds(settings().contracts)))


async def _look() -> None:
    """One look; what is whole is taken by a process of its own.

    Raises:
        Exception: the inbox or the database cannot be reached, or reception took too long and was ended.
    """
    if not await _in_turn(_anything_whole):
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kpi_warehouse.sources.inbox_receive", env=dict(os.environ)
    )
    try:
        code = await asyncio.wait_for(process.wait(), RECEPTION_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise RuntimeError(f"受付の処理が終了コード {code} で終わりました")
