"""A warehouse that is lied to: put back to a known state before every lie, and what it has accepted afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from demo.estat import Simulator, Table
from kpi_warehouse import load
from kpi_warehouse.errors import GateAsked, GateRejected, KpiError

MOVES, FLOWS = "estat_migration_monthly", "estat_migration_flow_monthly"
Cells = dict[tuple[object, ...], int | None]
# What may not happen: wrong numbers published, with or without a mark.
WRONG = ("silent", "flagged")


@dataclass(frozen=True)
class Answer:
    """What became of a delivery: the outcome, the rules that it broke, and how many accepted numbers are wrong."""

    outcome: str
    rules: tuple[str, ...]
    wrong: int = 0
    evidence: str = ""


class House:
    """One embedded database of the tests; `keep` and `back` go through a template."""

    def __init__(self, admin: psycopg.Connection, url: str, served: Simulator) -> None:
        self._admin, self._url, self._served = admin, url, served
        self._name = url.rsplit("/", 1)[1].split("?", maxsplit=1)[0]

    def keep(self, state: str) -> None:
        """Remember the warehouse as it is now."""
        self._copy(self._name, f"{self._name}_{state}")

    def back(self, state: str) -> None:
        """Put it back to what was kept."""
        self._copy(f"{self._name}_{state}", self._name)

    def forget(self, state: str) -> None:
        """Drop what was kept."""
        self._admin.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(f"{self._name}_{state}"))
        )

    def _copy(self, source: str, target: str) -> None:
        names = {"source": sql.Identifier(source), "target": sql.Identifier(target)}
        self._admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
            [source],
        )
        self._admin.execute(sql.SQL("drop database if exists {target} with (force)").format(**names))
        self._admin.execute(
            sql.SQL("create database {target} template {source} owner kpi_owner strategy file_copy").format(
                **names
            )
        )
        self._admin.execute(
            sql.SQL("grant create, temporary on database {target} to kpi_transformer, kpi_loader").format(
                **names
            )
        )

    def accepted(self, feed: str = MOVES) -> Cells:
        """Every number that is accepted now, by its key."""
        with psycopg.connect(self._url) as connection:
            if connection.execute("select to_regclass(%s)", [f"raw.{feed}"]).fetchone() == (None,):
                return {}
            axes = {MOVES: "indicator_code, area_code", FLOWS: "origin_area_code, destination_area_code"}[
                feed
            ]
            rows = connection.execute(
                sql.SQL("select period, {}, persons from {} where known_to = 'infinity'").format(
                    sql.SQL(axes),
                    sql.Identifier("raw", feed),  # type: ignore[arg-type]
                )
            ).fetchall()
        return {tuple(row[:-1]): row[-1] for row in rows}

    def take(self, table: Table, truth: Cells, *, feed: str = MOVES, since: str | None = None) -> Answer:
        """Load what this table says; `truth` is what would be accepted if it were true."""
        before = self.accepted(feed)
        self._served.publish(table)
        evidence = ""
        try:
            published = load.run(feed, since=since, force=since is not None)
            outcome = "held" if published.held_rows else published.state
        except GateAsked as asked:
            outcome, evidence = "asked", asked.message_ja
        except GateRejected as refused:
            outcome, evidence = "rejected", refused.message_ja
        except KpiError as error:
            return Answer("refused", (error.code,), self._wrong(before, truth, feed), error.message_ja)
        wrong = self._wrong(before, truth, feed)
        if wrong and outcome in ("published", "unchanged"):
            outcome = "flagged" if self._verdict() == "flagged" else "silent"
        return Answer(outcome, self._broken(), wrong, evidence)

    def _wrong(self, before: Cells, truth: Cells, feed: str) -> int:
        """Accepted numbers that are not the truth, and numbers that were accepted before and are gone."""
        now = self.accepted(feed)
        false = sum(value is not None and value != truth.get(cell) for cell, value in now.items())
        return false + sum(value is not None and now.get(cell) is None for cell, value in before.items())

    def _verdict(self) -> str:
        with psycopg.connect(self._url) as connection:
            row = connection.execute("select verdict from ops.load order by load_id desc limit 1").fetchone()
        return str(row[0]) if row else ""

    def _broken(self) -> tuple[str, ...]:
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "select expectation from ops.gate_result where not success"
                " and load_id = (select max(load_id) from ops.load) order by 1"
            ).fetchall()
        return tuple(row[0] for row in rows)
