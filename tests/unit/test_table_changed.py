"""A table that is no longer the one the contract describes is not read at all, and the history stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from moves_warehouse import (
    FLOW,
    FLOWS,
    GOOD,
    MOVES,
    Warehouse,
    later,
)

from demo.estat import Axis, Member, Simulator, Table, edits
from kpi_warehouse import load
from kpi_warehouse.errors import SourceChanged, UnreadableValue


def test_a_changed_unit_is_not_read(accepted: Warehouse, estat: Simulator) -> None:
    before = accepted.history()
    estat.publish(later(edits.other_unit(GOOD, "千人")))
    with pytest.raises(
        UnreadableValue, match=r"ページ1の1件目 単位（@unit）：見つかったもの「千人」.*行全体：\{"
    ):
        load.run(MOVES)
    assert accepted.history() == before
    assert accepted.book() == ("failed", None, "reader.unknown_code")


CHANGED: dict[str, tuple[Callable[[Table], Table], str]] = {
    "another survey": (lambda t: edits.other_survey(t, "00200522"), "政府統計コード"),
    "another title": (lambda t: edits.retitle(t, "男女別 転入者数"), "転出者数・転入超過数"),
    "labels that changed places": (
        lambda t: edits.recode(t, "area", {"43000": "44000", "44000": "43000"}),
        "軸 area のコード",
    ),
    "men and women that changed places": (
        lambda t: edits.recode(t, "cat01", {"1": "2", "2": "1"}),
        "軸 cat01 のコード",
    ),
    "an axis with another id": (lambda t: edits.rename_axis(t, "cat02", new_id="cat03"), "cat02（国籍）"),
    "two axes that changed places": (lambda t: edits.swap_axes(t, "cat01", "cat02"), "軸 cat01"),
    "an axis nobody knows": (
        lambda t: replace(
            t,
            axes=(*t.axes, Axis("cat05", "年齢", (Member("01", "0歳"), Member("02", "1歳")))),
            cells=tuple((*codes, "01") for codes in t.cells),
        ),
        "cat05（年齢）",
    ),
}


def test_a_table_that_is_not_the_contracts_is_not_read(
    accepted: Warehouse, estat: Simulator, subtests: pytest.Subtests
) -> None:
    before = accepted.history()
    for case, (edit, told) in CHANGED.items():
        with subtests.test(case):
            estat.publish(later(edit(GOOD)))
            with pytest.raises(SourceChanged) as changed:
                load.run(MOVES)
            assert told in changed.value.message_ja
            assert "表が差し替えられていないか確認してください" in changed.value.message_ja
            assert accepted.book() == ("failed", None, "estat.definition")
    assert accepted.history() == before


def test_flows_by_nationality_are_narrowed_to_all_movers(accepted: Warehouse, estat: Simulator) -> None:
    estat.publish(edits.split_by_nationality(FLOW))
    assert load.run(FLOWS).opened_rows == 2 * 47 * 47 * 3
    assert estat.requests[-1]["_function"] == "getStatsData"
    assert estat.requests[-1]["cdCat03"] == "60000"
    assert accepted.book() == ("published", "passed", None)


def test_origin_and_destination_of_the_annual_tables_are_noticed(
    accepted: Warehouse, estat: Simulator
) -> None:
    estat.publish(edits.swap_axes(FLOW))
    with pytest.raises(SourceChanged, match="軸 cat01 の名前"):
        load.run(FLOWS)
