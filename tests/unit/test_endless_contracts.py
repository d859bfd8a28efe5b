"""A contract that contains itself, or grows without end, is refused with its line, and keeps no other feed's files out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from kpi_warehouse.contract import load_contract
from kpi_warehouse.errors import ContractError
from kpi_warehouse.settings import PROJECT
from kpi_warehouse.sources.inbox_receive import file_feeds

ENDLESS = {
    "a cycle": "id: &self\n  part: *self\n",
    "a cycle in a list": "id: &self\n  - *self\n",
    "a bomb": "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
    "deep": "id: " + "[" * 100 + "]" * 100 + "\n",
    "deeper than anything": "id: " + "[" * 50_000 + "]" * 50_000 + "\n",
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_contract_is_refused_at_once_and_the_others_are_in_force(
    text: str, tmp_path: Path
) -> None:
    folder = tmp_path / "expectations"
    shutil.copytree(PROJECT / "expectations", folder)
    sound = {feed.feed for feed in file_feeds(folder)}
    wrong = folder / "aaa.odcs.yaml"
    wrong.write_text(text, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(ContractError, match=r"aaa\.odcs\.yaml"):
        load_contract(wrong)
    assert time.monotonic() - began < 20
    assert {feed.feed for feed in file_feeds(folder)} == sound and len(sound) > 5
