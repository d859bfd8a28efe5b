"""fetch → stage → gate → publish: the verbs that bring one feed's delivery into accepted history.

Each verb is idempotent, may be killed at any instruction and run again, and leaves a row in `ops.step`. The DAGs and the
command line call these same functions. What passes between verbs is the load's number; everything else is in `ops` and
in landing, so a load can go on in another process, or be replayed from its landed bytes with no network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from kpi_warehouse.contract import Contract, EstatSource, contracts, estat_source, find_contract
from kpi_warehouse.errors import GateAsked, GateRejected, KpiError, LoadConflict, UnreadableFile
from kpi_warehouse.gate.run import judge, record
from kpi_warehouse.gate.verdict import Verdict
from kpi_warehouse.readers.estat_pages import LandedPage, share_borders, stage_pages
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.estat import EstatClient
from kpi_warehouse.sources.estat_plan import make_plan, period_named
from kpi_warehouse.sources.estat_pull import accepted_periods, land_pages, nothing_newer, same_bytes
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.corrections import settle_corrections
from kpi_warehouse.warehouse.deliveries import left_by_hand
from kpi_warehouse.warehouse.history import (
    PeriodDigest,
    changed_periods,
    give_way,
    lock_history,
    settle_held,
    write_history,
)
from kpi_warehouse.warehouse.landing import Landing
from kpi_warehouse.warehouse.ledger import (
    SETTLED,
    Step,
    go_on_with,
    load_in_hand,
    open_load,
    read_load,
    step,
)
from kpi_warehouse.warehouse.questions import same_question, supersede_questions
from kpi_warehouse.warehouse.tables import (
    create_stage,
    drop_stage,
    ensure_raw,
    stage_name,
    stage_table,
)

# First half of the advisory lock key of who loads a feed of files by hand; the second is hashed from its name.
HAND_LOCK = 0x4B5048
WAIT_FOR_OTHER_HAND = "1min"
FetchState = Literal["fetched", "unchanged", "waiting"]


@dataclass(frozen=True)
class Fetched:
    """What fetch found: pages landed, nothing newer at the source, or a month that is not published yet."""

    load_id: int
    state: FetchState
    message_ja: str


@dataclass(frozen=True)
class Published:
    """What publish wrote, in rows of `raw.<feed>`. `overtaken` periods were left as they are: they were read later since."""

    load_id: int
    state: str
    opened_rows: int
    closed_rows: int
    held_rows: int
    overtaken: tuple[date, ...] = ()


@dataclass(frozen=True)
class Filled:
    """What a stage table was filled with; the periods are those of a file, which alone tells them by its rows."""

    rows: int
    period_from: date | None = None
    period_to: date | None = None


def feeds() -> tuple[Contract, ...]:
    """Every feed whose contract is in force; drafts are not loaded."""
    return tuple(contract for contract in contracts(settings().contracts) if contract.status == "active")


def contract_of(feed: str) -> Contract:
    """The contract of one feed."""
    return find_contract(settings().contracts, feed)


def period_of(feed: str, text: str) -> date | None:
    """First day of the period that a text names in a feed's cycle; None where it names none, or the feed comes as files."""
    source = contract_of(feed).source
    return source.cycle.read(text) if isinstance(source, EstatSource) else None


def run(
    feed: str,
    period: str | None = None,
    *,
    since: str | None = None,
    force: bool = False,
    trigger: str = "cli",
) -> Published:
    """All verbs in turn; what `kpi load` does.

    Raises:
        KpiError: whatever a verb raises.
    """
    with by_hand(feed) as left:
        fetched = fetch(feed, period, since=since, force=force, trigger=trigger, go_on=left)
        if fetched.state != "fetched":
            return Published(fetched.load_id, fetched.state, 0, 0, 0)
        stage(fetched.load_id)
        gate(fetched.load_id)
        return publish(fetched.load_id)


