"""A sketch written down as an ODCS document in the state `draft`; every place that somebody must look at carries （要確認）."""

from __future__ import annotations

from typing import Any

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.contract_file import dump_yaml
from kpi_warehouse.drafting.sketch import Sketch

HEADER = "# ODCS data contract: everything known about this feed, and the only place that knows it.\n"
TOTALS_HOLD = {
    "name": "totals_hold",
    "type": "custom",
    "engine": "greatExpectations",
    "severity": "critical",
    "dimension": "consistency",
    "description": "表に書かれた計が、内訳の和と同じであること。",
    "customProperties": [{"property": "scope", "value": "table"}],
    "implementation": {
        "type": "unexpected_rows_expectation",
        "kwargs": {"unexpected_rows_query": "select c.* from {checks} as c where c.stated <> c.computed"},
    },
}


def write(feed: str, title_ja: str, owner: str, names: list[str], sketch: Sketch) -> str:
    """YAML text of the contract.

    Args:
        names: globs on the names of the feed's files.
    """
    asked = "".join(f"{at}) {point}" for at, point in enumerate(sketch.open_points, 1))
    properties: list[dict[str, Any]] = [
        {"property": "fileNames", "value": names, "description": TO_BE_CHECKED},
        *({"property": name, "value": value} for name, value in sketch.how.items()),
        {"property": "revisions", "value": "ask"},
        {
            "property": "layout",
            "value": sketch.layout_yaml(),
            "description": f"{asked or '表の読み方を見本で確かめる。'}{TO_BE_CHECKED}",
        },
    ]
    document = {
        "kind": "DataContract",
        "apiVersion": "v3.2.0",
        "id": feed,
        "name": title_ja,
        "version": "0.1.0",
        "status": "draft",
        "tags": ["課提出"],
        "description": {
            "purpose": f"{title_ja}。{TO_BE_CHECKED}",
            "limitations": TO_BE_CHECKED,
            "customProperties": [
                {"property": "licence", "value": TO_BE_CHECKED},
                {"property": "credit", "value": f"出典：熊本県の資料（{owner}）を加工して作成"},
            ],
        },
        "servers": [{"server": "inbox", "type": "custom", "customProperties": properties}],
        "schema": [
            {
                "name": feed,
                "physicalName": feed,
                "physicalType": "table",
                "logicalType": "object",
                "properties": _properties(sketch),
                "quality": [TOTALS_HOLD] if has_totals(sketch) else [],
            }
        ],
        "slaProperties": [
            {"property": "frequency", "value": 1, "unit": "y", "scheduler": "cron", "schedule": "0 9 10 5 *"},
            {"property": "latency", "value": 30, "unit": "d"},
        ],
        "team": {"name": owner},
    }
    return f"{HEADER}{dump_yaml(document)}"


def has_totals(sketch: Sketch) -> bool:
    """Whether a table takes totals, which a rule must then compare."""
    return any(
        table.get("rows", {}).keys() & {"totals", "subtotals"}
        or any(column["is"] == "row_total" for column in table["columns"])
        for table in sketch.tables
    )


def _properties(sketch: Sketch) -> list[dict[str, Any]]:
    kinds = sorted(sketch.kinds) or ["年度"]
    keys = [
        ("period", "対象期間の初日", "date", f"期間の初日。{TO_BE_CHECKED}", {}),
        (
            "period_kind",
            "期間の種類",
            "string",
            "種類の違う期間の値は、比べても足してもならない。",
            {kind: kind for kind in kinds},
        ),
        *(
            (name, axis.label, "string", f"{axis.label}。{TO_BE_CHECKED}", axis.codes)
            for name, axis in sketch.axes.items()
        ),
        (
            "measure_code",
            "指標",
            "string",
            f"何を数えたか。コードを英語の名前に直す。{TO_BE_CHECKED}",
            sketch.measures,
        ),
    ]
    properties: list[dict[str, Any]] = []
    for position, (name, label, kind, about, codes) in enumerate(keys, 1):
        one: dict[str, Any] = {
            "name": name,
            "businessName": label,
            "logicalType": kind,
            "physicalType": {"date": "date", "string": "text"}[kind],
            "required": True,
            "primaryKey": True,
            "primaryKeyPosition": position,
            "description": about,
        }
        if codes:
            one["enum"] = [{"value": code, "label": text} for code, text in codes.items()]
        if name == "measure_code":
            one["customProperties"] = _units(sketch)
        properties.append({key: value for key, value in one.items() if value != []})
    properties.append(
        {
            "name": "value",
            "businessName": "値",
            "logicalType": "number",
            "physicalType": "numeric",
            "description": f"値の意味と単位。{TO_BE_CHECKED}",
            "customProperties": [
                {
                    "property": "marks",
                    "value": sketch.marks,
                    "description": f"数値の代わりの記号。{TO_BE_CHECKED}",
                },
                {"property": "markStatus", "value": sketch.mark_status},
            ],
        }
    )
    return properties


def _units(sketch: Sketch) -> list[dict[str, Any]]:
    """The units of the measures; where the sample states none, the place says so."""
    bare = [label for code, label in sketch.measures.items() if code not in sketch.units]
    if not bare:
        return [{"property": "units", "value": sketch.units}] if sketch.units else []
    named = "、".join(bare[:5]) + ("など" if len(bare) > 5 else "")
    about = f"見本に単位が書かれていない：{named}。単位を書くか、単位のない数であることを確かめる。{TO_BE_CHECKED}"
    return [{"property": "units", "value": sketch.units, "description": about}]
