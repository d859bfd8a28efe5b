"""A build that finds out by itself which load it must leave out.

A sound build is one build. A failing one costs, beside itself, the trials (only the failing checks and what they are made of; one
when a single load is new, about 2 log2(n) of n) and the build that is published. What no load explains (a defect of the code, a seed)
is found out by one trial and fails as a whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from kpi_warehouse.marts_dbt import Node
from kpi_warehouse.set_aside import book, words
from kpi_warehouse.set_aside.history import make_history
from kpi_warehouse.set_aside.search import Choice, Trials, find_culprits
from kpi_warehouse.set_aside.steps import Step, seen_now, steps_since_good_build

log = logging.getLogger(__name__)

# Bounds of one run: beyond them every step that is not cleared stays out, and the incident says so.
MOST_TRIALS = 16
MOST_SECONDS = 15 * 60
# A check that was skipped behind a failing one shows only when that one passes.
MOST_ROUNDS = 4


@dataclass(frozen=True)
class Outcome:
    """What the last build said, and what it left out. Sound, or its failure is explained by no load."""

    nodes: tuple[Node, ...]
    left_out: Choice
    trials: int

    @property
    def failed(self) -> list[Node]:
        """The nodes that failed themselves."""
        return [node for node in self.nodes if node.failed]


@dataclass
class Rounds:
    """One run of builds.

    Args:
        connection: as the transformer, under the lock of builds.
        history: schema in which feeds without some of their steps are made.
        build: builds what is asked anew; (feeds whose history is beside, names of nodes or nothing for all) → what each node said.
        behind: names of nodes → the feeds they are made of.
    """

    connection: psycopg.Connection
    history: str
    code_version: str
    build: Callable[[Iterable[str], Iterable[str]], tuple[Node, ...]]
    behind: Callable[[Iterable[str]], set[str]]
    trials: int = 0
    entries: dict[Step, book.Entry] = field(default_factory=dict)

    def run(self, *, force: bool) -> Outcome:
        """Build with everything, except what is still set aside with nothing new; then without what explains a failure."""
        began, started = self._clock(), time.monotonic()
        standing = book.standing(self.connection)
        left_out = frozenset(
            one.step
            for one in standing
            if not force and not book.worth_another_try(self.connection, one, self.code_version)
        )
        retried = {one.step for one in standing} - left_out
        seen = seen_now(self.connection)
        outcome = self._attempt(left_out)
        if outcome.failed and seen_now(self.connection) != seen:
            # Its models may have read a load that was published between two of them.
            outcome = self._attempt(left_out)
        for _ in range(MOST_ROUNDS):
            if not outcome.failed:
                break
            culprits = self._explain(outcome, retried, started)
            if not culprits:
                break
            left_out |= culprits
            outcome = self._attempt(left_out)
        if not outcome.failed:
            book.note_try(self.connection, self.code_version, {*self.entries}, began)
        return outcome

    def as_of(self, instant: datetime) -> Outcome:
        """Build what was shown then: without what was set aside in the end, and not yet back."""
        left_out = book.left_out_at(self.connection, instant)
        make_history(self.connection, self.history, left_out)
        return Outcome(self.build({step.feed for step in left_out}, ()), left_out, 0)

    def _attempt(self, left_out: Choice, only: Iterable[str] = ()) -> Outcome:
        newest = make_history(self.connection, self.history, left_out)
        said = words.shown(self.connection, left_out, newest)
        book.propose(
            self.connection, left_out, said, {s: e for s, e in self.entries.items() if s in left_out}
        )
        return Outcome(self.build({step.feed for step in left_out}, only), left_out, self.trials)

    def _explain(self, outcome: Outcome, retried: set[Step], started: float) -> Choice:
        """The steps beside those already out that make the failing checks pass; none when no choice does."""
        names = [node.name for node in outcome.failed]
        feeds = self.behind(names)
        # The rows are there until the next build begins.
        checks = words.failing_checks(self.connection, outcome.failed)
        newer = steps_since_good_build(self.connection, feeds)
        suspects = sorted({*newer, *(step for step in retried if step.feed in feeds)} - outcome.left_out)
        trials = Trials(
            passes=lambda choice: not self._attempt(outcome.left_out | choice, names).failed,
            most=MOST_TRIALS - self.trials,
            over=lambda: time.monotonic() - started > MOST_SECONDS,
        )
        explained = find_culprits(suspects, trials)
        self.trials += trials.made
        log.info(
            "build failed: checks=%s suspects=%s trials=%s explained=%s",
            names,
            suspects,
            trials.made,
            explained,
        )
        if explained is None:
            return frozenset()
        for step in explained.left_out:
            self.entries[step] = book.Entry(
                words.summary(
                    self.connection,
                    step,
                    checks,
                    explained.together.get(step, ()),
                    narrowed=explained.narrowed,
                ),
                checks,
                tuple(sorted(feeds)),
            )
        return explained.left_out

    def _clock(self) -> datetime:
        row = self.connection.execute("select clock_timestamp()").fetchone()
        assert row is not None and isinstance(row[0], datetime)
        return row[0]