@contextmanager
def by_hand(feed: str) -> Iterator[int | None]:
    """Load by hand: of a feed of files one process at a time, which first goes on with what a killed one left.

    A load that a run of Airflow began is left to that run.

    Yields:
        The load to go on with (`fetch(go_on=…)`), None where nothing was left.

    Raises:
        LoadConflict: another process has been loading this feed by hand for longer than a minute.
    """
    if isinstance(contract_of(feed).source, EstatSource):
        yield None
        return
    with connect(autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("set lock_timeout = {}").format(WAIT_FOR_OTHER_HAND))
            connection.execute("select pg_advisory_lock(%s, hashtext(%s))", [HAND_LOCK, feed])
        except psycopg.errors.LockNotAvailable:
            raise LoadConflict(
                f"{feed} は別のコマンドが取り込んでいます。終わってから、もう一度実行してください。",
                "load.in_hand",
            ) from None
        yield left_by_hand(connection, feed)


def fetch(
    feed: str,
    period: str | None = None,
    *,
    since: str | None = None,
    force: bool = False,
    trigger: str = "cli",
    run_ref: str | None = None,
    go_on: int | None = None,
) -> Fetched:
    """Bytes → landing. Pulls the month, the months before it that were never accepted, and those re-read for revisions.

    Args:
        period: the period expected, `YYYY-MM` or as its cycle is written; None is the newest the source has.
        since: read again from this period on; None is as far back as revisions are looked for.
        force: pull although the source says nothing is newer.
        run_ref: name of the run; the same run continues its own load.
        go_on: the load that a killed command left (`by_hand`), to go on with under its own number.

    Raises:
        SourceUnavailable, SourceRefused, SourceChanged, StorageFailed: see `kpi_warehouse.errors`.
    """
    contract = contract_of(feed)
    asked = period_named(contract, period) if period and isinstance(contract.source, EstatSource) else None
    with connect() as connection:
        if go_on is None:
            load_id = open_load(
                contract, period=asked, trigger=trigger, run_ref=run_ref, forced=force, on=connection
            )
        else:
            load_id = go_on_with(connection, contract, go_on, forced=force)
        with step(load_id, "fetch", connection) as current:
            if isinstance(contract.source, EstatSource):
                return _fetch_pages(current, contract, period, since, force=force)
            return _fetch_file(current, contract)


def _fetch_pages(
    current: Step, contract: Contract, period: str | None, since: str | None, *, force: bool
) -> Fetched:
    client = EstatClient.from_settings(settings())
    table = client.describe(estat_source(contract).table_id)
    accepted = accepted_periods(current.connection, contract)
    plan = make_plan(contract, table, period, accepted, since)
    if plan.waiting:
        current.update(state="waiting")
        current.outcome = "waiting"
        return Fetched(current.load_id, "waiting", plan.message_ja)
    current.update(
        requested_period=plan.period,
        period_from=plan.periods[0],
        period_to=plan.periods[-1],
        source_updated_on=table.updated_on,
    )
    if not force and nothing_newer(current.connection, contract, plan, table.updated_on):
        return _unchanged(current, f"提供元の更新日（{table.updated_on}）以降の変更はありません。")
    land_pages(current, client, plan)
    if not force and same_bytes(current.connection, contract, current.load_id):
        return _unchanged(current, "前回と同じ内容（同じバイト列）です。")
    current.update(state="fetched")
    name = estat_source(contract).cycle.name
    received = f"{name(plan.periods[0])}〜{name(plan.periods[-1])} を受け取りました。"
    return Fetched(current.load_id, "fetched", received)


def _fetch_file(current: Step, contract: Contract) -> Fetched:
    from kpi_warehouse.sources.file_delivery import take_delivery

    delivery = take_delivery(current, contract)
    if delivery is None:
        return _unchanged(current, "新しいファイルは届いていません。")
    current.update(state="fetched", read_at=delivery.received_at)
    received = f"「{delivery.file_name}」を受け取りました（受付番号 {delivery.delivery_id}）。"
    return Fetched(current.load_id, "fetched", received)


def _unchanged(current: Step, message_ja: str) -> Fetched:
    current.update(state="unchanged", verdict="inherited", opened_rows=0, closed_rows=0, held_rows=0)
    current.connection.execute(
        "update ops.load set finished_at = clock_timestamp() where load_id = %s", [current.load_id]
    )
    current.outcome, current.detail = "unchanged", {"reason": message_ja}
    return Fetched(current.load_id, "unchanged", message_ja)


def stage(load_id: int) -> int:
    """Bytes → rows: decode the landed pages into `stage.<feed>_<load>`; returns the rows staged. Needs no network.

    Raises:
        UnreadableValue: a page holds what the contract does not know; with page, row and text.
    """
    with load_in_hand(load_id) as (connection, load):
        if load["state"] in (*SETTLED, "asked"):
            return load["staged_rows"] or 0
        return _stage(connection, load)


