"""Readers of joined marts while the marts are swapped: no error, and never two builds in one answer."""

from __future__ import annotations

import threading
from collections import Counter

import psycopg

from kpi_warehouse import marts_swap
from kpi_warehouse.warehouse.connection import connect

SWAPS = 50
JOIN = (
    "select array_agg(distinct board.build) || array_agg(distinct history.build) || array_agg(distinct kpis.build)"
    ' || array_agg(distinct shown."構築") from marts.mart_board as board join marts.history using (line)'
    ' join marts.kpis using (line) join marts_ja."盤" as shown on shown."行" = line'
)


def swap(connection: psycopg.Connection, build: int) -> None:
    """Three tables that all say which build they are of, swapped in as `marts` as a build does, one with its Japanese view."""
    connection.execute("create schema marts_next")
    for table in ("mart_board", "history", "kpis"):
        connection.execute(
            f"create table marts_next.{table} as select {build} as build, line from generate_series(1, 50) as line"
        )
    for of, comment in (
        ("table marts_next.mart_board", "盤"),
        ("column marts_next.mart_board.build", "構築"),
    ):
        connection.execute(f"comment on {of} is '{comment}：試験'")
    connection.execute("comment on column marts_next.mart_board.line is '行。'")
    with connection.transaction():
        marts_swap.swap(connection, build)
    marts_swap.drop_retired(connection)


def test_readers_see_one_build_and_no_error_during_swaps(warehouse: str) -> None:
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def read() -> None:
        with connect("kpi_transformer", autocommit=True) as reader:
            # BI's own role: a swap must not lose its grants for an instant.
            reader.execute("set role kpi_reader")
            while not stop.is_set():
                try:
                    (builds,) = reader.execute(JOIN).fetchone() or ((),)
                    seen["one build" if len(set(builds)) == 1 else f"mixture {builds}"] += 1
                except psycopg.Error as error:
                    seen[f"{type(error).__name__}: {error}"] += 1

    readers = [threading.Thread(target=read) for _ in range(3)]
    with connect("kpi_transformer", autocommit=True) as builder:
        swap(builder, 0)
        for reader in readers:
            reader.start()
        try:
            for build in range(1, SWAPS + 1):
                swap(builder, build)
        finally:
            stop.set()
            for reader in readers:
                reader.join()
    assert set(seen) == {"one build"}
    assert seen["one build"] > SWAPS
