"""A broken total is explained by the one typing slip that restores everything, or the gate says why it proposes none."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import pytest
from repair_rows import only, row

from kpi_warehouse.gate.identities import Evidence, Figure, Identity, identities_of
from kpi_warehouse.gate.repair import Proposal, disagreements, proposals
from kpi_warehouse.gate.typing_slips import slip_between

INFLOW_OSAKA = (153, 155, 441, 351, 16, 133, 150, 143, 140)
ALL_OUTFLOW = (1861, 1914, 7401, 5762, 2153, 1616, 2144, 1904, 1812)


def test_the_seeds_cell_is_found_with_its_evidence() -> None:
    proposal = only(proposals([row(INFLOW_OSAKA, 1831)]))
    assert proposal.kind == "one"
    (edit,) = proposal.edits
    assert (edit.place, edit.found, edit.proposed, edit.slip.kind) == ("移住!F12", "16", 165, "digit_dropped")
    assert edit.restores == proposal.broken == ("row12",)
    assert proposal.message_ja == (
        "転入／大阪圏／5月（移住!F12）：16 → 165。最後の 5 が落ちた打ち間違いと考えられます。"
        "根拠：計 1,831 と一致、いまの値は同じ行のほかの 8 つの中央値 151.5 の 11 % しかない。"
    )


def test_second_source_and_last_year_are_named_as_evidence() -> None:
    known = Evidence(last_year=Decimal(171), second=Decimal(165), second_name="e-Stat（0003423613）")
    proposal = only(proposals([row(INFLOW_OSAKA, 1831)], {"移住!F12": known}))
    assert proposal.edits[0].confirmed
    assert "前年同月 171 に近い、e-Stat（0003423613）の 165 と一致" in proposal.message_ja


@pytest.mark.parametrize("second", [16, 151])
def test_a_slip_that_the_second_source_denies_is_not_proposed(second: int) -> None:
    known = Evidence(second=Decimal(second), second_name="e-Stat")
    proposal = only(proposals([row(INFLOW_OSAKA, 1831)], {"移住!F12": known}))
    assert (proposal.kind, proposal.edits) == ("none", ())
    assert f"ただしe-Statでは {second}" in proposal.message_ja


def test_a_slip_is_left_open_when_the_second_source_denies_another_cell() -> None:
    other = Evidence(second=Decimal(304), second_name="e-Stat")
    proposal = only(proposals([row(INFLOW_OSAKA, 1831)], {"移住!C12": other}))
    assert proposal.kind == "ambiguous"
    assert "転入／大阪圏／2月（移住!C12）は 155 に対し e-Statでは 304" in proposal.message_ja


def test_a_table_that_adds_up_gets_no_proposal() -> None:
    assert proposals([row((153, 155, 441, 351, 165, 133, 150, 143, 140), 1831)]) == ()


def test_eight_labels_for_nine_months_are_refused() -> None:
    proposal = only(proposals([row(ALL_OUTFLOW[1:], 26567, expected=9)]))
    assert (proposal.kind, proposal.edits) == ("none", ())
    assert "9 個あるはずの値が 8 個しかありません" in proposal.message_ja
    assert "1,861" in proposal.message_ja and "どの欄の値かは計算では決められない" in proposal.message_ja


def test_an_empty_cell_is_not_filled_and_an_empty_total_is_asked_for() -> None:
    proposal = only(proposals([row((None, *ALL_OUTFLOW[1:]), 26567)]))
    assert (proposal.kind, proposal.edits) == ("none", ())
    stated = Figure("移住!K12", "計", None)
    proposal = only(proposals([Identity("row", "計", stated, row(ALL_OUTFLOW, 0).members)]))
    assert proposal.kind == "none" and "計を入れてください" in proposal.message_ja


def test_values_bound_to_the_wrong_years_are_for_the_second_source() -> None:
    found, true = (-650, -377, -3393, -3900, -3575, -1624), (-3575, -3900, -3393, -650, -377, -1624)
    annual = row(found, sum(true))
    assert proposals([annual]) == ()
    second = {m.place: Decimal(v) for m, v in zip(annual.members, true, strict=True)}
    assert [d.place for d in disagreements(annual.members, second)] == [f"移住!{c}12" for c in "BCEF"]


def test_municipalities_that_were_counted_otherwise_are_asked_about() -> None:
    proposal = only(proposals([row((7, 3), 12)]))
    assert proposal.kind == "none" and "差 2" in proposal.message_ja


def test_two_bad_cells_in_one_row_are_refused() -> None:
    proposal = only(proposals([row((153, 15, 441, 351, 16, 133, 150, 143, 140), 1831)]))
    assert (proposal.kind, proposal.edits) == ("none", ())
    assert "2 か所以上の誤り" in proposal.message_ja


def test_several_explanations_are_ranked_but_not_chosen() -> None:
    two = row((12, 12, 40, 200), 120 + 12 + 40 + 200)
    proposal = only(proposals([two]))
    assert proposal.kind == "ambiguous"
    assert {edit.place for edit in proposal.edits} == {"移住!B12", "移住!C12"}
    assert "2 通りあり、計だけではどれか決められません" in proposal.message_ja


def test_a_second_source_may_decide_between_several_explanations() -> None:
    two = row((12, 12, 40, 200), 120 + 12 + 40 + 200)
    second = Evidence(second=Decimal(120), second_name="e-Stat")
    proposal = only(proposals([two], {"移住!C12": second}))
    assert (proposal.kind, [edit.place for edit in proposal.edits]) == ("one", ["移住!C12"])
    assert (
        "計だけなら 2 通り" in proposal.message_ja and "e-Statと一致するのはこれだけ" in proposal.message_ja
    )


def test_excluding_all_others_is_not_confirming_the_last() -> None:
    two = row((12, 12, 40, 200), 120 + 12 + 40 + 200)
    proposal = only(proposals([two], {"移住!C12": Evidence(second=Decimal(12))}))
    assert (proposal.kind, [edit.place for edit in proposal.edits]) == ("ambiguous", ["移住!B12"])


def test_slips_that_cancel_are_not_seen_by_totals_but_by_the_second_source() -> None:
    true, found = (153, 155, 441, 351), (135, 173, 441, 351)
    told = row(found, sum(true))
    assert proposals([told]) == ()
    second = {m.place: Decimal(v) for m, v in zip(told.members, true, strict=True)}
    first, other = disagreements(told.members, second, "e-Stat")
    assert first.message_ja.startswith("転入／大阪圏／1月（移住!B12）：135 ですが、e-Statでは 153 です。")
    assert "入れ替わった打ち間違い" in first.message_ja
    assert (other.found, other.second) == (173, 155)


def test_two_months_that_changed_places_are_said_to_have() -> None:
    told = row((155, 153), 308)
    second = {"移住!B12": Decimal(153), "移住!C12": Decimal(155), "移住!Z99": Decimal(1)}
    first, _ = disagreements(told.members, second)
    assert "転入／大阪圏／2月（移住!C12）と値が入れ替わっています" in first.message_ja


def test_a_wrong_total_is_proposed_like_any_cell() -> None:
    proposal = only(proposals([row((153, 155, 441, 351), 110)]))
    assert proposal.kind == "one"
    assert (proposal.edits[0].place, proposal.edits[0].proposed) == ("移住!K12", 1100)
    assert "ほかの 4 セルの和と一致" in proposal.message_ja


def test_rows_without_common_cells_are_judged_apart() -> None:
    found = proposals([row(INFLOW_OSAKA, 1831), row((1, 2), 3, line=13), row((100, 20, 7), 250, line=14)])
    assert [(p.kind, p.broken) for p in found] == [("one", ("row12",)), ("none", ("row14",))]


def test_one_place_with_two_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="移住!B12"):
        proposals([row((1, 2), 3), row((5, 2), 3)])


@pytest.mark.parametrize(
    ("found", "meant", "kind"),
    [
        ("16", "165", "digit_dropped"),
        ("65", "165", "digit_dropped"),
        ("9.3", "91.3", "digit_dropped"),
        ("1665", "165", "digit_added"),
        ("156", "165", "digits_swapped"),
        ("913", "91.3", "power_of_ten"),
        ("28.5", "28500", "power_of_ten"),
        ("28500", "28.5", "power_of_ten"),
        ("1624", "-1624", "sign_lost"),
        ("-210", "210", "sign_added"),
        ("-162", "-1624", "digit_dropped"),
    ],
)
def test_known_slips(found: str, meant: str, kind: str) -> None:
    slip = slip_between(Decimal(found), Decimal(meant))
    assert slip is not None and slip.kind == kind


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ("165", "185"),
        ("165", "165.0"),
        ("5", "0"),
        ("16", "1605"),
        ("-16", "165"),
        ("1", "10000"),
        ("0", "7"),
    ],
)
def test_what_is_no_slip(found: str, meant: str) -> None:
    assert slip_between(Decimal(found), Decimal(meant)) is None


class Total(NamedTuple):
    name: str
    place: str
    stated: Decimal
    members: tuple[str, ...]
    label: str
    measure_code: str | None = None


@dataclass(frozen=True)
class Read:
    measure_code: str
    value: Decimal | None
    source_cell: str
    value_mark: str | None = None
    value_text: str | None = None


def test_identities_come_from_a_reading() -> None:
    checks = [
        Total("out.row", "S!D1", Decimal(3), ("S!A1", "S!B1", "S!C1"), "計", "people"),
        Total("out.corner", "S!D9", Decimal(9), ("S!D1", "S!D2"), "総計", "people"),
        Total("out.row", "S!D1", Decimal(2), ("S!A1",), "計", "groups"),
    ]
    rows = [
        Read("people", Decimal(1), "S!A1", value_text="１名"),
        Read("people", None, "S!B1", value_mark="※"),
        Read("groups", Decimal(2), "S!A1"),
    ]
    people, groups = identities_of(checks, rows, lambda read: f"{read.measure_code} {read.source_cell}")
    assert [(m.place, m.value, m.text) for m in people[0].members] == [
        ("S!A1", 1, "１名"),
        ("S!C1", None, ""),
    ]
    assert people[0].missing == 1
    assert [m.value for m in people[1].members] == [3, None]
    assert groups[0].members[0].label == "groups S!A1" and not groups[0].broken


def test_a_row_with_a_blank_among_full_rows_gets_no_proposal() -> None:
    def read(blank: bool) -> Proposal:
        first = {f"S!{c}1": v for c, v in zip("BCD", (12, 34, 120), strict=True)}
        second = {f"S!{c}2": v for c, v in zip("BCD", (16, 70, 149), strict=True) if not (blank and c == "D")}
        checks = [
            Total("in.row", "S!E1", Decimal(166), tuple(first), "東京圏／計"),
            Total("in.row", "S!E2", Decimal(235 + 149 if not blank else 235), tuple(second), "大阪圏／計"),
        ]
        rows = [Read("people", Decimal(v), place) for place, v in (first | second).items()]
        (group,) = identities_of(checks, rows, lambda each: each.source_cell)
        return only(proposals(group))

    assert read(blank=False).kind == "one"
    refused = read(blank=True)
    assert (refused.kind, refused.edits) == ("none", ())
    assert "大阪圏／計：3 個あるはずの値が 2 個しかありません" in refused.message_ja
