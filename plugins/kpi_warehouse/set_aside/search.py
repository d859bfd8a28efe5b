"""Which of the newest steps explain a failure: pure, over a function that tries one choice out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kpi_warehouse.set_aside.steps import Step

Choice = frozenset[Step]


class Exhausted(Exception):
    """No trial is left."""


@dataclass(frozen=True)
class Explained:
    """The steps to leave out. `narrowed` False: the trials ran out, and innocent steps may be among them. `together`: of a step
    that does no harm by itself, the admitted suspects it fails with."""

    left_out: Choice
    narrowed: bool
    together: dict[Step, tuple[Step, ...]]


@dataclass
class Trials:
    """Tries choices out, each once, up to a limit. `passes` answers whether the build is sound without the choice."""

    passes: Callable[[Choice], bool]
    most: int
    over: Callable[[], bool] = lambda: False
    known: dict[Choice, bool] = field(default_factory=dict)
    made: int = 0

    def ask(self, left_out: Choice) -> bool:
        """Whether the build is sound without these steps.

        Raises:
            Exhausted: it is not known and must not be tried.
        """
        if left_out not in self.known:
            if self.made >= self.most or self.over():
                raise Exhausted
            self.made += 1
            self.known[left_out] = self.passes(left_out)
        return self.known[left_out]


def find_culprits(suspects: Sequence[Step], trials: Trials) -> Explained | None:
    """The smallest choice that the build is sound without; None when no choice of these steps makes it sound.

    Left out are first all suspects. Then they are admitted again, oldest first and by halves, as long as the build stays sound: of
    two that fail only together, the newer one stays out. One culprit among n costs about 2 log2(n) trials, a single suspect one.

    Args:
        suspects: oldest first; with all of them admitted the build is known to fail.
    """
    trials.known[frozenset()] = False
    everything = frozenset(suspects)
    try:
        if not suspects or not trials.ask(everything):
            return None
    except Exhausted:
        return None
    left_out, narrowed = everything, True
    waiting = _halves(list(suspects))
    try:
        while waiting:
            group = waiting.pop(0)
            if trials.ask(left_out - frozenset(group)):
                left_out -= frozenset(group)
            elif len(group) > 1:
                waiting = _halves(group) + waiting
        # A step that a later one makes good was tried before that one was admitted.
        for step in sorted(left_out) if len(left_out) > 1 else ():
            if trials.ask(left_out - {step}):
                left_out -= {step}
    except Exhausted:
        narrowed = False
    return Explained(left_out, narrowed, _together(left_out, everything, trials) if narrowed else {})


def _halves(group: list[Step]) -> list[list[Step]]:
    middle = (len(group) + 1) // 2
    return [half for half in (group[:middle], group[middle:]) if half]


def _together(left_out: Choice, everything: Choice, trials: Trials) -> dict[Step, tuple[Step, ...]]:
    """Of each culprit that is sound with the older history alone: the admitted steps beside which it is not."""
    admitted = tuple(sorted(everything - left_out))
    found = {}
    for step in sorted(left_out) if admitted else ():
        try:
            if trials.ask(everything - {step}):
                found[step] = admitted
        except Exhausted:
            break
    return found
