"""A first draft of a contract from what an e-Stat table says of itself. What only a person knows is marked （要確認）."""

from __future__ import annotations

from typing import Any

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.contract_file import dump_yaml
from kpi_warehouse.sources.estat_answers import TableMeta


def draft(feed: str, title_ja: str, owner: str, table_id: str, table: TableMeta) -> str:
    """YAML text of a contract that passes `kpi feed check`; meaning, marks and rules are for the author to write."""
    axes = [(name, axis) for name, axis in table.axes.items() if name != "time"]
    key = [
        _property("period", "対象月", "time", "date", 1, f"対象月の初日。{TO_BE_CHECKED}")
        | {"customProperties": [{"property": "periodKind", "value": "月"}]}
    ]
    for position, (name, axis) in enumerate(axes, start=2):
        codes = [{"value": code, "label": entry.name} for code, entry in axis.codes.items()]
        key.append(
            _property(f"{name}_code", axis.name, name, "string", position, f"{axis.name}。{TO_BE_CHECKED}")
            | {"enum": codes}
        )
    value = _property("value", "値", "$", "integer", None, f"値の意味と単位。{TO_BE_CHECKED}")
    value["customProperties"] = [
        {
            "property": "marks",
            "value": {"-": TO_BE_CHECKED, "***": TO_BE_CHECKED, "X": "秘匿", "…": TO_BE_CHECKED},
        }
    ]
    mark = _property(
        "value_mark", "値の記号", None, "string", None, "値が数値でないときの、元の記号そのまま。"
    )
    document: dict[str, Any] = {
        "kind": "DataContract",
        "apiVersion": "v3.2.0",
        "id": feed,
        "name": title_ja,
        "version": "0.1.0",
        "status": "draft",
        "tags": ["e-Stat"],
        "description": {
            "purpose": f"{table.title}。{TO_BE_CHECKED}",
            "limitations": TO_BE_CHECKED,
            "customProperties": [
                {"property": "licence", "value": "政府標準利用規約（第2.0版）"},
                {
                    "property": "credit",
                    "value": f"出典：政府統計の総合窓口(e-Stat)（https://www.e-stat.go.jp/）、{table.stats_name}を加工して作成",
                },
            ],
        },
        "servers": [
            {
                "server": "estat",
                "type": "api",
                "location": "https://api.e-stat.go.jp/rest/3.0/app",
                "customProperties": [
                    {"property": "statsDataId", "value": table_id},
                    {"property": "statsCode", "value": table.stats_code},
                    {"property": "titleHolds", "value": [table.title]},
                    {"property": "firstPeriod", "value": "2018-01", "description": TO_BE_CHECKED},
                    {"property": "rereadMonths", "value": 3},
                ],
            }
        ],
        "schema": [
            {
                "name": feed,
                "physicalName": feed,
                "physicalType": "table",
                "logicalType": "object",
                "properties": [*key, value, mark],
                "quality": [],
            }
        ],
        "slaProperties": [
            {"property": "frequency", "value": 1, "unit": "m", "scheduler": "cron", "schedule": "0 9 25 * *"},
            {"property": "latency", "value": 75, "unit": "d"},
        ],
        "team": {"name": owner},
    }
    text = dump_yaml(document)
    return (
        f"# ODCS data contract: everything known about this feed, and the only place that knows it.\n{text}"
    )


def _property(
    name: str, label: str, source: str | None, logical: str, position: int | None, description: str
) -> dict[str, Any]:
    physical = {"date": "date", "string": "text", "integer": "integer"}[logical]
    found: dict[str, Any] = {"name": name, "businessName": label}
    if source:
        found["physicalName"] = source
    found |= {"logicalType": logical, "physicalType": physical, "description": description}
    if position is not None:
        found |= {"required": True, "primaryKey": True, "primaryKeyPosition": position}
    return found
