"""Faults: what goes wrong, where and how often. Programmed in a test, or by `POST /control/faults` with the
same names.

| kind | options | what happens |
|---|---|---|
| status | status, http | an answer with this STATUS (1 no data, 100 bad key, 102 bad value, 200–203, 299) |
| http | http, retry_after | this HTTP code and an empty body (429 and 503 may carry Retry-After) |
| html | http | a maintenance or firewall page with this HTTP code, 200 too |
| hang | seconds | the answer comes that much later |
| drop | part | the connection ends after this part of the body |
| truncate | part | a complete answer whose JSON is cut after this part |
| errors_as_200 | | error answers carry HTTP 200 |
| total_changes | by | from page 2 on TOTAL_NUMBER differs by this much |
| fewer_rows | rows | this many rows of the page are missing; its numbers do not say so |
| replay_page | | every later page repeats the rows of page 1 under its own numbers |
| shuffle | seed | rows of the page in another order |
| page_size | rows | the server gives at most this many rows a page (1: VALUE is a single object) |
| any name in `edits.EDITS` | its arguments | the table is served as that function changes it |
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from demo.estat.answers import Page, Row, page_of
from demo.estat.edits import EDITS
from demo.estat.query import MOST_ROWS, Params, Query
from demo.estat.tables import Table

TRANSPORT = {"status", "http", "html", "hang", "drop", "truncate", "errors_as_200"}
PAGE = {"total_changes", "fewer_rows", "replay_page", "shuffle", "page_size"}
KINDS = TRANSPORT | PAGE | set(EDITS)


class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: a name of the table above.
        function: only for this API function (getStatsList, getMetaInfo, getStatsData); None = all.
        table: only for this statsDataId; None = all.
        page: only for this page of getStatsData, from 1; None = all.
        after: let this many matching requests pass first.
        times: then fail this many; None = for ever.
        options: the kind's own options, as in the table.
    """

    def __init__(
        self,
        kind: str,
        *,
        function: str | None = None,
        table: str | None = None,
        page: int | None = None,
        after: int = 0,
        times: int | None = None,
        **options: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; there are: {', '.join(sorted(KINDS))}")
        self.kind, self.function, self.table, self.page = kind, function, table, page
        self.after, self.times, self.options = after, times, options
        self._edited: dict[int, tuple[Table, Table]] = {}

    def strikes(self, function: str, params: Params) -> bool:
        """Whether the fault acts on this request; counts the request if so."""
        matches = (
            self.function in {None, function}
            and self.table in {None, params.get("statsDataId")}
            and self.page in {None, _page_number(params)}
        )
        if not matches or self.times == 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def edit(self, table: Table) -> Table:
        """The table as this fault shows it; made once per version of the table."""
        if self.kind not in EDITS or self.table not in {None, table.id}:
            return table
        known = self._edited.get(id(table))
        if known is None:
            known = self._edited[id(table)] = (table, EDITS[self.kind](table, **self.options))
        return known[1]


def cut_page(rows: list[Row], query: Query, faults: Iterable[Fault]) -> Page:
    """The page of the query as the page faults leave it."""
    faults = list(faults)
    for fault in faults:
        if fault.kind == "page_size":
            query = replace(query, limit=min(query.limit, int(fault.options.get("rows", 1))))
    page = page_of(rows, query)
    for fault in faults:
        page = _spoil(page, rows, query, fault)
    return page


def _spoil(page: Page, rows: list[Row], query: Query, fault: Fault) -> Page:
    if fault.kind == "total_changes" and query.start > 1:
        return replace(page, total=page.total + int(fault.options.get("by", 1)))
    if fault.kind == "fewer_rows":
        return replace(page, rows=page.rows[: max(1, len(page.rows) - int(fault.options.get("rows", 1)))])
    if fault.kind == "replay_page" and query.start > 1:
        return replace(page, rows=rows[: len(page.rows)])
    if fault.kind == "shuffle":
        shuffled = list(page.rows)
        random.Random(fault.options.get("seed", 1)).shuffle(shuffled)  # noqa: S311 - test data, not a secret
        return replace(page, rows=shuffled)
    return page


def _page_number(params: Params) -> int:
    start, limit = params.get("startPosition", "1"), params.get("limit", str(MOST_ROWS))
    if not (start.isdigit() and limit.isdigit() and int(limit)):
        return 1
    return (int(start) - 1) // int(limit) + 1
