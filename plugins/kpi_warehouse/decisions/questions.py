"""What a person answers to a question about a delivery: it is right and is published whole, or it is not and never is.

The answer is given under the load's own lock and the feed's lock of history, in one transaction with all that follows from it.
Killed before its end, nothing was answered; given again, it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from kpi_warehouse.contract import Contract, FileSource
from kpi_warehouse.errors import GateAsked, GateRejected, KpiError
from kpi_warehouse.gate.run import judge, record, record_held
from kpi_warehouse.load import (
    Published,
    accept,
    contract_of,
    fill_stage,
    periods_asked,
    record_periods,
    stage_intact,
)
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.deliveries import settle
from kpi_warehouse.warehouse.history import changed_periods, give_way, lock_history
from kpi_warehouse.warehouse.ledger import Step, load_in_hand, read_load, step
from kpi_warehouse.warehouse.questions import note_answer


@dataclass(frozen=True)
class Asked:
    """A delivery that waits for an answer, and the question as it was put."""

    load_id: int
    feed: str
    period_from: date | None
    period_to: date | None
    asked_at: datetime
    question_ja: str


@dataclass(frozen=True)
class Released:
    """What an answer published. `is_new` is False where it had been given before."""

    published: Published
    is_new: bool


def open_questions(feed: str | None = None) -> list[Asked]:
    """Deliveries that wait for an answer, oldest first."""
    with connect() as connection:
        return (
            connection.cursor(row_factory=class_row(Asked))
            .execute(
                "select load_id, feed, period_from, period_to, finished_at as asked_at, error_ja as question_ja from ops.load"
                " where state = 'asked' and (%(feed)s::text is null or feed = %(feed)s) order by load_id",
                {"feed": feed},
            )
            .fetchall()
        )


def waits(load_id: int) -> bool:
    """Whether there is such a load and it was ever asked about: then its number may be meant."""
    with connect() as connection:
        row = connection.execute(
            "select state = 'asked' or exists (select from ops.answer as a where a.load_id = l.load_id)"
            " from ops.load as l where load_id = %s",
            [load_id],
        ).fetchone()
    return bool(row and row[0])


def release(load_id: int, reason_ja: str) -> Released:
    """Publish a delivery that was asked about, whole, but for rows that wait by themselves; the reason stays for ever.

    Where its stage table is gone or the contract has changed since, it is read and judged again first.

    Raises:
        KpiError: no reason, no question about this load, or it was answered otherwise, or its periods were published from
            what was read later.
        GateRejected: the contract of today refuses it.
        GateAsked: the contract of today asks something else about it, which is now the question.
        LoadConflict: somebody else is answering at this moment.
    """
    reason = _reason(reason_ja, "公表を認める理由")
    with load_in_hand(load_id) as (connection, load):
        contract = contract_of(load["feed"])
        if (done := _answered(connection, load, "released")) is not None:
            return done
        if load["contract_sha256"] != contract.sha256 or not stage_intact(connection, load, contract):
            _read_again(connection, contract, load)
        with step(load_id, "publish", connection, keeps_load=True) as current:
            lock_history(connection, contract)
            # A good delivery settles a question under the lock of history alone.
            now = read_load(load_id, connection)
            if (done := _answered(connection, now, "released")) is not None:
                return done
            published = _publish(current, contract, now, reason)
    return Released(published, True)


def reject(load_id: int, reason_ja: str) -> None:
    """Write down that a delivery is wrong: it is never published, and whoever handed it in is told.

    Raises:
        KpiError: no reason, no question about this load, or it was answered otherwise.
        LoadConflict: somebody else is answering at this moment.
    """
    reason = _reason(reason_ja, "受け入れない理由")
    with load_in_hand(load_id) as (connection, load):
        contract = contract_of(load["feed"])
        lock_history(connection, contract)
        if _answered(connection, read_load(load_id, connection), "rejected") is not None:
            return
        said = (
            f"{contract.title_ja}：問い合わせた値（取込番号 {load_id}）は、受け入れないと決まりました。前回の値を表示したままです。\n"
            f"・理由：{reason}\n正しい値を提出してください。"
        )
        note_answer(connection, load_id, "rejected", reason)
        connection.execute(
            "update ops.load set state = 'rejected', error_ja = %s, heartbeat_at = clock_timestamp() where load_id = %s",
            [said, load_id],
        )
        if isinstance(contract.source, FileSource):
            _settle_file(connection, load_id, said)


def _reason(reason_ja: str, name: str) -> str:
    if not reason_ja.strip():
        raise KpiError(f"{name}（--reason）を書いてください。", "answer.no_reason")
    return reason_ja.strip()


def _answered(connection: psycopg.Connection, load: dict[str, Any], wanted: str) -> Released | None:
    """What this answer did when it was given before; None while the question is open.

    Raises:
        KpiError: nothing was asked, or another answer stands.
    """
    if load["state"] == "asked":
        return None
    row = connection.execute(
        "select answer, reason_ja, later_load_id from ops.answer where load_id = %s", [load["load_id"]]
    ).fetchone()
    number = load["load_id"]
    if row is None:
        same = connection.execute(
            "select load_id from ops.load where feed = %s and state = 'asked' order by load_id desc limit 1",
            [load["feed"]],
        ).fetchone()
        hint = (
            f"問い合わせ中なのは取込番号 {same[0]} です。" if same else "`kpi hold list` で確認してください。"
        )
        raise KpiError(
            f"取込番号 {number} は問い合わせ中ではありません（状態：{load['state']}）。{hint}",
            "answer.not_asked",
        )
    answer, reason, later = row
    if answer == wanted and load["state"] != "undone":
        opened, closed, held = (load[name] or 0 for name in ("opened_rows", "closed_rows", "held_rows"))
        return Released(Published(number, load["state"], opened, closed, held), False)
    if answer == "superseded":
        newer = read_load(later, connection)
        what = (
            f"そちらが問い合わせ中です。`kpi hold release {later} --reason …`"
            if newer["state"] == "asked"
            else f"そちらで解消しました（状態：{newer['state']}）。"
        )
        raise KpiError(
            f"取込番号 {number} は、後から届いた取込番号 {later} に置き換わっています。{what}",
            "answer.superseded",
        )
    said = {"released": "公表を認める", "rejected": "受け入れない"}[answer]
    undone = "その後、公表を取り消しています。" if load["state"] == "undone" else ""
    raise KpiError(
        f"取込番号 {number} には、すでに「{said}」と答えがあります（理由：{reason}）。{undone}何も変えていません。"
        "もう一度公表するには、同じ内容をもう一度取り込んで、新しい問い合わせに答えてください。",
        "answer.given",
    )


def _read_again(connection: psycopg.Connection, contract: Contract, load: dict[str, Any]) -> None:
    """Stage and judge a delivery again by the contract of today. Until it is published it stays asked about, whatever happens."""
    load_id = load["load_id"]
    with step(load_id, "stage", connection, keeps_load=True) as current:
        filled = fill_stage(current, contract, load)
        current.update(staged_rows=filled.rows)
    with step(load_id, "gate", connection, keeps_load=True) as current:
        load = read_load(load_id, connection)
        verdict, periods = judge(
            connection,
            contract,
            load_id,
            asked=periods_asked(connection, contract, load),
            declared_rows=load["declared_rows"],
            staged_rows=load["staged_rows"],
        )
        if verdict.outcome == "rejected":
            raise GateRejected(
                f"{verdict.rejection_ja(contract.title_ja)}\n問い合わせのときとは契約または履歴が変わっています。"
                "公表していません。",
                "answer.rejected_now",
            )
        known = {
            name
            for (name,) in connection.execute(
                "select expectation from ops.gate_result where load_id = %s and severity = 'question' and not success",
                [load_id],
            )
        }
        new = {finding.expectation for finding in verdict.findings if finding.asks} - known
        record_periods(current, periods)
        record(connection, contract, load_id, verdict)
        current.update(
            contract_version=contract.version,
            contract_sha256=contract.sha256,
            embargoed=contract.embargo is not None,
            held_rows=verdict.held_rows,
        )
        current.outcome = verdict.outcome
        if verdict.outcome != "asked":
            # What was asked about is no longer unusual; who answers says that it is right all the same.
            connection.execute("delete from ops.held_row where load_id = %s", [load_id])
        if new:
            text = verdict.question_ja(contract.title_ja, load_id)
            current.update(error_ja=text)
            connection.commit()
            raise GateAsked(
                f"いまの契約と履歴では、別の点も問い合わせています。公表していません。\n{text}", "gate.asked"
            )


def _publish(current: Step, contract: Contract, load: dict[str, Any], reason_ja: str) -> Published:
    connection, load_id = current.connection, current.load_id
    judged = {
        tuple(row)
        for row in connection.execute(
            "select period, period_end from ops.load_period where load_id = %s and changed", [load_id]
        )
    }
    overtaken, _ = give_way(connection, contract, load_id)
    late = sorted({start for start, _ in judged} & set(overtaken))
    if late:
        raise KpiError(
            f"取込番号 {load_id} の {'、'.join(f'{day:%Y年%-m月}' for day in late)}分は、後から読んだ値で公表済みです"
            f"（取込番号 {_newer(connection, load, late)}）。古い値に戻さないよう、何も変えていません。",
            "answer.overtaken",
        )
    # Periods that said nothing new when they were judged stay as they are, whatever came of them since.
    changed = [
        entry
        for entry in changed_periods(connection, contract, load_id)
        if (entry.period, entry.period_end) in judged
    ]
    # Said so in the book as well: what a load did not bring in, no reconstruction brings in.
    connection.execute(
        "update ops.load_period set overtaken = true where load_id = %s and not changed", [load_id]
    )
    if load["held_rows"]:
        record_held(connection, contract, load_id)
    note_answer(connection, load_id, "released", reason_ja)
    published = accept(current, contract, load, changed, verdict="released")
    if changed and not (published.opened_rows or published.closed_rows or published.held_rows):
        raise KpiError(
            f"取込番号 {load_id} の値は、後から届いたものですでに置き換わっています。何も変えていません。"
            f"`kpi hold reject {load_id} --reason …` で閉じてください。",
            "answer.overtaken",
        )
    return published


def _newer(connection: psycopg.Connection, load: dict[str, Any], late: list[date]) -> str:
    rows = connection.execute(
        "select distinct l.load_id from ops.load as l where l.feed = %s and l.load_id <> %s and l.read_at > %s"
        " and l.state in ('published', 'unchanged') and exists (select from unnest(%s::date[]) as day"
        " where day between l.period_from and l.period_to) order by 1",
        [load["feed"], load["load_id"], load["read_at"], late],
    ).fetchall()
    return "、".join(str(number) for (number,) in rows) or "不明"


def _settle_file(connection: psycopg.Connection, load_id: int, said: str) -> None:
    for (delivery_id,) in connection.execute(
        "select delivery_id from ops.delivery where load_id = %s and state = 'asked'", [load_id]
    ).fetchall():
        settle(delivery_id, "rejected", said, load_id=load_id, on=connection)
