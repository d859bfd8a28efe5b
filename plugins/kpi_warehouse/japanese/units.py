"""Units: different writings of one unit are one; different counters (人, 名) stay what they are."""

from __future__ import annotations

from kpi_warehouse.japanese.widths import fold

# ㎥ does not exist in CP932 and folds to m3, so it comes in many dresses.
_SAME = {
    "m3": "㎥",
    "立方メートル": "㎥",
    "立米": "㎥",
    "パーセント": "%",
    "km/時": "km/h",
    "キロメートル": "km",
}


def canonical_unit(text: str) -> str:
    """One writing of a unit: `m3` and `立方メートル` are `㎥`, `％` is `%`; blanks are dropped."""
    unit = fold(text).replace(" ", "")
    for written, meant in _SAME.items():
        if unit.casefold().endswith(written):
            return unit[: len(unit) - len(written)] + meant
    return unit
