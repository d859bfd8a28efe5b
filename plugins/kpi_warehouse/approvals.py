"""Repair proposals and their approval by the division that owns the file.

An approved proposal becomes a correction: it names the cell by its meaning, the wrong value it expects there and the right
one, and the same delivery is staged, gated and published again with it. Nothing else ever changes a value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from kpi_warehouse.contract import Contract
from kpi_warehouse.errors import KpiError
from kpi_warehouse.file_outcome import delivery_of, label_of
from kpi_warehouse.load import Published, contract_of
from kpi_warehouse.readers.corrected import corrected, key_of, total_key
from kpi_warehouse.readers.file_rows import read_file
from kpi_warehouse.replay import replay
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.corrections import corrections_for
from kpi_warehouse.warehouse.landing import Landing


@dataclass(frozen=True)
class Waiting:
    """A proposal; `found` is the text of the cell, the evidence is in the message."""

    proposal_id: int
    load_id: int
    feed: str
    kind: str
    place: str | None
    label: str | None
    found: str | None
    proposed: Decimal | None
    message_ja: str
    state: str
    decided_at: datetime | None


@dataclass(frozen=True)
class Approved:
    """An approved proposal, and what publishing its delivery again wrote."""

    proposal: Waiting
    published: Published


_COLUMNS = "proposal_id, load_id, feed, kind, place, label, found, proposed, message_ja, state, decided_at"


def open_proposals(feed: str | None = None) -> list[Waiting]:
    """Proposals that name one cell and wait for a yes, oldest first."""
    with connect() as connection:
        return (
            connection.cursor(row_factory=class_row(Waiting))
            .execute(
                f"select {_COLUMNS} from ops.repair_proposal where state = 'proposed' and kind = 'one'"
                " and (%(feed)s::text is null or feed = %(feed)s) order by proposal_id",
                {"feed": feed},
            )
            .fetchall()
        )


def approve(proposal_id: int, reason_ja: str) -> Approved:
    """Allow a proposed repair: record the correction, then bring the same delivery in again with it.

    Recorded first and by itself: killed after that, `kpi replay` of the load goes on, and the record is never lost.

    Raises:
        KpiError: no such proposal, no reason, not decidable, already decided, or overtaken by a later file.
        GateRejected: the delivery has further faults; the correction stays recorded.
    """
    if not reason_ja.strip():
        raise KpiError("修正を認める理由（--reason）を書いてください。", "approval.no_reason")
    with connect() as connection:
        waiting = (
            connection.cursor(row_factory=class_row(Waiting))
            .execute(
                f"select {_COLUMNS} from ops.repair_proposal where proposal_id = %s for update", [proposal_id]
            )
            .fetchone()
        )
        if waiting is None:
            raise KpiError(
                f"提案番号 {proposal_id} はありません。`kpi hold list` で確認してください。",
                "approval.unknown",
            )
        _refuse_settled(waiting)
        _refuse_overtaken(connection, waiting)
        _record(connection, contract_of(waiting.feed), waiting, reason_ja.strip())
    return Approved(waiting, replay(waiting.load_id))


def _refuse_settled(waiting: Waiting) -> None:
    if waiting.kind != "one" or waiting.proposed is None:
        raise KpiError(
            f"提案番号 {waiting.proposal_id} は直すセルがひとつに決まらないため、認められません。"
            "訂正したファイルを入れ直してください。",
            "approval.undecided",
        )
    if waiting.state == "approved":
        raise KpiError(
            f"提案番号 {waiting.proposal_id} はすでに承認されています（{waiting.decided_at:%Y-%m-%d %H:%M}）。"
            f"公表まで進んでいなければ `kpi replay {waiting.load_id}` でやり直せます。",
            "approval.twice",
        )
    if waiting.state != "proposed":
        raise KpiError(
            f"提案番号 {waiting.proposal_id} は、後から届いたファイルで不要になりました。何も変えていません。",
            "approval.superseded",
        )


def _refuse_overtaken(connection: psycopg.Connection, waiting: Waiting) -> None:
    """A file that came later says itself what is right: it goes first, even while it still waits for its load."""
    row = connection.execute(
        "select d.delivery_id, d.file_name from ops.delivery as d join ops.delivery as own"
        " on own.feed = d.feed and own.delivery_id < d.delivery_id"
        " where own.delivery_id = (select (params ->> 'delivery_id')::bigint from ops.load_page"
        " where load_id = %s limit 1) and d.state in ('received', 'loaded', 'held', 'asked', 'unchanged')"
        " order by d.delivery_id desc limit 1",
        [waiting.load_id],
    ).fetchone()
    if row is not None:
        raise KpiError(
            f"提案番号 {waiting.proposal_id} の後に「{row[1]}」（受付番号 {row[0]}）が届いています。何も変えていません。"
            f"まずそのファイルを取り込んでください（`kpi load {waiting.feed}`）。",
            "approval.overtaken",
        )


def _record(connection: psycopg.Connection, contract: Contract, waiting: Waiting, reason_ja: str) -> None:
    delivery = delivery_of(connection, waiting.load_id)
    body = Landing(settings().landing_url).get(str(delivery.sha256))
    sha256 = hashlib.sha256(body).hexdigest()
    reading, _ = corrected(
        read_file(contract, body, delivery.file_name), corrections_for(connection, contract.feed, sha256)
    )
    cells = [
        (key_of(row), row.value)
        for row in reading.rows
        if row.source_cell == waiting.place and label_of(contract, row) == waiting.label
    ] or [
        (total_key(check), check.stated)
        for check in reading.checks
        if check.place == waiting.place and check.label == waiting.label
    ]
    if len(cells) != 1 or cells[0][1] is None:
        raise KpiError(
            f"{waiting.label}（{waiting.place}）を、今の契約では元のファイルのひとつのセルに決められません。"
            "訂正したファイルを入れ直してください。",
            "approval.no_cell",
        )
    ((key, expect),) = cells
    try:
        connection.execute(
            "insert into ops.correction (proposal_id, feed, key, place, label, sha256, expect, value, owner_ja, reason_ja)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                waiting.proposal_id,
                waiting.feed,
                Jsonb(key),
                waiting.place,
                waiting.label,
                sha256,
                expect,
                waiting.proposed,
                contract.owner,
                reason_ja,
            ],
        )
    except psycopg.errors.UniqueViolation:
        raise KpiError(
            f"{waiting.label}（{waiting.place}）には、承認済みの修正がすでにあります（ops.correction）。何も変えていません。",
            "approval.same_cell",
        ) from None
    connection.execute(
        "update ops.repair_proposal set state = 'approved', reason_ja = %s, decided_at = clock_timestamp()"
        " where proposal_id = %s",
        [reason_ja, waiting.proposal_id],
    )