def _stage(connection: psycopg.Connection, load: dict[str, Any]) -> int:
    load_id, contract = load["load_id"], contract_of(load["feed"])
    with step(load_id, "stage", connection) as current:
        current.update(verdict=None, staged_rows=None)
        try:
            staged = fill_stage(current, contract, load)
        except (GateRejected, UnreadableFile) as error:
            # What cannot be opened under the contract is as final as what cannot be read in it: the division has to act.
            from kpi_warehouse.file_outcome import sent_back

            raise sent_back(current, contract, error) from None
        current.update(state="staged", staged_rows=staged.rows)
        if staged.period_from is not None:
            current.update(period_from=staged.period_from, period_to=staged.period_to)
    return staged.rows


def fill_stage(current: Step, contract: Contract, load: dict[str, Any]) -> Filled:
    """Make the stage table of a load from its landed bytes; nothing else of the load changes.

    Raises:
        UnreadableValue: a page holds what the contract does not know.
        GateRejected: a file cannot be read as the contract says.
    """
    load_id = load["load_id"]
    pages = (
        current.connection.cursor(row_factory=class_row(LandedPage))
        .execute(
            "select p.page, p.sha256, l.content_encoding from ops.load_page as p"
            " join ops.landed as l using (sha256) where p.load_id = %s order by p.page",
            [load_id],
        )
        .fetchall()
    )
    create_stage(current.connection, contract, load_id)
    current.connection.commit()
    if isinstance(contract.source, EstatSource):
        cycle = contract.source.cycle
        periods = cycle.between(load["period_from"], load["period_to"])
        filled = Filled(stage_pages(contract, load_id, periods, pages, settings().stage_processes))
    else:
        from kpi_warehouse.readers.file_rows import stage_file
        from kpi_warehouse.sources.file_delivery import file_name_of

        body = Landing(settings().landing_url).get(pages[0].sha256)
        staged = stage_file(current.connection, contract, load_id, body, file_name_of(load_id))
        filled = Filled(staged.rows, staged.period_from, staged.period_to)
    current.detail = {"rows": filled.rows, "pages": len(pages)}
    return filled


def gate(load_id: int) -> Verdict:
    """Rows → verdict.

    Raises:
        GateRejected: a critical check of the whole delivery failed; nothing is published, the last good data stays.
        GateAsked: the delivery is plausible only on a person's word; nothing is published until it is given.
    """
    with load_in_hand(load_id) as (connection, load):
        contract = contract_of(load["feed"])
        if load["state"] == "asked":
            raise GateAsked(load["error_ja"], "gate.asked")
        if load["state"] in SETTLED:
            return Verdict(load["verdict"], [], load["held_rows"] or 0)
        if not stage_intact(connection, load, contract):
            _stage(connection, load)
        return _gate(connection, contract, load_id)


def _gate(connection: psycopg.Connection, contract: Contract, load_id: int) -> Verdict:
    with step(load_id, "gate", connection) as current:
        ensure_raw(current.connection, contract)
        _forget_held(current, contract)
        current.update(verdict=None)  # with the marks of held rows goes what was judged from them
        current.connection.commit()  # the suite looks at these tables through a connection of its own
        load = read_load(load_id, current.connection)
        verdict, periods = judge(
            current.connection,
            contract,
            load_id,
            asked=periods_asked(current.connection, contract, load),
            declared_rows=load["declared_rows"],
            staged_rows=load["staged_rows"],
        )
        record_periods(current, periods)
        record(current.connection, contract, load_id, verdict)
        current.detail = {
            "broken": [finding.expectation for finding in verdict.broken],
            "held_rows": verdict.held_rows,
        }
        if verdict.outcome == "asked":
            raise _ask(current, contract, verdict)
        # A refusal is written with its verdict: killed right after, the load must not look fit to publish.
        state = "rejected" if verdict.outcome == "rejected" else "gated"
        current.update(state=state, verdict=verdict.outcome, held_rows=verdict.held_rows)
        current.outcome = verdict.outcome
        current.connection.commit()
        if verdict.outcome == "rejected":
            error = GateRejected(verdict.rejection_ja(contract.title_ja), "gate.rejected")
            if not isinstance(contract.source, EstatSource):
                from kpi_warehouse.file_outcome import sent_back

                error = sent_back(current, contract, error, verdict.broken)
            raise error
    return verdict


