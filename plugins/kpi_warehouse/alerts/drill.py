"""The drill: a feed that is none fails and recovers the ordinary way, and it is measured whether people would have heard.

Everything is real but the feed: the failing step writes `ops.load`, the database opens the incident, the sender delivers by
the engineers' channel, a good load ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kpi_warehouse.alerts.incidents import settle
from kpi_warehouse.errors import KpiError, SourceUnavailable
from kpi_warehouse.settings import code_version
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.ledger import step

FEED = "drill"
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Drilled:
    """A drill that came through, with the seconds from the failure until each message was taken by its channel."""

    drill_id: int
    told_seconds: float
    recovered_seconds: float


def watcher_sends() -> None:
    """Nothing: a watcher runs, and sends."""


def drill(send: Callable[[], object], patience_seconds: float = PATIENCE_SECONDS) -> Drilled:
    """Fail, wait for the message, recover, wait for the notice.

    Args:
        send: called while waiting: `deliver` where no watcher runs, else `watcher_sends`.

    Raises:
        KpiError: a message was not delivered in time. The drill stays in the book as missed.
    """
    load_id, drill_id = _open()
    began = time.monotonic()
    try:
        with step(load_id, "fetch"):
            raise SourceUnavailable("訓練です。実際の異常ではありません。", "drill.failure")
    except SourceUnavailable:
        pass
    _wait(load_id, "open", send, patience_seconds)
    told = time.monotonic() - began
    _note(drill_id, "told_at")
    with step(load_id, "publish") as current:
        current.update(state="published", opened_rows=0, closed_rows=0, held_rows=0)
    _wait(load_id, "resolve", send, patience_seconds)
    _note(drill_id, "recovered_at")
    return Drilled(drill_id, told, time.monotonic() - began)


def _open() -> tuple[int, int]:
    with connect() as connection:
        # Of a drill that was cut off: joined to its incident, this one would count its message as its own.
        for (number,) in connection.execute(
            "select incident_id from ops.incident where cause = 'drill' and resolved_at is null"
        ).fetchall():
            settle(connection, number, "前の訓練を終えました。")
        connection.execute(
            "insert into ops.feed (feed, title_ja, owner_ja, source, kpis, contract_version)"
            " values (%s, '通知訓練', 'データ担当', 'drill', '{}', '1.0.0') on conflict do nothing",
            [FEED],
        )
        row = connection.execute(
            "insert into ops.load (feed, contract_version, contract_sha256, code_version, trigger, forced, state)"
            " values (%s, '1.0.0', '', %s, 'drill', false, 'open') returning load_id",
            [FEED, code_version()],
        ).fetchone()
        assert row is not None
        number = connection.execute(
            "insert into ops.drill (load_id) values (%s) returning drill_id", [row[0]]
        ).fetchone()
        assert number is not None
    return int(row[0]), int(number[0])


def _note(drill_id: int, column: str) -> None:
    with connect() as connection:
        connection.execute(
            f"update ops.drill set {column} = clock_timestamp() where drill_id = %s", [drill_id]
        )


def _wait(load_id: int, kind: str, send: Callable[[], object], patience_seconds: float) -> None:
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        send()
        with connect() as connection:
            row = connection.execute(
                "select exists (select from ops.notification join ops.incident_load using (incident_id)"
                " where load_id = %s and kind = %s and state = 'sent')",
                [load_id, kind],
            ).fetchone()
        if row and row[0]:
            return
        time.sleep(0.5)
    told = "知らせ" if kind == "open" else "復旧の知らせ"
    raise KpiError(
        f"訓練の{told}が {patience_seconds:.0f} 秒以内に届きませんでした。`kpi incident channels` で経路を確かめてください。",
        "drill.missed",
    )
