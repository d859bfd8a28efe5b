"""What is still open in a draft: every place that carries （要確認）, with its line and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.contract_file import ContractFile, Key, bytes_of

# Names of the parts of a contract as a person says them; the innermost that is known names a place.
NAMES = {
    "purpose": "目的",
    "limitations": "利用上の注意",
    "licence": "利用条件（ライセンス）",
    "credit": "出典の表記",
    "fileNames": "ファイル名の型",
    "layout": "表の読み方",
    "outside": "表の外の行",
    "ignoreSheets": "読まないシート",
    "columns": "表の列",
    "marks": "数値の代わりの記号",
    "units": "単位",
    "firstPeriod": "最初の期間",
    "domain": "分野",
}


@dataclass(frozen=True)
class OpenPoint:
    """One open place: its line (from 1), what part of the contract it is, and what is asked there."""

    line: int
    part_ja: str
    asked_ja: str


def open_points(path: Path) -> list[OpenPoint]:
    """Every open place of a contract file, from top to bottom.

    Raises:
        ContractError: the file cannot be read as YAML.
    """
    file = ContractFile.parse(path, bytes_of(path))
    points: list[OpenPoint] = []
    _walk(file, file.document, (), points)
    return sorted(points, key=lambda point: point.line)


def _walk(file: ContractFile, value: Any, key: Key, points: list[OpenPoint]) -> None:
    if isinstance(value, dict):
        for name, below in value.items():
            _walk(file, below, (*key, name), points)
    elif isinstance(value, list):
        for at, below in enumerate(value):
            _walk(file, below, (*key, at), points)
    elif isinstance(value, str) and TO_BE_CHECKED in value:
        said = value.replace(TO_BE_CHECKED, "").strip()
        points.append(OpenPoint(file.lines.get(key, 1), _part(file.document, key), said))


def _part(document: dict[str, Any], key: Key) -> str:
    """The part of a contract that a key stands in: the column of the table, or the property."""
    names: list[str] = []
    value: Any = document
    for step in key:
        if isinstance(value, dict) and isinstance(value.get("property"), str):
            names.append(value["property"])
        if isinstance(value, dict) and isinstance(value.get("businessName"), str):
            names.append(f"列「{value['businessName']}」")
        names.append(str(step))
        value = value[step]
    return next(
        (NAMES.get(name, name) for name in reversed(names) if name in NAMES or name.startswith("列「")),
        "契約",
    )
