"""The short form of `make faults`: no failure is lost or told twice; and a sender that lies is found out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")


def campaign(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(CAMPAIGN), *words], capture_output=True, text=True, check=False
    )


def test_no_failure_is_lost_and_none_is_told_twice() -> None:
    ended = campaign("--failures", "30")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for line in ("| failures injected | 30 |", "| lost | 0 |", "| duplicates | 0 |"):
        assert line in ended.stdout


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("sabotage", "found"), [("lose", "not delivered"), ("double", "told under another key")]
)
def test_a_sabotaged_sender_makes_the_campaign_fail(sabotage: str, found: str) -> None:
    ended = campaign("--failures", "12", "--sabotage", sabotage)
    assert ended.returncode == 1
    assert found in ended.stdout, ended.stderr
