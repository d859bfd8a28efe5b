"""Which of the newest steps are left out, by what makes a build fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from kpi_warehouse.set_aside.search import Choice, Explained, Trials, find_culprits
from kpi_warehouse.set_aside.steps import Step

STEPS = [Step(datetime(2026, 4, 1, tzinfo=UTC) + timedelta(hours=n), f"feed_{n % 5}", n) for n in range(12)]


def search(
    suspects: list[Step], sound: Callable[[set[int]], bool], most: int = 99
) -> tuple[Explained | None, int]:
    """`sound` says of the numbers of the admitted loads whether the build passes."""

    def passes(left_out: Choice) -> bool:
        return sound({step.load_id for step in suspects} - {step.load_id for step in left_out})

    trials = Trials(passes, most)
    return find_culprits(suspects, trials), trials.made


def out(explained: Explained | None) -> set[int]:
    assert explained is not None
    return {step.load_id for step in explained.left_out}


def test_a_single_suspect_costs_one_trial() -> None:
    explained, made = search(STEPS[:1], lambda loads: 0 not in loads)
    assert (out(explained), made) == ({0}, 1)


@pytest.mark.parametrize("culprit", range(12))
def test_one_among_many_is_found_in_few_trials(culprit: int) -> None:
    explained, made = search(STEPS, lambda loads: culprit not in loads)
    assert out(explained) == {culprit}
    assert made <= 10
    assert explained is not None and explained.together == {}


def test_two_in_different_feeds_are_both_found() -> None:
    explained, made = search(STEPS, lambda loads: not loads & {2, 9})
    assert out(explained) == {2, 9}
    assert made <= 16


def test_of_two_that_fail_only_together_the_newer_is_left_out_and_the_others_are_named() -> None:
    explained, _ = search(STEPS, lambda loads: not {3, 8} <= loads)
    assert out(explained) == {8}
    assert explained is not None
    assert STEPS[3] in explained.together[STEPS[8]]


def test_what_a_later_step_makes_good_is_not_left_out() -> None:
    # 1 is wrong until 6 corrects it; 7 is wrong.
    explained, _ = search(STEPS, lambda loads: 7 not in loads and (1 not in loads or 6 in loads))
    assert out(explained) == {7}


def test_what_no_step_explains_costs_one_trial() -> None:
    assert search(STEPS, lambda _: False) == (None, 1)
    assert search([], lambda _: False) == (None, 0)


def test_when_the_trials_run_out_what_is_not_cleared_stays_out() -> None:
    explained, made = search(STEPS, lambda loads: not loads & {2, 9}, most=4)
    assert made == 4
    assert explained is not None and not explained.narrowed
    assert out(explained) >= {2, 9}
