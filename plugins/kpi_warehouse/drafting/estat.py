"""A first draft of a contract from what an e-Stat table says of itself. What only a person knows is marked （要確認）."""

from __future__ import annotations

from datetime import date
from typing import Any

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.contract_file import dump_yaml
from kpi_warehouse.errors import KpiError
from kpi_warehouse.readers.estat_time import CYCLES, cycles_of
from kpi_warehouse.sources.estat_answers import TableMeta

# When a table of each cycle is looked for, and how long its publication may take: what is usual, for the author to check.
_SCHEDULES = {
    "月": ({"value": 1, "unit": "m", "schedule": "0 9 25 * *"}, 75),
    "四半期": ({"value": 3, "unit": "m", "schedule": "0 9 25 2,5,8,11 *"}, 120),
    "暦年": ({"value": 1, "unit": "y", "schedule": "0 9 1 2 *"}, 300),
    "年度": ({"value": 1, "unit": "y", "schedule": "0 9 1 6 *"}, 300),
}


def draft(feed: str, title_ja: str, owner: str, table_id: str, table: TableMeta) -> str:
    """YAML text of a contract that passes `kpi feed check`; meaning, marks and rules are for the author to write.

    Raises:
        KpiError: the table has no periods that can be read.
    """
    axes = [(name, axis) for name, axis in table.axes.items() if name != "time"]
    kind, periods = _cycle(table_id, table)
    several = "" if len(periods) == 1 else f"この表には {'・'.join(periods)} がある。{TO_BE_CHECKED}"
    key = [
        _property("period", "対象期間", "time", "date", 1, f"対象期間（{kind}）の初日。{several}")
        | {"customProperties": [{"property": "periodKind", "value": kind}]}
    ]
    units = {
        name: {code: entry.unit for code, entry in axis.codes.items() if entry.unit} for name, axis in axes
    }
    for position, (name, axis) in enumerate(axes, start=2):
        codes = [{"value": code, "label": entry.name} for code, entry in axis.codes.items()]
        of_codes = {"customProperties": [{"property": "units", "value": units[name]}]} if units[name] else {}
        key.append(
            _property(f"{name}_code", axis.name, name, "string", position, f"{axis.name}。{TO_BE_CHECKED}")
            | {"enum": codes}
            | of_codes
        )
    told = "" if any(units.values()) else f"単位は表に書かれていない。{TO_BE_CHECKED}"
    value = _property("value", "値", "$", "number", None, f"値の意味。{TO_BE_CHECKED}{told}")
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
                    {
                        "property": "firstPeriod",
                        "value": CYCLES[kind].written(periods[kind][0]),
                        "description": f"表の最初の期間。{TO_BE_CHECKED}",
                    },
                    {"property": "rereadMonths", "value": max(3, CYCLES[kind].months)},
                    {"property": "publishedAfterDays", "value": 0, "description": TO_BE_CHECKED},
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
            {"property": "frequency", "scheduler": "cron", "description": TO_BE_CHECKED}
            | _SCHEDULES[kind][0],
            {"property": "latency", "value": _SCHEDULES[kind][1], "unit": "d", "description": TO_BE_CHECKED},
        ],
        "team": {"name": owner},
    }
    text = dump_yaml(document)
    return (
        f"# ODCS data contract: everything known about this feed, and the only place that knows it.\n{text}"
    )


def _cycle(table_id: str, table: TableMeta) -> tuple[str, dict[str, list[date]]]:
    """The shortest cycle of a table, and the periods of every cycle it has."""
    periods = cycles_of(table.axes["time"].codes if "time" in table.axes else ())
    if not periods:
        time = table.axes.get("time")
        names = (
            "、".join(f"{code}（{entry.name}）" for code, entry in list(time.codes.items())[:5])
            if time
            else ""
        )
        raise KpiError(
            f"統計表 {table_id}（{table.title}）の時間軸に、{'・'.join(CYCLES)} のどの時点もありません"
            f"（{names or '時間軸がありません'}）。この表は取り込めません。",
            "draft.no_cycle",
        )
    kind = next(kind for kind in CYCLES if kind in periods)
    return kind, periods


def _property(
    name: str, label: str, source: str | None, logical: str, position: int | None, description: str
) -> dict[str, Any]:
    physical = {"date": "date", "string": "text", "number": "numeric"}[logical]
    found: dict[str, Any] = {"name": name, "businessName": label}
    if source:
        found["physicalName"] = source
    found |= {"logicalType": logical, "physicalType": physical, "description": description}
    if position is not None:
        found |= {"required": True, "primaryKey": True, "primaryKeyPosition": position}
    return found
