"""An embargo in a contract: a slip is told with file, line, key, found and expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpi_warehouse.contract import Embargo, find_contract, load_contract
from kpi_warehouse.errors import ContractError
from kpi_warehouse.settings import settings

SHEET = find_contract(settings().contracts, "kpi_progress")
REPORT = find_contract(settings().contracts, "estat_migration_monthly")


def changed(tmp_path: Path, known: Path, old: str, new: str) -> Path:
    text = known.read_text("utf-8")
    assert old in text
    path = tmp_path / known.name
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def test_the_day_is_the_delivery_s_or_the_contract_s(tmp_path: Path) -> None:
    assert SHEET.embargo == Embargo("08:30")
    assert REPORT.embargo is None
    rule = (
        'slaProperties:\n  - property: publicFrom\n    value: "14:00"\n'
        "    customProperties: [{property: monthsAfter, value: 1}, {property: day, value: 27}]\n"
    )
    assert load_contract(changed(tmp_path, REPORT.path, "slaProperties:\n", rule)).embargo == Embargo(
        "14:00", 1, 27
    )


@pytest.mark.parametrize(
    ("old", "new", "where", "key", "expected"),
    [
        ('value: "08:30"', 'value: "8:30"', "value:", ".value: 見つかったもの：'8:30'", "日本時間の時刻"),
        ('value: "08:30"', 'value: "24:00"', "value:", ".value: 見つかったもの：'24:00'", "日本時間の時刻"),
        ("property: publicFrom", "property: publicform", "slaProperties:", "slaProperties: 見つかったもの：（なし）", "publicFrom"),
        (", is: public_on, optional: true}", ", is: ignored, reason: 使わない, optional: true}", "publicFrom", "slaProperties", "is: public_on"),
        (
            'value: "08:30"',
            'value: "08:30"\n    customProperties: [{property: day, value: 27}]',
            "customProperties: [", ".customProperties: 見つかったもの：'day'",
            "monthsAfter と day の両方",
        ),
        (
            'value: "08:30"',
            'value: "08:30"\n    customProperties: [{property: monthsAfter, value: 1}, {property: day, value: 32}]',
            "customProperties: [", ".customProperties[1].value: 見つかったもの：32",
            "1〜31 の整数",
        ),
        (
            'value: "08:30"',
            'value: "08:30"\n    customProperties: [{property: months, value: 1}]',
            "customProperties: [", ".customProperties[0].property: 見つかったもの：'months'",
            "monthsAfter / day",
        ),
    ],
)  # fmt: skip
def test_a_slip_is_told_where_it_stands(
    tmp_path: Path, old: str, new: str, where: str, key: str, expected: str
) -> None:
    path = changed(tmp_path, SHEET.path, old, new)
    with pytest.raises(ContractError) as refused:
        load_contract(path)
    (fault,) = refused.value.message_ja.splitlines()
    place, _, said = fault.removeprefix(f"{path}:").partition(": ")
    assert where in path.read_text("utf-8").splitlines()[int(place) - 1]
    assert key in said and expected in said
