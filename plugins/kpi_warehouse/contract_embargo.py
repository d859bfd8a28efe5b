"""The part of a contract that says until when figures are not shown: the SLA property `publicFrom`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kpi_warehouse.contract import Embargo, EstatSource, FileSource
from kpi_warehouse.contract_part import Fault

PROPERTY = "publicFrom"
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
# The rule: what it is called, what it counts, and its bounds.
_RULE = {"monthsAfter": ("期間の末月の何か月後の月か", 0, 24), "day": ("その月の何日か（月末は 31）", 1, 31)}


def embargo_of(
    properties: Sequence[Mapping[str, Any]], source: EstatSource | FileSource, fault: Fault
) -> Embargo | None:
    """The embargo a contract declares; None where figures are shown as soon as they are accepted.

    Args:
        properties: the contract's `slaProperties`.
        fault: told (key path, found, expected) of every fault.
    """
    says_day = isinstance(source, FileSource) and any(
        table.of_kind("public_on") for table in source.layout.tables
    )
    declared = [at for at, entry in enumerate(properties) if entry.get("property") == PROPERTY]
    if not declared:
        if says_day:
            expected = f"{PROPERTY}（is: public_on の列があるので、その日の何時からか）"
            fault(("slaProperties",), None, expected)
        return None
    for at in declared[1:]:
        fault(("slaProperties", at, "property"), PROPERTY, "一度だけの publicFrom")
    here = ("slaProperties", declared[0])
    entry = properties[declared[0]]
    if not isinstance(entry.get("value"), str) or not _TIME.fullmatch(entry["value"]):
        fault((*here, "value"), entry.get("value"), '引用符で囲んだ日本時間の時刻（例 "08:30"）')
    rule: dict[str, int] = {}
    named: list[str] = []
    for position, custom in enumerate(entry.get("customProperties") or []):
        name, found = custom["property"], custom["value"]
        place = (*here, "customProperties", position)
        if name not in _RULE:
            fault((*place, "property"), name, " / ".join(_RULE))
            continue
        named.append(name)
        meaning, least, most = _RULE[name]
        if type(found) is not int or not least <= found <= most:
            fault((*place, "value"), found, f"{name}：{meaning}（{least}〜{most} の整数）")
        else:
            rule[name] = found
    if len(named) == 1:
        fault((*here, "customProperties"), named[0], "monthsAfter と day の両方")
    if not named and not says_day:
        fault(here, None, "monthsAfter と day、または、ファイルの公表日の列（is: public_on）")
    return Embargo(str(entry.get("value")), rule.get("monthsAfter"), rule.get("day"))