def _ask(current: Step, contract: Contract, verdict: Verdict) -> GateAsked:
    """Put the question, in one transaction with the verdict; the same question that is open already is put no second time."""
    connection, load_id = current.connection, current.load_id
    lock_history(connection, contract)
    open_one = same_question(connection, load_id)
    if open_one is None:
        supersede_questions(connection, contract, load_id)
        state, text = "asked", verdict.question_ja(contract.title_ja, load_id)
    else:
        state, text = "superseded", open_one.text_ja
    current.update(
        state=state, verdict="asked", held_rows=verdict.held_rows, error_code="gate.asked", error_ja=text
    )
    connection.execute("update ops.load set finished_at = clock_timestamp() where load_id = %s", [load_id])
    if not isinstance(contract.source, EstatSource):
        from kpi_warehouse.file_outcome import asked_about

        asked_about(connection, load_id, text, same_as=open_one.load_id if open_one else None)
    connection.commit()
    return GateAsked(text, "gate.asked")


def periods_asked(connection: psycopg.Connection, contract: Contract, load: dict[str, Any]) -> list[date]:
    """The periods that must be in a delivery of e-Stat: of months every one, of longer periods those accepted before."""
    if not isinstance(contract.source, EstatSource):
        return []
    first, last, cycle = load["period_from"], load["period_to"], contract.source.cycle
    if cycle.months == 1:
        return cycle.between(first, last)
    return sorted(each for each in accepted_periods(connection, contract) if first <= each <= last)


def stage_intact(connection: psycopg.Connection, load: dict[str, Any], contract: Contract) -> bool:
    """A stage table is unlogged: a crash of the server empties it. Landing still has the bytes, so it can be made again."""
    try:
        found = connection.execute(
            "select to_regclass(%s)", [f'stage."{stage_name(contract, load["load_id"])}"']
        ).fetchone()
        if not (found and found[0]):
            return False
        # It is emptied as a whole or not at all, so one row tells.
        row = connection.execute(
            sql.SQL("select exists (select 1 from {})").format(stage_table(contract, load["load_id"]))
        ).fetchone()
        return bool(row and row[0]) == bool(load["staged_rows"])
    finally:
        connection.rollback()  # whoever stages anew must not wait for who looked


def _forget_held(current: Step, contract: Contract) -> None:
    """An earlier try of this gate may have marked rows; judged anew, they start unmarked."""
    current.connection.execute(
        sql.SQL(
            "update {} set held_by = null where held_by is not null"
            " and exists (select 1 from ops.gate_result where load_id = {})"
        ).format(stage_table(contract, current.load_id), sql.Literal(current.load_id))
    )


def record_periods(current: Step, periods: list[PeriodDigest]) -> None:
    current.connection.execute("delete from ops.load_period where load_id = %s", [current.load_id])
    with current.connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.load_period (load_id, period, period_end, rows, digest, changed)"
            " values (%s, %s, %s, %s, %s, %s)",
            [
                (current.load_id, entry.period, entry.period_end, entry.rows, entry.digest, entry.changed)
                for entry in periods
            ],
        )


def publish(load_id: int) -> Published:
    """Rows → history, in one transaction: all accepted rows of the delivery become current together, or none does.

    Raises:
        KpiError: the load has not passed the gate.
        GateAsked: a person has to answer first.
        GateRejected: cells that were accepted before are missing from the delivery.
    """
    with load_in_hand(load_id) as (connection, load):
        contract = contract_of(load["feed"])
        if load["state"] in SETTLED:
            opened, closed, held = (load[n] or 0 for n in ("opened_rows", "closed_rows", "held_rows"))
            return Published(load_id, load["state"], opened, closed, held)
        if load["state"] == "asked":
            raise GateAsked(load["error_ja"], "gate.asked")
        # A publish that failed on the way is done again; staging anew takes the verdict away.
        if load["state"] not in ("gated", "failed") or load["verdict"] in (None, "rejected", "asked"):
            raise KpiError(
                f"取込番号 {load_id} は検査を通っていません（状態：{load['state']}）。", "load.not_gated"
            )
        if not stage_intact(connection, load, contract):
            _stage(connection, load)
            _gate(connection, contract, load_id)
        elif _not_judged(connection, contract, load_id):
            _gate(connection, contract, load_id)
        return _publish(connection, contract, load_id)


