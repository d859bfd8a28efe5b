"""An event that carries its year in its name is the same event next year, where the contract names one of the years."""

from __future__ import annotations

import pytest

from kpi_warehouse.contract import find_contract
from kpi_warehouse.readers.layout_labels import CodeList
from kpi_warehouse.settings import PROJECT


@pytest.fixture(scope="module")
def events() -> CodeList:
    contract = find_contract(PROJECT / "expectations", "relocation_events")
    (column,) = [column for column in contract.axes if column.name == "event_code"]
    return CodeList(column)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("くまもと移住FES 2024 in東京", "relocation_fes_tokyo"),
        ("くまもと移住ＦＥＳ　２０２７ in 東京", "relocation_fes_tokyo"),
        ("ヒゴロッカサミットＲ８", "higorokka_summit"),
        ("ヒゴロッカサミット2026", "higorokka_summit"),
        ("ヒゴロッカサミット令和９年", "higorokka_summit"),
        ("くまもと移住FES 2025 in大阪", None),
        ("くまもとフェア（福岡）2025", None),
        ("ヒゴロッカサミット20", None),
    ],
)
def test_the_year_of_a_synonym_stands_for_any(events: CodeList, name: str, code: str | None) -> None:
    assert events.code(name) == code
