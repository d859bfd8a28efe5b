"""Deliveries for the marts' tests: the published figures, written into `ops` and `raw` as the loader does.

`figures/` holds monthly figures of e-Stat table 0003420473 (熊本県 2018-01 to 2025-02, all prefectures 2023
and 2024), the partner rows of the slides for 2024-01 to 2024-09, and the annual 暦年 figures. Cells of other
prefectures are delivered as the mark ``***``, as the source does.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from kpi_warehouse.contract import find_contract
from kpi_warehouse.settings import PROJECT
from kpi_warehouse.warehouse.tables import ensure_raw

FIGURES = Path(__file__).parent / "figures"
MONTHLY = "estat_migration_monthly"
FLOW = "estat_migration_flow_monthly"
KUMAMOTO = "43000"
PREFECTURES = [f"{number:02}000" for number in range(1, 48)]
# Any member stands for its bloc: the slides give bloc totals only.
MEMBER_OF = {"東京圏": "13000", "大阪圏": "27000", "福岡県": "40000", "その他": "46000"}
# The slides' `16` for 2024-05 lost a digit; their own total 1,831 says 165.
LOST_DIGIT = ("in", "大阪圏", date(2024, 5, 1), 165)
FIRST_KNOWN = datetime(2025, 4, 1, 9, tzinfo=UTC)


class Moves(NamedTuple):
    """In- and out-migrants of one area in one month."""

    month: date
    area_code: str
    in_migrants: int
    out_migrants: int


class Flow(NamedTuple):
    """Movers from one prefecture to another in one month."""

    month: date
    origin: str
    destination: str
    movers: int


def figures(name: str) -> list[dict[str, str]]:
    """Rows of a file in `figures/`."""
    with (FIGURES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def first_of(month: str) -> date:
    """``2024-09`` as its first day."""
    return date.fromisoformat(f"{month}-01")


def published_moves() -> list[Moves]:
    """Every monthly figure we have; the nation's where all 47 prefectures are known."""
    known = {
        (row["year_month"], row["area_code"]): (int(row["in_migrants"]), int(row["out_migrants"]))
        for row in figures("kumamoto_monthly_migration")
    }
    for row in figures("prefecture_monthly_migration"):
        known[row["year_month"], row["pref_code"]] = (int(row["in_migrants"]), int(row["out_migrants"]))
    for month in sorted({month for month, _ in known}):
        members = [known[month, code] for code in PREFECTURES if (month, code) in known]
        if len(members) == len(PREFECTURES):
            known[month, "00000"] = (
                sum(inflow for inflow, _ in members),
                sum(outflow for _, outflow in members),
            )
    return [Moves(first_of(month), area, *values) for (month, area), values in sorted(known.items())]


def published_flows() -> list[Flow]:
    """Flows to and from 熊本県 as the slides give them; what they leave of the total goes to その他."""
    totals = {move.month: move for move in published_moves() if move.area_code == KUMAMOTO}
    flows: list[Flow] = []
    named: dict[tuple[str, date], int] = {}
    for row in figures("seed_migration_2024_monthly"):
        direction, partner = row["direction"], row["counterpart"]
        for month in (first_of(name) for name in row if name.startswith("2024")):
            movers = int(row[month.strftime("%Y-%m")])
            if (direction, partner, month) == LOST_DIGIT[:3]:
                movers = LOST_DIGIT[3]
            named[direction, month] = named.get((direction, month), 0) + movers
            flows.append(_flow(direction, partner, month, movers))
    for (direction, month), movers in named.items():
        total = totals[month].in_migrants if direction == "in" else totals[month].out_migrants
        flows.append(_flow(direction, "その他", month, total - movers))
    return flows


def _flow(direction: str, partner: str, month: date, movers: int) -> Flow:
    ends = (MEMBER_OF[partner], KUMAMOTO)
    origin, destination = ends if direction == "in" else ends[::-1]
    return Flow(month, origin, destination, movers)


