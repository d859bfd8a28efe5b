"""A warehouse lives through months of deliveries with faults and kill -9; after every step it is what a plain list of readings says.

The oracle knows no SQL: which cells were accepted last, and what was current at every instant. The steps are drawn by a seed:
new months, revisions, refusals, held cells, an older reading that is published after a newer one, replays, files with a value that
waits and is released. In the end the history is made again from landing and must be the same, row by row.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook
from test_killed_verbs import FEED, again, dying_at, was_killed
from typer.testing import CliRunner

from demo.estat import Simulator, Table, edits
from demo.estat.published import moves
from demo.estat.tables import time_code
from kpi_warehouse import holds, load, marts
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateRejected
from kpi_warehouse.replay import replay
from kpi_warehouse.settings import PROJECT, settings

SUPPORT = "vacant_house_support"
MONTHS = [f"{year}-{month:02}" for year in (2022, 2023) for month in range(1, 13)]
KUMAMOTO = {"cat01": "0", "cat02": "60000", "area": "43000"}
INFLOW, NET = {**KUMAMOTO, "tab": "02"}, {**KUMAMOTO, "tab": "04"}
# True months: rules about what is plausible ask nothing of them.
PUBLISHED = moves()
Figures = dict[tuple[object, ...], int | None]
FURTHEST_CALL = 140


def served(months: list[str]) -> Table:
    """The source when these months are published."""
    codes = [time_code(month) for month in months]
    table = edits.until(PUBLISHED, months[-1])
    return replace(table, months={code: table.months[code] for code in codes})


def figures(table: Table) -> Figures:
    """What a table says of the areas that the contract asks for, by cell; None where a mark stands for the number."""
    areas = load.contract_of(FEED).axes[-1].codes
    return {
        (f"{time[:4]}-{time[-2:]}-01", *codes): int(text) if text.lstrip("-").isdigit() else None
        for time, texts in table.months.items()
        for codes, text in zip(table.cells, texts, strict=True)
        if text is not None and codes[3] in areas
    }


def whole(run: str) -> None:
    """One run of the feed's DAG."""
    try:
        fetched = load.fetch(FEED, run_ref=run)
        if fetched.state == "fetched":
            load.stage(fetched.load_id)
            load.gate(fetched.load_id)
            load.publish(fetched.load_id)
    except GateRejected:
        pass


