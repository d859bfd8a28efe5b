"""合格 is worth trusting: no plausible lie gets through, and every true month does.

The short form is part of `make test`; `make trust` tells every lie and prints the table of docs/reliability.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date

import psycopg
import pytest

from demo.estat import Simulator
from tests.trust.house import WRONG, Answer, House
from tests.trust.lies import NEW, SPRING, Lie, after, lies, numbers, table, true_months

SHORT = (
    "exchanged 43000 and 42000",
    "out of two exchanged",
    "half of the prefectures of the month before",
    "the year before, scaled with noise",
    "in and out turned",
    "another population, 0.86",
    "rows of Kyushu slipped",
    "Kumamoto's inflow half as much again",
    "rounded to tens",
    "the month before revised by -410",
    "a mark in an old month",
    "months up to next month",
)


@pytest.fixture
def house(
    warehouse: str, admin: psycopg.Connection, use_estat: Callable[[Simulator], None]
) -> Iterator[House]:
    with Simulator([table(true_months(SPRING))]) as served:
        use_estat(served)
        told = House(admin, warehouse, served)
        told.keep("empty")
        yield told
        for state in ("empty", "base"):
            told.forget(state)


def tell(house: House, new: str, told: list[Lie]) -> dict[str, Answer]:
    """The true month must pass; then every lie on the state before it."""
    house.back("empty")
    base, whole = table(true_months(after(new, -1))), table(true_months(new))
    first = house.take(base, numbers(base))
    assert (first.outcome, first.rules) == ("published", ()), first.evidence
    house.keep("base")
    arrived = house.take(whole, numbers(whole))
    assert (arrived.outcome, arrived.rules) == ("published", ()), arrived.evidence
    truth = numbers(whole)
    answers = {}
    for lie in told:
        house.back("base")
        answers[f"{new} {lie.kind}"] = house.take(lie.table, truth, since=lie.since)
    return answers


def shown(answers: dict[str, Answer]) -> str:
    """The table that is printed."""
    lines = [
        f"{answer.outcome:10}{kind}: {answer.wrong} wrong  {' '.join(answer.rules)}"
        for kind, answer in answers.items()
    ]
    counts = Counter(answer.outcome for answer in answers.values())
    return "\n".join([*lines, ", ".join(f"{what} {n}" for what, n in sorted(counts.items()))])


def test_plausible_lies_are_not_published(house: House) -> None:
    told = [lie for lie in lies(f"{date.today():%Y-%m}") if lie.kind in SHORT and lie.new == NEW]
    assert len(told) == len(SHORT)
    answers = tell(house, NEW, told)
    print(shown(answers))
    assert {kind: answer for kind, answer in answers.items() if answer.outcome in WRONG or answer.wrong} == {}


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_no_lie_is_published(house: House) -> None:
    told = lies(f"{date.today():%Y-%m}")
    answers = {}
    for new in (NEW, SPRING):
        answers |= tell(house, new, [lie for lie in told if lie.new == new and not lie.within])
    print("\n" + shown(answers))
    assert {kind: answer for kind, answer in answers.items() if answer.outcome in WRONG or answer.wrong} == {}


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_true_months_pass_one_after_the_other(house: House) -> None:
    months = sorted(true_months("2024-12"))
    alarms = {}
    for month in months[11:]:
        true = table(true_months(month))
        answer = house.take(true, numbers(true))
        if (answer.outcome, answer.rules) != ("published", ()):
            alarms[month] = answer
    print(f"\ntrue months {len(months[11:])}, false alarms {len(alarms)}")
    assert alarms == {}
