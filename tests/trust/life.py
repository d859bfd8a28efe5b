"""Four years of deliveries of all feeds, R6 to R9, into one warehouse: every one is taken, every build passes, the marts are right.

`live` is called by the tests (short: e-Stat every spring and autumn, marts at the ends of years; long: every month) and by the table of
trust. It needs an empty, migrated warehouse in the settings; today is set to the day of each delivery.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from demo.estat import Simulator
from demo.estat.tables import end_of_next_month, periods
from kpi_warehouse import approvals, holds, load, marts
from kpi_warehouse.errors import GateRejected, KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_receive import hand_in
from kpi_warehouse.warehouse.connection import connect
from tests.trust.life_files import Handed, handed_in
from tests.trust.life_months import FULL_FIRST, Months

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
YEARS = (6, 7, 8, 9)
FIRST, LAST = "2024-03", "2028-03"
AUTUMN = "09"
# A month of the slides, revised by the source a year later: known when the table of this month is published.
REVISED, REVISED_WITH, PERSONS = "2024-05", "2025-09", 4
REASON = "所管課に確認した"
APP_ID = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Lived:
    """What became of a life. `refused`, `set_aside`, `failed_builds` and `wrong` are empty when all is well."""

    deliveries: int = 0
    builds: int = 0
    # Deliveries of which rows waited for their owner's word, who gave it: feed and file, rules.
    held: list[tuple[str, str, str]] = field(default_factory=list)
    # Deliveries sent back with one proposal, which their owner approved: feed, file, proposal.
    approved: list[tuple[str, str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    failed_builds: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = (
            f"4年間の提供 {self.deliveries} 件、構築 {self.builds} 回：受け取れない {len(self.refused)}、"
            f"除外 {len(self.set_aside)}、構築の失敗 {len(self.failed_builds)}、誤った値 {len(self.wrong)}、"
            f"所管の確認を経たもの {len(self.held)}、修正の承認 {len(self.approved)}"
        )
        return "\n".join([said, *self.refused, *self.set_aside, *self.failed_builds, *self.wrong])


def live(folder: Path, *, every_months: int = 12) -> Lived:
    """Live the four years.

    Args:
        folder: an empty one, for the files on their way.
        every_months: how often the two e-Stat tables are pulled, beside each autumn; the marts are built after each autumn and at
            the end, or after every pull when it is monthly.
    """
    lived, known = Lived(), Months.until(LAST)
    with _today(), Simulator([*known.tables(FIRST)]) as source:
        _set(ESTAT_BASE_URL=source.base_url, ESTAT_APP_ID=APP_ID, KPI_ESTAT_REQUESTS_PER_SECOND="0")
        for at, newest in enumerate(periods(FIRST, LAST)):
            if at % every_months and not newest.endswith(f"-{AUTUMN}"):
                continue
            _set(KPI_TODAY=f"{end_of_next_month(newest)}")
            since = None
            if newest >= REVISED_WITH and REVISED in known.flows and known.revised is None:
                known.revise(REVISED, PERSONS)
                since = REVISED
            for table in known.tables(newest):
                source.publish(table)
            for feed in (MOVES, FLOWS):
                _load(lived, feed, newest, since)
            if newest.endswith(f"-{AUTUMN}"):
                _autumn(lived, folder, int(newest[:4]) - 2018, known)
            if every_months == 1 or newest.endswith(f"-{AUTUMN}") or newest == LAST:
                _build(lived)
        _compare(lived, known, LAST)
    return lived


def _autumn(lived: Lived, folder: Path, year: int, known: Months) -> None:
    """The files of all divisions, a few weeks after the September figures."""
    _set(KPI_TODAY=f"{2018 + year}-11-20")
    for file in handed_in(year, known):
        _hand_in(lived, folder, file)


def _hand_in(lived: Lived, folder: Path, file: Handed) -> None:
    path = folder / file.name
    path.write_bytes(file.body)
    try:
        hand_in(load.contract_of(file.feed), path)
    except KpiError as error:
        lived.deliveries += 1
        lived.refused.append(f"{file.name}: {error.code} {error.message_ja}")
        return
    _load(lived, file.feed, file.name)


def _load(lived: Lived, feed: str, name: str, since: str | None = None) -> None:
    lived.deliveries += 1
    try:
        fetched = load.fetch(feed, since=since)
        if fetched.state != "fetched":
            lived.refused.append(f"{feed} {name}: {fetched.state} {fetched.message_ja}")
            return
        load.stage(fetched.load_id)
        load.gate(fetched.load_id)
        published = load.publish(fetched.load_id)
    except GateRejected as error:
        proposals = approvals.open_proposals(feed)
        if len(proposals) != 1:
            lived.refused.append(f"{feed} {name}: {error.code} {error.message_ja}")
            return
        published = approvals.approve(proposals[0].proposal_id, REASON).published
        lived.approved.append((feed, name, proposals[0].message_ja))
    except KpiError as error:
        lived.refused.append(f"{feed} {name}: {error.code} {error.message_ja}")
        return
    if published.held_rows:
        waiting = holds.held_rows(feed)
        lived.held.append((feed, name, "、".join(sorted({one.expectation for one in waiting}))))
        for one in waiting:
            if any(still.held_id == one.held_id for still in holds.held_rows(feed)):
                holds.release(one.held_id, REASON)


def _build(lived: Lived) -> None:
    lived.builds += 1
    try:
        built = marts.build()
    except KpiError as error:
        lived.failed_builds.append(error.message_ja)
        return
    lived.set_aside += [f"取込番号 {step.load_id}（{step.feed}）が除かれた" for step in built.left_out]


def _rows(query: str) -> list[dict[str, Any]]:
    with connect("kpi_transformer") as connection:
        return connection.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def _compare(lived: Lived, known: Months, newest: str) -> None:
    """The marts of the last day against what was sent, cell by cell."""

    def expect(what: str, shown: object, sent: object) -> None:
        if shown != sent:
            lived.wrong.append(f"{what}：表示 {shown}、提供 {sent}")

    shown = {
        (row["period_id"], row["area_code"]): (row["in_migrants"], row["out_migrants"], row["net_migration"])
        for row in _rows("select * from marts.mart_migration_monthly where net_migration is not null")
    }
    sent = {
        (month, area): (inflow, outflow, inflow - outflow)
        for month in (*known.earlier, *known.flows)
        if month <= newest
        for area, (inflow, outflow) in known.moves_of(month).items()
    }
    for key in sorted(shown.keys() | sent.keys()):
        expect("／".join(key), shown.get(key), sent.get(key))
    history = {
        row["period_id"]: row for row in _rows("select * from marts.mart_kpi_history where kpi_id = 'K12'")
    }
    for year in range(2018, int(newest[:4])):
        expect(
            f"K12 {year}年",
            history[f"CY{year}"]["value"],
            sum(known.net(f"{year}-{m:02}") for m in range(1, 13)),
        )
    splits = _rows(
        "select count(*) as months from marts.mart_migration_monthly where area_code = '43000'"
        " and partner_status = 'simulated'"
    )
    expect("相手先別の月", splits[0]["months"], len(periods(FULL_FIRST, newest)))
    filled = {
        (row["kpi_id"], row["period_id"]): row["value"]
        for row in _rows("select * from marts.mart_kpi_history where value is not null")
    }
    for more, year in enumerate(YEARS[:-1]):
        west = 2018 + year
        for kpi, period, value in (
            ("K04", f"CUM2024-{west}", 2110 + 2081 * more),
            ("K05", f"FY{west}", 742 + 41 * more),
            ("K06", f"FY{west}", 571 + 13 * more),
            ("K07", f"FY{west}", 2744 + 57 * more),
            ("K09", f"AT{west + 1}-03-31", 8 + 3 * more),
        ):
            expect(f"{kpi} {period}", filled.get((kpi, period)), value)
    decided = {
        row["fiscal_year"]: row["value"]
        for row in _rows(
            "select fiscal_year, value from marts.mart_programme_annual where feed = 'uij_turn'"
            " and measure_code = 'placed_persons'"
        )
    }
    for year, value in {2: 72, 3: 98, 4: 117, 5: 158, 6: 153, 7: 156, 8: 159}.items():
        expect(f"UIJターン R{year}年度", decided.get(2018 + year), value)
    figures = {row["figure_id"]: row for row in _rows("select * from marts.mart_published_figure")}
    expect("資料の2024年1–9月", figures["social_change_to_september_2024"]["figure_status"], "revised")
    expect("その差", figures["social_change_to_september_2024"]["difference"], PERSONS)
    expect("資料の2023年", figures["CY2023"]["figure_status"], "met")
    expect("参加生徒数", figures["semiconductor_training_students"]["figure_status"], "revised")
    differs = [name for name, row in figures.items() if row["figure_status"] in ("differs", "not_comparable")]
    expect("説明のない資料の値", differs, [])
    board = _rows("select kpi_id, left_out_ja from marts.mart_kpi_board where left_out_ja is not null")
    expect("除外の注記", board, [])
    open_incidents = _rows(
        "select cause, feed from ops.incident where resolved_at is null and cause like '%marts%'"
    )
    expect("残った異常", open_incidents, [])


def _set(**values: str) -> None:
    os.environ.update(values)
    settings.cache_clear()


@contextmanager
def _today() -> Iterator[None]:
    """The environment as it was, afterwards."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()