@dataclass
class Life:
    """The warehouse, its source, and what must be known."""

    url: str
    estat: Simulator
    chance: random.Random
    folder: Path
    table: Table = field(default_factory=lambda: served(MONTHS[:1]))
    current: Figures = field(default_factory=dict)
    known: list[tuple[datetime, Figures]] = field(default_factory=list)
    boards: list[tuple[datetime, list[tuple[Any, ...]]]] = field(default_factory=list)
    incidents: Counter[str] = field(default_factory=Counter)
    support: int = 42
    kills: int = 0
    runs: int = 0

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def serve(self, table: Table) -> None:
        """Publish at the source, a day later than whatever it served before."""
        self.table = replace(
            table, updated_on=max(table.updated_on, self.table.updated_on + timedelta(days=1))
        )
        self.estat.publish(self.table)

    def run(self) -> None:
        """A run of the feed, often killed at some statement, and then run again as Airflow does."""
        self.runs += 1
        name = f"run-{self.runs}"
        if self.chance.random() < 0.5:
            at = self.chance.randint(1, FURTHEST_CALL)
            self.kills += was_killed(dying_at, at, lambda: again(lambda: whole(name)))
        again(lambda: whole(name))

    def accept(self, table: Table, *held: tuple[object, ...]) -> None:
        """The oracle: these figures are current from now on, but for cells that wait."""
        said = figures(table)
        self.current = {
            **self.current,
            **{cell: said[cell] for cell in said if cell not in held},
        }

    def check(self) -> None:
        ((now,),) = self.rows("select clock_timestamp()")
        self.known.append((now, dict(self.current)))
        assert self.at("known_to = 'infinity'") == self.current
        for instant, expected in self.chance.sample(self.known, min(2, len(self.known))):
            assert self.at("known_from <= %s and known_to > %s", instant, instant) == expected
        key = "period, indicator_code, sex_code, nationality_code, area_code"
        assert (
            self.rows(
                f"select * from (select {key}, known_to, lead(known_from) over (partition by {key} order by known_from)"
                f" as next from raw.{FEED}) as r where next is distinct from nullif(known_to, 'infinity') limit 1"
            )
            == []
        ), "spans of a cell overlap, or leave a gap"
        assert (
            self.rows(
                "select load_id, opened_rows, closed_rows from ops.load as l where feed = %s and state = 'published' and"
                f" ((select count(*) from raw.{FEED} as r where r.load_id = l.load_id) <> opened_rows"
                f" or (select count(*) from raw.{FEED} as r where r.known_to = l.published_at) <> closed_rows)",
                FEED,
            )
            == []
        ), "the book counts other rows than there are"
        assert (
            self.rows("select load_id from ops.load where state = 'published' and published_at is null") == []
        )
        assert dict(self.rows("select cause, count(*) from ops.incident group by cause")) == self.incidents
        told = "select incident_id from ops.notification where kind in ('open', 'resolve')"
        assert self.rows(f"{told} group by incident_id, kind having count(*) > 1") == []
        assert self.rows("select incident_id from ops.incident except " + told) == []

    def at(self, condition: str, *values: object) -> Figures:
        query = (
            "select period::text, indicator_code, sex_code, nationality_code, area_code, persons"
            f" from raw.{FEED} where {condition}"
        )
        found = self.rows(query, *values)
        cells: Figures = {row[:-1]: row[-1] for row in found}
        assert len(cells) == len(found), "a cell is current twice"
        return cells

    def month(self, at: int) -> None:
        """A month is published; then, now and then, something is revised, or replayed."""
        month = MONTHS[at]
        new = served(MONTHS[: at + 1])
        grown = replace(new, months={**new.months, **self.table.months})
        kind = (
            self.chance.choices(["good", "refused", "held", "out of order"], [5, 2, 2, 2])[0]
            if at
            else "good"
        )
        getattr(self, kind.replace(" ", "_"))(grown, month)
        self.check()
        if self.chance.random() < 0.5:
            revised = MONTHS[max(0, at - self.chance.randint(0, 1))]
            self.serve(edits.revise_month(self.table, revised, seed=at))
            self.run()
            self.accept(self.table)
            self.check()
        if self.chance.random() < 0.25:
            past = self.rows("select load_id from ops.load where feed = %s and state = 'published'", FEED)
            replay(self.chance.choice(past)[0])
            self.check()

    def good(self, table: Table, month: str) -> None:
        self.serve(table)
        self.run()
        self.accept(self.table)

    def refused(self, table: Table, month: str) -> None:
        self.serve(edits.add_persons(table, month, NET))
        self.run()
        self.incidents["gate_rejected"] += 1
        self.check()
        self.good(table, month)

    def held(self, table: Table, month: str) -> None:
        self.serve(edits.set_text(table, month, INFLOW, "※"))
        self.run()
        self.incidents["rows_held"] += 1
        self.accept(table, (f"{month}-01", "02", "0", "60000", "43000"))
        self.check()
        self.good(table, month)

    def out_of_order(self, table: Table, month: str) -> None:
        self.serve(table)
        older = load.fetch(FEED).load_id
        load.stage(older)
        load.gate(older)
        self.serve(edits.revise_month(table, month, seed=7))
        self.run()
        self.accept(self.table)
        self.check()
        load.publish(older)

    def file(self, at: int) -> None:
        """The division corrects a figure that it reported before: it waits, and is released."""
        (source,) = (file for file in (PROJECT / "demo/inbox").iterdir() if "空家対策" in file.name)
        path = self.folder / f"空家対策総合支援事業の実績（R6）（{at}）.xlsx"
        workbook = load_workbook(source)
        changed = 0
        for line in workbook.worksheets[0].iter_rows():
            for cell in line:
                if "42" in str(cell.value or ""):
                    cell.value = str(cell.value).replace("42", str(self.support + 1))
                    changed += 1
        if self.rows("select to_regclass(%s)", f"raw.{SUPPORT}") == [(None,)]:
            path.write_bytes(source.read_bytes())
            assert CliRunner().invoke(app, ["load", SUPPORT, "--file", str(path)]).exit_code == 0
            return
        assert changed == 1
        workbook.save(path)
        assert CliRunner().invoke(app, ["load", SUPPORT, "--file", str(path)]).exit_code == 0
        self.incidents["rows_held"] += 1
        (held,) = holds.held_rows(SUPPORT)
        holds.release(held.held_id, "土木部に確認した")
        self.support += 1
        assert self.rows(
            f"select count(*) from raw.{SUPPORT} where known_to = 'infinity' and value = %s", self.support
        ) == [(1,)]

    def build(self) -> None:
        """Build the marts and remember the board as it was published."""
        marts.build()
        ((now,),) = self.rows("select clock_timestamp()")
        self.boards.append((now, board(None)))


def board(as_of: datetime | None) -> list[tuple[Any, ...]]:
    return [
        (row["kpi_id"], row["actual_ja"], row["actual_period_label"], row["judgement"])
        for row in marts.board(as_of)
    ]


def live(life: Life, months: int, builds: tuple[int, ...] = ()) -> None:
    life.estat.publish(life.table)
    for at in range(months):
        life.month(at)
        if at % 5 == 1:
            life.file(at)
            life.check()
        if at in builds:
            life.build()
    assert life.kills > 0
    assert life.rows("select cause, feed, summary_ja from ops.incident where resolved_at is null") == []
    for instant, shown in life.boards:
        assert board(instant) == shown
    for feed in (FEED, SUPPORT):
        rebuilt = CliRunner().invoke(app, ["rebuild", feed])
        assert "今ある表と同じです" in rebuilt.output, rebuilt.output
    life.check()


@pytest.fixture
def life(
    warehouse: str, use_estat: Callable[[Simulator], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.02")
    with Simulator([served(MONTHS[:1])]) as estat:
        use_estat(estat)
        settings.cache_clear()
        yield Life(warehouse, estat, random.Random(3), tmp_path)


def test_a_few_months_with_faults_and_kills_end_as_the_oracle_says(life: Life) -> None:
    live(life, 2)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11])
def test_two_years_with_faults_and_kills_end_as_the_oracle_says(seed: int, life: Life) -> None:
    life.chance.seed(seed)
    live(life, 24, builds=(7, 15, 23))
    assert {"gate_rejected", "rows_held"} <= set(life.incidents) and life.kills >= 10
