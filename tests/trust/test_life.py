"""No next file, next year or ordinary revision stops the warehouse: it lives four years."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.life import Lived, live


def sound(lived: Lived) -> bool:
    """Nothing was refused, set aside, unbuilt or wrong."""
    return not (lived.refused or lived.set_aside or lived.failed_builds or lived.wrong)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("warehouse")
def test_four_years_of_all_feeds_are_taken_and_shown(tmp_path: Path) -> None:
    lived = live(tmp_path, every_months=48)
    assert sound(lived), str(lived)
    assert lived.deliveries == 6 * 2 + 4 * 13
    # The lost digit of the slides; nothing else was ever sent back.
    assert [feed for feed, *_ in lived.approved] == ["migration_briefing"]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("warehouse")
def test_month_by_month(tmp_path: Path) -> None:
    lived = live(tmp_path, every_months=1)
    assert sound(lived), str(lived)
    assert lived.deliveries == 49 * 2 + 4 * 13
