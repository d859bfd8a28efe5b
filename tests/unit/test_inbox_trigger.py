"""The inbox tells each feed of its own deliveries, once, through one poll that survives trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import receive_all
from kpi_warehouse.warehouse.deliveries import receipts_for_inbox, settle
from tests.unit.inbox_places import FEEDS, NAME, body

if TYPE_CHECKING:
    from kpi_warehouse.airflow.inbox_trigger import InboxTrigger


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow settles its home when it is first imported, so nothing here imports it before a test runs."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        import kpi_warehouse.airflow.inbox_trigger  # noqa: F401

        yield


@pytest.fixture
def inbox(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    monkeypatch.setenv("KPI_INBOX", folder.as_uri())
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0")
    monkeypatch.setenv("KPI_INBOX_POLL_SECONDS", "0.05")
    settings.cache_clear()

    from kpi_warehouse.airflow import inbox_trigger

    async def look() -> None:
        await inbox_trigger._in_turn(lambda: receive_all(None, FEEDS))

    monkeypatch.setattr(inbox_trigger, "_look", look)
    return folder


class Triggerer:
    """What Airflow's triggerer does with triggers that share a stream: one poll, each trigger its own events."""

    def __init__(self) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self.streams = SharedStreamManager()
        self.events: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, *feeds: str) -> None:
        from kpi_warehouse.airflow.inbox_trigger import InboxTrigger

        for feed in feeds:
            number, trigger = len(self.tasks) + 1, InboxTrigger(feed=feed)
            stream = self.streams.subscribe(
                trigger_id=number, trigger=trigger, key=trigger.shared_stream_key()
            )
            self.tasks.append(asyncio.create_task(self._run(trigger, stream)))

    async def _run(self, trigger: InboxTrigger, stream: Any) -> None:
        async for event in trigger.filter_shared_stream(stream):
            self.events.append(event.payload)

    async def until(self, events: int) -> None:
        async with asyncio.timeout(20):
            while len(self.events) < events:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await self.streams.stop_all()


def load_all(events: list[dict[str, Any]]) -> None:
    """What the runs make of these deliveries."""
    for event in events:
        settle(event["delivery_id"], "loaded", "反映しました。")


def test_each_feed_hears_of_its_own_deliveries_once(inbox: Path) -> None:
    async def live() -> list[dict[str, Any]]:
        triggerer = Triggerer()
        triggerer.start("migration_briefing", "vacant_house_support", "kpi_progress")
        (inbox / NAME).write_bytes(body(1))
        (inbox / "空家対策.json").write_bytes(body(2))
        (inbox / "なにか.json").write_bytes(body(3))
        await triggerer.until(2)
        load_all(triggerer.events)
        (inbox / "移住定住の状況_最終.json").write_bytes(body(4))
        (inbox / "移住定住の状況_最終2.json").write_bytes(body(4))
        await triggerer.until(3)
        await triggerer.stop()
        return triggerer.events

    events = asyncio.run(live())
    assert [event["feed"] for event in events].count("migration_briefing") == 2 and len(events) == 3
    taken = {
        row["delivery_id"]: row["feed"]
        for row in receipts_for_inbox()
        if row["state"] in ("received", "loaded")
    }
    assert {event["delivery_id"]: event["feed"] for event in events} == taken


def test_of_files_dropped_together_the_next_is_told_when_the_one_before_is_loaded(inbox: Path) -> None:
    async def live() -> list[int]:
        triggerer, told = Triggerer(), []
        triggerer.start("migration_briefing")
        for at in range(3):
            (inbox / f"移住定住の状況{at}.json").write_bytes(body(at))
        for count in (1, 2, 3):
            await triggerer.until(count)
            await asyncio.sleep(0.3)
            told.append(len(triggerer.events))
            load_all(triggerer.events)
        await triggerer.stop()
        return told

    assert asyncio.run(live()) == [1, 2, 3]


def test_a_restart_tells_nothing_again_and_forgets_nothing(inbox: Path) -> None:
    async def live(*feeds: str, events: int) -> list[dict[str, Any]]:
        triggerer = Triggerer()
        triggerer.start(*feeds)
        await triggerer.until(events)
        await triggerer.stop()
        return triggerer.events

    (inbox / NAME).write_bytes(body(1))
    (inbox / "空家対策.json").write_bytes(body(2))
    assert [event["feed"] for event in asyncio.run(live("migration_briefing", events=1))] == [
        "migration_briefing"
    ]
    # The other feed's DAG was paused until now.
    both = asyncio.run(live("migration_briefing", "vacant_house_support", events=1))
    assert [event["feed"] for event in both] == ["vacant_house_support"]


