"""Pages are staged by several processes in runs, and published run by run: every page once, whoever staged it."""

import sqlite3
from itertools import pairwise

import pytest

from kpi_warehouse.readers.estat_pages import share_borders
from kpi_warehouse.warehouse.history import _page_runs


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
@pytest.mark.parametrize("pages", [0, 1, 2, 3, 10, 11])
def test_shares_are_runs_of_about_the_same_length(pages: int, processes: int) -> None:
    borders = [0, *share_borders(pages, processes), pages]
    lengths = [last - first for first, last in pairwise(borders)]
    assert sum(lengths) == pages
    assert max(lengths) - min(lengths) <= 1
    assert len(lengths) == max(1, min(pages, processes))


@pytest.mark.parametrize("borders", [[], [1], [5], [3, 6], [1, 2, 3, 4, 5, 6, 7, 8, 9]])
def test_every_page_is_published_in_one_run(borders: list[int]) -> None:
    with sqlite3.connect(":memory:") as table:
        table.execute("create table s (source_page integer)")
        table.executemany("insert into s values (?)", [(page,) for page in range(1, 11)])
        runs = [
            [row[0] for row in table.execute(f"select * from s as c where 1 = 1{run.as_string(None)}")]
            for run in _page_runs(borders)
        ]
    assert [page for run in runs for page in run] == list(range(1, 11))
    assert [run[-1] for run in runs[:-1]] == borders
