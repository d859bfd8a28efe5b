"""What becomes of a division's file, and what it is told: taken, held, or sent back with every faulty cell.

A file that is sent back gets a return slip, and a proposal where exactly one typing slip explains a total. Nothing here changes a value. The slip is written below `KPI_RETURNS`; the inbox itself is never written to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath

import fsspec
import psycopg

from kpi_warehouse.contract import Contract, file_source
from kpi_warehouse.errors import GateRejected, KpiError, UnreadableFile
from kpi_warehouse.file_evidence import evidence_of
from kpi_warehouse.gate.identities import Evidence, amount, identities_of
from kpi_warehouse.gate.repair import Proposal, proposals
from kpi_warehouse.gate.return_slip import SlipCell, SlipSummary, return_slip
from kpi_warehouse.gate.verdict import Finding
from kpi_warehouse.readers.corrected import corrected
from kpi_warehouse.readers.file_rows import open_book
from kpi_warehouse.readers.grid import Book
from kpi_warehouse.readers.layout import read_layout
from kpi_warehouse.readers.layout_result import CellFault, Check, MeasureRow, Reading
from kpi_warehouse.readers.places import places_in_words
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.corrections import corrections_for
from kpi_warehouse.warehouse.deliveries import Delivery, find_delivery, settle
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.ledger import Step

SHOWN_NOTICES = 10
NEXT_STEP = (
    "直したファイルを受付フォルダーに入れてください（同じ名前でかまいません）。"
    "ファイルが正しく、取り込み方の定義のほうを直したときは、同じファイルをもう一度入れてください。"
)


def sent_back(
    current: Step,
    contract: Contract,
    error: GateRejected | UnreadableFile,
    findings: list[Finding] | None = None,
) -> GateRejected:
    """Write down what is proposed, the return slip and the outcome; returns the error with all of it told.

    Args:
        findings: what the gate found broken; None when the file was refused while it was read.
    """
    connection, load_id = current.connection, current.load_id
    delivery = delivery_of(connection, load_id)
    body = Landing(settings().landing_url).get(str(delivery.sha256))
    book = _book(contract, body, delivery.file_name)
    known = corrections_for(connection, contract.feed, str(delivery.sha256))
    source = file_source(contract)
    reading = read_layout(book, source.layout, contract.columns) if book else Reading()
    reading, _ = corrected(reading, known)
    if findings is None and reading.rows:
        # Of what could be read: a refusal is over when these periods are accepted, and not with any other file of the feed.
        months = [row.period for row in reading.rows]
        current.update(period_from=min(months), period_to=max(months))
    proposed = _proposals(contract, reading, evidence_of(connection, contract, reading.rows, findings or []))
    _note(connection, contract, load_id, proposed)
    cells = _cells(reading, proposed, findings or [])
    summary = SlipSummary(
        contract.feed,
        contract.title_ja,
        delivery.received_at or datetime.now(UTC),
        contact_ja=contract.owner,
    )
    name, slip = return_slip(body, delivery.file_name, cells, summary, book=book)
    place = _keep_slip(delivery, name, slip)
    told = [
        error.message_ja,
        *(f"・提案　{proposal.message_ja}" for proposal in proposed),
        f"差し戻し票：{place}",
        NEXT_STEP,
    ]
    message = places_in_words("\n".join(told))
    # One transaction: a file that was sent back has a load that refused it, wherever this is killed.
    current.update(state="rejected", verdict="rejected", error_code=error.code, error_ja=message)
    settle(delivery.delivery_id, "rejected", message, load_id=load_id, on=connection)
    connection.commit()
    return GateRejected(message, error.code)


def asked_about(connection: psycopg.Connection, load_id: int, text_ja: str, *, same_as: int | None) -> None:
    """Tell the book of deliveries that a file waits for an answer, in the caller's transaction.

    Args:
        same_as: the load that asks about the same content already; None where this one does.
    """
    delivery = delivery_of(connection, load_id)
    if same_as is None:
        settle(delivery.delivery_id, "asked", text_ja, load_id=load_id, on=connection)
        return
    said = f"同じ内容について問い合わせ中です（取込番号 {same_as}）。\n{text_ja}"
    settle(delivery.delivery_id, "rejected", said, load_id=load_id, on=connection)


def taken(current: Step, held: int, state: str, ended: list[str]) -> None:
    """Tell the book of deliveries that a file was published (`published`) or says nothing new (`unchanged`).

    Args:
        ended: what is to be said of corrections that this delivery ended.
    """
    if state == "published":
        said = "取り込みました。"
    elif held:
        said = "ほかに新しい値はありません。"
    else:
        said = "前回と同じ値です。取り込むものはありません。"
    if held:
        said += f"{held:,} 行は確認待ちです（`kpi hold list`）。"
    said = "\n".join([said, *ended, *_notices(current.connection, current.load_id)])
    current.connection.execute(
        "update ops.repair_proposal as p set state = 'superseded', decided_at = clock_timestamp()"
        " from ops.load as old, ops.load as new where new.load_id = %s and p.feed = new.feed"
        " and old.load_id = p.load_id and (old.read_at, old.load_id) < (new.read_at, new.load_id) and p.state = 'proposed'"
        " and old.period_from <= new.period_to and old.period_to >= new.period_from",
        [current.load_id],
    )
    # The values' digest tells a file that was only saved again from one that says something else.
    digest = current.connection.execute(
        "select string_agg(period || '/' || period_end || ':' || digest, ' ' order by period, period_end)"
        " from ops.load_period where load_id = %s",
        [current.load_id],
    ).fetchone()
    settle(
        delivery_of(current.connection, current.load_id).delivery_id,
        "held" if held else "loaded" if state == "published" else "unchanged",
        said,
        load_id=current.load_id,
        values_digest=digest[0] if digest else None,
        on=current.connection,
    )


def gone_by(current: Step) -> None:
    """Tell the book of deliveries that a file says nothing any more: all of its periods were handed in anew since."""
    settle(
        delivery_of(current.connection, current.load_id).delivery_id,
        "unchanged",
        "同じ期間について後から届いたファイルを公表しているため、取り込むものはありません。",
        load_id=current.load_id,
        on=current.connection,
    )


def _notices(connection: psycopg.Connection, load_id: int) -> list[str]:
    """What the file holds beside its figures and was not read, with its place."""
    rows = connection.execute(
        "select place, expected_ja from ops.drift where load_id = %s and policy = 'note' order by position",
        [load_id],
    ).fetchall()
    said = [f"・{place}：{told}" for place, told in rows[:SHOWN_NOTICES]]
    return [*said, f"・ほか {len(rows) - SHOWN_NOTICES:,} 件"] if len(rows) > SHOWN_NOTICES else said


def delivery_of(connection: psycopg.Connection, load_id: int) -> Delivery:
    """The delivery that a load brings in.

    Raises:
        KpiError: the load has none.
    """
    row = connection.execute(
        "select (params ->> 'delivery_id')::bigint from ops.load_page where load_id = %s order by page",
        [load_id],
    ).fetchone()
    if row is None or row[0] is None:
        raise KpiError(f"取込番号 {load_id} にはファイルがありません。", "load.no_file")
    return find_delivery(connection, row[0])


def label_of(contract: Contract, row: MeasureRow) -> str:
    """A number as a division calls it: `他都道府県からの転入／大阪圏／2024年5月`."""
    columns = {column.name: column for column in contract.axes}
    said = [columns[name].codes.get(code, code) for name, code in row.axes.items()]
    measures = columns["measure_code"].codes
    if len(measures) > 1:
        said.append(measures.get(row.measure_code, row.measure_code))
    return "／".join([*said, _period_ja(row)])


def _period_ja(row: MeasureRow) -> str:
    if row.period_kind == "月":
        return f"{row.period.year}年{row.period.month}月"
    if row.period_kind == "年度":
        return f"{row.period.year}年度"
    if row.period_kind in ("暦年", "年"):
        return f"{row.period.year}年"
    return f"{row.period_end:%Y-%m-%d}"


def _book(contract: Contract, body: bytes, name: str) -> Book | None:
    """The file as it was read; None when it cannot be opened at all."""
    try:
        return open_book(file_source(contract), body, name)
    except UnreadableFile:
        return None


def _proposals(contract: Contract, reading: Reading, evidence: Mapping[str, Evidence]) -> list[Proposal]:
    groups = identities_of(reading.checks, reading.rows, lambda row: label_of(contract, row))
    return [proposal for group in groups for proposal in proposals(group, evidence)]


def _note(connection: psycopg.Connection, contract: Contract, load_id: int, proposed: list[Proposal]) -> None:
    connection.execute("delete from ops.repair_proposal where load_id = %s and state = 'proposed'", [load_id])
    # The same bytes looked at again: what was proposed before and not decided is proposed anew, or no longer.
    connection.execute(
        "update ops.repair_proposal as p set state = 'superseded', decided_at = clock_timestamp()"
        " from ops.load_page as old, ops.load_page as new where new.load_id = %s and p.feed = %s"
        " and old.load_id = p.load_id and old.load_id < new.load_id and old.sha256 = new.sha256"
        " and p.state = 'proposed'",
        [load_id, contract.feed],
    )
    for proposal in proposed:
        edit = proposal.edits[0] if proposal.kind == "one" else None
        connection.execute(
            "insert into ops.repair_proposal (load_id, feed, kind, place, label, found, proposed, slip, message_ja)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                load_id,
                contract.feed,
                proposal.kind,
                edit.place if edit else None,
                edit.label if edit else None,
                edit.found if edit else None,
                edit.proposed if edit else None,
                edit.slip.kind if edit else None,
                proposal.message_ja,
            ],
        )


def _cells(reading: Reading, proposed: list[Proposal], findings: list[Finding]) -> list[SlipCell]:
    """Every cell to mark: what could not be read, totals that do not hold, the cell a proposal names, rows of rules."""
    cells = [_of_fault(fault) for fault in reading.faults]
    values = {(row.source_cell, row.measure_code): row.value for row in reading.rows}
    sums = {place: value for (place, _), value in values.items()}
    for proposal in proposed:
        if proposal.kind == "one":
            edit = proposal.edits[0]
            expected = f"計と合う値（{amount(edit.proposed)} と考えられます）"
            cells.append(SlipCell(edit.place, edit.label, edit.found, expected, proposal.message_ja))
    for check in reading.checks:
        total = _sum(check, values, sums)
        if total is not None and total != check.stated:
            said = next((proposal.message_ja for proposal in proposed if proposal.kind != "one"), None)
            expected = f"セルの和 {amount(total)} と同じ値"
            cells.append(SlipCell(check.place, check.label, amount(check.stated), expected, said))
    known = {cell.place for cell in cells}
    for finding in findings:
        for example in finding.examples:
            place = str(example.get("source_cell") or example.get("place") or "")
            if place and place not in known:
                found = str(example.get("value_text") or example.get("value") or "")
                cells.append(SlipCell(place, finding.expectation, found, finding.reason_ja))
    return cells


def _sum(
    check: Check, values: Mapping[tuple[str, str], Decimal | None], sums: Mapping[str, Decimal | None]
) -> Decimal | None:
    """What the members of a stated total add up to; None when one of them has no number."""
    members = [
        values.get((place, check.measure_code)) if check.measure_code else sums.get(place)
        for place in check.members
    ]
    numbers = [member for member in members if member is not None]
    return sum(numbers, Decimal(0)) if len(numbers) == len(members) else None


def _of_fault(fault: CellFault) -> SlipCell:
    return SlipCell(fault.place, fault.label, fault.found, fault.expected_ja)


def _keep_slip(delivery: Delivery, name: str, slip: bytes) -> str:
    """Write a slip whole or not at all; its address, for people."""
    root = settings().returns_url
    address = f"{root}/{delivery.delivery_id}/{PurePosixPath(name).name}"
    files, path = fsspec.core.url_to_fs(address)
    files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
    files.pipe_file(f"{path}.part", slip)
    files.mv(f"{path}.part", path)
    return str(path)