def test_two_triggerers_at_once_tell_once(inbox: Path) -> None:
    async def live() -> list[dict[str, Any]]:
        one, two = Triggerer(), Triggerer()
        one.start("migration_briefing")
        two.start("migration_briefing")
        for at in range(6):
            (inbox / f"移住定住の状況{at}.json").write_bytes(body(at))
        async with asyncio.timeout(20):
            while len(one.events) + len(two.events) < 6:
                load_all(one.events + two.events)
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        await one.stop()
        await two.stop()
        return one.events + two.events

    assert len({event["delivery_id"] for event in asyncio.run(live())}) == 6


def test_trouble_is_outlived(
    inbox: Path, warehouse: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from kpi_warehouse.airflow import inbox_trigger

    monkeypatch.setattr(inbox_trigger, "LONGEST_PAUSE_SECONDS", 0.05)
    away = inbox.with_name("away")
    inbox.rename(away)

    async def live() -> list[dict[str, Any]]:
        triggerer = Triggerer()
        triggerer.start("migration_briefing")
        await asyncio.sleep(0.5)
        away.rename(inbox)
        (inbox / NAME).write_bytes(body(1))
        await triggerer.until(1)
        load_all(triggerer.events)
        with monkeypatch.context() as patched:
            patched.setenv("KPI_DATABASE_URL", "postgresql://kpi_owner@127.0.0.1:9/none")
            settings.cache_clear()
            await asyncio.sleep(0.3)
        settings.cache_clear()
        (inbox / "移住定住の状況2.json").write_bytes(body(2))
        await triggerer.until(2)
        await triggerer.stop()
        return triggerer.events

    assert len(asyncio.run(live())) == 2
    assert "フォルダーが見つかりません" in caplog.text and "接続できません" in caplog.text


def test_one_connection_at_a_time(inbox: Path, warehouse: str) -> None:
    seen: list[int] = []

    async def live() -> None:
        triggerer = Triggerer()
        triggerer.start(*(feed.feed for feed in FEEDS))
        for at in range(10):
            (inbox / f"移住定住の状況{at}.json").write_bytes(body(at))
            (inbox / f"空家対策{at}.json").write_bytes(body(at))
        with psycopg.connect(warehouse, autocommit=True) as watcher:
            while len(triggerer.events) < 20:
                row = watcher.execute(
                    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                    " and backend_type = 'client backend'"
                ).fetchone()
                seen.append(row[0] if row else 0)
                # As the runs would; on this connection, which is not counted.
                watcher.execute(
                    "update ops.delivery set state = 'loaded' where state = 'received' and announced_at is not null"
                )
                await asyncio.sleep(0.005)
        await triggerer.stop()

    asyncio.run(asyncio.wait_for(live(), 60))
    # Reception holds a delivery's lock on one and asks on another.
    assert max(seen) <= 3


def test_airflow_can_keep_the_trigger_and_tell_feeds_apart() -> None:
    from airflow.serialization.encoders import encode_trigger
    from airflow.triggers.base import BaseEventTrigger

    from kpi_warehouse.airflow.inbox_trigger import InboxTrigger, inbox_asset

    assets = [inbox_asset(feed.feed) for feed in FEEDS]
    encoded = [encode_trigger(asset.watchers[0].trigger) for asset in assets]
    assert len({BaseEventTrigger.hash(entry["classpath"], entry["kwargs"]) for entry in encoded}) == len(
        FEEDS
    )
    assert {asset.name for asset in assets} == {f"inbox/{feed.feed}" for feed in FEEDS}
    classpath, kwargs = InboxTrigger(feed="a").serialize()
    assert classpath == f"{InboxTrigger.__module__}.InboxTrigger" and InboxTrigger(**kwargs).feed == "a"
    assert (
        InboxTrigger(feed="a").shared_stream_key() == InboxTrigger(feed="b").shared_stream_key() is not None
    )


def test_reception_runs_in_a_process_of_its_own(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kpi_warehouse.airflow import inbox_trigger

    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "どこにも属さない.json").write_bytes(body())
    monkeypatch.setenv("KPI_INBOX", (tmp_path / "inbox").as_uri())
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0")
    settings.cache_clear()
    asyncio.run(inbox_trigger._look())
    (receipt,) = receipts_for_inbox()
    assert receipt["state"] == "unmatched"
    asyncio.run(inbox_trigger._look())


def test_reception_that_hangs_is_ended(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kpi_warehouse.airflow import inbox_trigger

    monkeypatch.setattr(inbox_trigger, "_anything_whole", lambda: True)
    monkeypatch.setattr(inbox_trigger, "RECEPTION_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        asyncio.run(inbox_trigger._look())
