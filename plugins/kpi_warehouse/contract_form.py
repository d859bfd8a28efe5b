"""The form of a division's workbook: what its template says beyond the layout that it is read by.

`form_of` turns `servers[0].customProperties.form` of a contract into a `Form` and notes every fault at its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from kpi_warehouse.contract_layout import Layout
from kpi_warehouse.contract_part import Fault, Part
from kpi_warehouse.kpi_catalogue import Kpi

KPI_CATALOGUE = "kpi_catalogue"


@dataclass(frozen=True)
class Form:
    """What is printed on the template.

    Args:
        title: the sheet's title; must be one that the layout knows.
        rows: `kpi_catalogue`: one row per KPI of the catalogue, else None: one per code of the table's axis, or blank rows.
        fill: heading → field of the KPI that is printed there.
        notes: lines above the table, of which the layout knows each.
    """

    title: str
    rows: str | None = None
    fill: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def form_of(custom: Mapping[str, Any], layout: Layout, fault: Fault) -> Form | None:
    """The form a contract declares; None when it declares none."""
    if custom.get("form") is None:
        return None
    part = Part(custom["form"], ("form",), fault)
    form = Form(
        title=part.text("title", "様式の題名") or "",
        rows=part.choice("rows", (KPI_CATALOGUE,), None),
        fill=part.pairs("fill"),
        notes=part.texts("notes"),
    )
    part.close()
    for key, text in (("title", form.title), *(("notes", note) for note in form.notes)):
        if text and not any(line.pattern.search(text) for line in layout.outside):
            part.fault(("form", key), text, "layout の outside のどれかの pattern に合う行")
    known = {each.name for each in fields(Kpi)}
    headings = {heading for table in layout.tables for column in table.columns for heading in column.headings}
    for heading, source in form.fill.items():
        if heading not in headings:
            part.fault(("form", "fill", heading), heading, "layout の見出し")
        if source not in known:
            part.fault(("form", "fill", heading), source, " / ".join(sorted(known)))
    return form
