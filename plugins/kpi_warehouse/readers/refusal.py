"""Why a file is refused, in the words of who handed it in: the cause first, then each cause once with its cells."""

from __future__ import annotations

from kpi_warehouse.contract import Contract
from kpi_warehouse.readers.layout_result import CellFault

SHOWN_FAULTS = 5
# Places listed of one cause: nobody reads more.
SHOWN_PLACES = 8
# Causes of other faults come first: without its heading a column cannot be read, whatever stands in it.
_FIRST = (
    "no_table",
    "ambiguous_table",
    "missing_column",
    "duplicate_heading",
    "new_column",
    "missing_heading",
    "no_period",
    "changed_unit",
    "unit_unclear",
    "unknown_measure",
    "period_gap",
    "hidden_sheet",
    "unknown_sheet",
)
_CAUSES = {
    "ambiguous_table": "どの表か決められない",
    "missing_heading": "見出しのない列に値がある",
    "no_period": "見出しの期間が分からない",
    "unit_unclear": "列ごとの単位が分からない",
    "unknown_measure": "指標の分からない見出しがある",
    "period_gap": "期間の見出しが途切れている",
    "hidden_sheet": "非表示のシートに値がある",
    "unknown_sheet": "様式にないシートがある",
    "brackets": "括弧のついた数の意味が決められない",
    "fraction": "分数か日付か決められない値がある",
    "unit": "単位の違う値がある",
    "doubtful": "そのままでは読めない値がある",
    "remark": "セルの外の文字に、数字の読み方を変える文がある",
    "unknown_label": "様式にない項目がある",
    "label_differs": "同じ見出しの列が違う項目を指している",
    "unreadable_period": "読めない期間がある",
    "duplicate_key": "同じ期間・項目の値が二つある",
    "merged_value": "結合されたセルに値がある",
    "hidden_value": "非表示の行・列に値がある",
    "stray_cell": "表の外に残った値がある",
    "blank": "空欄がある",
    "blank_label": "項目の空欄がある",
}


def refusal_ja(contract: Contract, name: str, faults: list[CellFault]) -> str:
    """The faults of a file in words: first the cause, then each cause once with its cells."""
    groups: dict[tuple[str, str], list[CellFault]] = {}
    for fault in faults:
        groups.setdefault((fault.code, fault.expected_ja), []).append(fault)
    ordered = sorted(
        groups.values(),
        key=lambda group: _FIRST.index(group[0].code) if group[0].code in _FIRST else len(_FIRST),
    )
    first = ordered[0][0]
    lines = [
        f"{contract.title_ja}：「{name}」：{_cause(first)}（{first.place}）。"
        f"読み取れないセルが {len(faults):,} 件あります。何も取り込んでいません。"
    ]
    lines += [_of_one_cause(group) for group in ordered[:SHOWN_FAULTS]]
    rest = sum(map(len, ordered[SHOWN_FAULTS:]))
    if rest:
        lines.append(f"・ほか {rest:,} 件（差し戻し票にすべてあります）")
    return "\n".join(lines)


def _cause(fault: CellFault) -> str:
    match fault.code:
        case "missing_column":
            return f"見出し{fault.label.partition('／')[2]}の列がない"
        case "no_table":
            return f"表「{fault.label}」が見つからない"
        case "new_column":
            return f"様式にない見出し「{fault.found}」がある"
        case "duplicate_heading":
            return f"見出し「{fault.found}」が二つある"
        case "changed_unit":
            return f"単位が契約と違う「{fault.found}」"
    return _CAUSES.get(fault.code, "読み取れない値がある")


def _of_one_cause(group: list[CellFault]) -> str:
    first = group[0]
    if len(group) == 1:
        return f"・{first.place}（{first.label}）：見つかったもの「{first.found}」、期待：{first.expected_ja}"
    sheet, mark, _ = first.place.rpartition("!")
    places = [first.place, *(each.place.removeprefix(sheet + mark) for each in group[1:SHOWN_PLACES])]
    more = f" ほか {len(group) - SHOWN_PLACES:,} 件" if len(group) > SHOWN_PLACES else ""
    found = "、".join(dict.fromkeys(f"「{each.found}」" for each in group[:SHOWN_PLACES]))
    return f"・{'、'.join(places)}{more}（{first.label} など {len(group):,} 件）：見つかったもの{found}、期待：{first.expected_ja}"