def _not_judged(connection: psycopg.Connection, contract: Contract, load_id: int) -> bool:
    """Whether a period that said nothing new when the load was judged would be written now: another load was accepted or taken
    back since, and what the rules say of it is not known."""
    changed = changed_periods(connection, contract, load_id)
    row = connection.execute(
        "select exists (select from ops.load_period where load_id = %s and not changed"
        " and (period, period_end) in (select * from unnest(%s::date[], %s::date[])))",
        [load_id, [entry.period for entry in changed], [entry.period_end for entry in changed]],
    ).fetchone()
    return bool(row and row[0])


def _publish(connection: psycopg.Connection, contract: Contract, load_id: int) -> Published:
    with step(load_id, "publish", connection) as current:
        lock_history(current.connection, contract)
        load = read_load(load_id, current.connection)
        overtaken, left = give_way(current.connection, contract, load_id)
        if overtaken:
            current.detail["overtaken"] = [f"{period}" for period in overtaken]
            settle_held(current.connection, contract, load_id, own=True)
        if overtaken and not left:
            return _superseded(current, contract, overtaken)
        if _not_judged(current.connection, contract, load_id):
            raise LoadConflict(
                f"取込番号 {load_id} を検査したあとに、同じフィードの履歴が変わりました。もう一度実行すると、検査からやり直します。",
                "load.history_moved",
            )
        changed = changed_periods(current.connection, contract, load_id)
        return accept(current, contract, load, changed, overtaken=overtaken)


def accept(
    current: Step,
    contract: Contract,
    load: dict[str, Any],
    changed: list[PeriodDigest],
    *,
    overtaken: tuple[date, ...] = (),
    verdict: str | None = None,
) -> Published:
    """Make these periods of a load current, and end the load and its file; in the transaction that took `lock_history`.

    Args:
        verdict: what the load's verdict becomes; None where it stays.
    """
    load_id = current.load_id
    opened = closed = 0
    known_from = None
    if changed:
        written = write_history(
            current.connection,
            contract,
            load_id,
            changed,
            held=bool(load["held_rows"]),
            page_borders=page_borders(current.connection, load_id),
        )
        opened, closed, known_from = written.opened, written.closed, written.known_from
    settle_held(current.connection, contract, load_id)
    supersede_questions(current.connection, contract, load_id)
    ended = settle_corrections(current.connection, load_id)
    state = "published" if opened or closed else "unchanged"
    current.update(
        state=state,
        verdict=verdict or load["verdict"],
        opened_rows=opened,
        closed_rows=closed,
        published_at=known_from,
        error_code=None,
        error_ja=None,
    )
    current.connection.execute(
        "update ops.load set finished_at = coalesce(case when verdict = 'released' then finished_at end, clock_timestamp())"
        " where load_id = %s",
        [load_id],
    )
    drop_stage(current.connection, contract, load_id)
    current.outcome = state
    current.detail |= {"opened_rows": opened, "closed_rows": closed}
    if not isinstance(contract.source, EstatSource):
        from kpi_warehouse.file_outcome import taken

        taken(current, load["held_rows"] or 0, state, ended)
    return Published(load_id, state, opened, closed, load["held_rows"] or 0, overtaken)


def _superseded(current: Step, contract: Contract, overtaken: tuple[date, ...]) -> Published:
    """Everything of this load was read later since: nothing is written, and its file is settled."""
    current.update(state="superseded", opened_rows=0, closed_rows=0)
    current.connection.execute(
        "update ops.load set finished_at = clock_timestamp() where load_id = %s", [current.load_id]
    )
    drop_stage(current.connection, contract, current.load_id)
    current.outcome = "superseded"
    if not isinstance(contract.source, EstatSource):
        from kpi_warehouse.file_outcome import gone_by

        gone_by(current)
    return Published(current.load_id, "superseded", 0, 0, 0, overtaken)


def page_borders(connection: psycopg.Connection, load_id: int) -> list[int]:
    """Where the shares met that processes staged side by side; had they others, the rows only lie in less good an order."""
    row = connection.execute("select count(*) from ops.load_page where load_id = %s", [load_id]).fetchone()
    assert row is not None
    return share_borders(row[0], settings().stage_processes)