class Deliveries:
    """Writes deliveries into a migrated warehouse; `known_from` is when a delivery was published."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        for feed in (MONTHLY, FLOW):
            ensure_raw(connection, find_contract(PROJECT / "expectations", feed))

    def forget_everything(self) -> None:
        """Empty history and operations."""
        self.connection.execute(
            "truncate ops.build_node, ops.build, ops.step, ops.held_row, ops.gate_result, ops.period_digest,"
            " ops.load_period, ops.load_page, ops.load restart identity cascade"
        )
        for feed in (MONTHLY, FLOW):
            self.connection.execute(sql.SQL("truncate {}").format(sql.Identifier("raw", feed)))

    def publish_moves(
        self, moves: Iterable[Moves], known_from: datetime = FIRST_KNOWN, verdict: str = "passed"
    ) -> int:
        """Publish monthly moves of every area; areas left out become marks. Returns the load."""
        given = {(move.month, move.area_code): move for move in moves}
        months = sorted({month for month, _ in given})
        load_id = self.load(MONTHLY, months[0], months[-1], at=known_from, verdict=verdict)
        self._replace(MONTHLY, months, known_from, load_id, list(_move_rows(months, given)))
        return load_id

    def publish_flows(self, flows: Iterable[Flow], known_from: datetime = FIRST_KNOWN) -> int:
        """Publish flows to and from 熊本県; pairs left out become marks. Returns the load."""
        given = {(flow.month, flow.origin, flow.destination): flow.movers for flow in flows}
        months = sorted({month for month, _, _ in given})
        load_id = self.load(FLOW, months[0], months[-1], at=known_from)
        self._replace(FLOW, months, known_from, load_id, list(_flow_rows(months, given)))
        return load_id

    def load(
        self,
        feed: str,
        period_from: date,
        period_to: date,
        *,
        at: datetime = FIRST_KNOWN,
        state: str = "published",
        verdict: str | None = "passed",
    ) -> int:
        """One finished row of `ops.load`."""
        row = self.connection.execute(
            "insert into ops.load (feed, contract_version, contract_sha256, code_version, requested_period,"
            " period_from, period_to, trigger, forced, state, verdict, source_updated_on, opened_at,"
            " published_at, finished_at)"
            " values (%s, '1.0.0', '', 'test', %s, %s, %s, 'test', false, %s, %s, %s, %s, %s, %s)"
            " returning load_id",
            [
                feed,
                period_to,
                period_from,
                period_to,
                state,
                verdict,
                at.date(),
                at,
                at if state == "published" else None,
                at,
            ],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def hold_row(self, feed: str, period: date, load_id: int, area: str = KUMAMOTO) -> None:
        """One row of monthly moves waiting in `ops.held_row`."""
        self.connection.execute(
            "insert into ops.held_row (load_id, feed, period, period_end, row, expectation, reason_ja, source_ref)"
            " values (%s, %s, %s, %s, %s, 'movers_not_negative', '負の値', 'test')",
            [
                load_id,
                feed,
                period,
                period,
                Jsonb({"area_code": area, "sex_code": "0", "nationality_code": "60000"}),
            ],
        )

    def _replace(
        self,
        feed: str,
        months: list[date],
        known_from: datetime,
        load_id: int,
        rows: list[tuple[object, ...]],
    ) -> None:
        table = sql.Identifier("raw", feed)
        self.connection.execute(
            sql.SQL("update {} set known_to = %s where period = any(%s) and known_to = 'infinity'").format(
                table
            ),
            [known_from, months],
        )
        key = {
            MONTHLY: "period, indicator_code, sex_code, nationality_code, area_code",
            FLOW: "period, origin_area_code, sex_code, destination_area_code",
        }[feed]
        statement = sql.SQL(
            "copy {} (" + key + ", persons, persons_mark, load_id, source_page, known_from) from stdin"
        )
        with self.connection.cursor().copy(statement.format(table)) as copy:
            for row in rows:
                copy.write_row((*row, load_id, 1, known_from))


def _move_rows(months: list[date], given: dict[tuple[date, str], Moves]) -> Iterator[tuple[object, ...]]:
    for month in months:
        for area in ["00000", *PREFECTURES]:
            move = given.get((month, area))
            cells = (
                (move.in_migrants, move.out_migrants, move.in_migrants - move.out_migrants)
                if move
                else (None,) * 3
            )
            for indicator, persons in zip(("02", "03", "04"), cells, strict=True):
                yield month, indicator, "0", "60000", area, persons, None if persons is not None else "***"


def _flow_rows(months: list[date], given: dict[tuple[date, str, str], int]) -> Iterator[tuple[object, ...]]:
    for month in months:
        for area in PREFECTURES:
            for origin, destination in {(area, KUMAMOTO), (KUMAMOTO, area)}:
                persons = given.get((month, origin, destination))
                yield month, origin, "0", destination, persons, None if persons is not None else "-"
