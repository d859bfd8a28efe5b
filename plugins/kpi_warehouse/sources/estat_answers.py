"""The parts of e-Stat's JSON answers that the client itself needs: the head of a page, a table's description, a listing.

One element comes as an object, several as an array; TITLE and DESCRIPTION come as text or as an object; numbers of
attributes as text. All of that is smoothed here and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

# The smallest text behind which a page can be whole: VALUE, DATA_INF, STATISTICAL_DATA, GET_STATS_DATA and the root close.
_WHOLE = (b"]}}}}", b"}}}}}")
_DATA = b'"DATA_INF"'
_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Head:
    """What stands before the values: status, and for getStatsData the numbers of the page."""

    status: int = 0
    message: str = ""
    total_number: int = 0
    from_number: int = 0
    to_number: int = 0
    next_key: int | None = None
    updated_on: str = ""


@dataclass(frozen=True)
class Code:
    """One code of an axis."""

    name: str
    level: str = ""
    unit: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Axis:
    """One axis of a table: its name and its codes, in the order served."""

    name: str
    codes: dict[str, Code]


@dataclass(frozen=True)
class TableMeta:
    """A table as it describes itself. `axes` is keyed by the API's axis id (`tab`, `cat01`, `area`, `time`)."""

    table_id: str
    title: str
    stats_code: str
    stats_name: str
    updated_on: date | None
    axes: dict[str, Axis] = field(default_factory=dict)


@dataclass(frozen=True)
class TableEntry:
    """A table in a listing."""

    table_id: str
    title: str
    stats_code: str
    updated_on: date | None


def read_head(text: bytes) -> Head:
    """Read the head without decoding the values, where the order served allows it; else decode everything.

    Raises:
        ValueError: the text is not whole JSON.
    """
    data_at = text.find(_DATA, 0, _HEAD_BYTES)
    if data_at > 0 and text.rstrip().endswith(_WHOLE):
        try:
            # Close what is open before DATA_INF: STATISTICAL_DATA, GET_STATS_DATA and the root.
            head = _head(json.loads(text[:data_at].rstrip().rstrip(b",") + b"}}}"))
        except ValueError:
            head = Head(status=-1)
        if head.status == 0 and head.from_number:
            return head
    return _head(json.loads(text))


def _head(document: dict[str, Any]) -> Head:
    answer = next(iter(document.values()), None)
    if not isinstance(answer, dict) or "RESULT" not in answer:
        raise ValueError("RESULT がありません")
    result = answer["RESULT"]
    data = answer.get("STATISTICAL_DATA") or {}
    numbers = data.get("RESULT_INF") or {}
    next_key = numbers.get("NEXT_KEY")
    return Head(
        status=int(result["STATUS"]),
        message=str(result.get("ERROR_MSG", "")),
        total_number=int(numbers.get("TOTAL_NUMBER") or 0),
        from_number=int(numbers.get("FROM_NUMBER") or 0),
        to_number=int(numbers.get("TO_NUMBER") or 0),
        next_key=int(next_key) if next_key is not None else None,
        updated_on=str((data.get("TABLE_INF") or {}).get("UPDATED_DATE", "")),
    )


def read_meta(table_id: str, text: bytes) -> TableMeta:
    """The body of getMetaInfo."""
    found = json.loads(text)["GET_META_INFO"]["METADATA_INF"]
    table = found["TABLE_INF"]
    axes = {
        entry["@id"]: Axis(
            str(entry.get("@name", "")),
            {
                code["@code"]: Code(
                    str(code.get("@name", "")), str(code.get("@level", "")), code.get("@unit"), code.get("@parentCode")
                )
                for code in _several(entry.get("CLASS"))
            },
        )
        for entry in _several(found["CLASS_INF"].get("CLASS_OBJ"))
    }
    entry = _entry(table)
    return TableMeta(table_id, entry.title, entry.stats_code, _text(table.get("STAT_NAME")), entry.updated_on, axes)


def read_listing(text: bytes) -> tuple[list[TableEntry], int | None]:
    """The body of getStatsList: the tables, and the next start position if there are more."""
    found = json.loads(text)["GET_STATS_LIST"].get("DATALIST_INF") or {}
    next_key = (found.get("RESULT_INF") or {}).get("NEXT_KEY")
    return [_entry(table) for table in _several(found.get("TABLE_INF"))], int(next_key) if next_key else None


def _entry(table: dict[str, Any]) -> TableEntry:
    statistics, updated = table.get("STAT_NAME") or {}, str(table.get("UPDATED_DATE") or "")
    return TableEntry(
        table_id=str(table.get("@id", "")),
        title=_text(table.get("TITLE")),
        stats_code=str(statistics.get("@code", "")) if isinstance(statistics, dict) else "",
        updated_on=date.fromisoformat(updated) if updated else None,
    )


def _several(value: Any) -> list[Any]:
    """None, one element or a list of them, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """Text that comes bare or as `{"$": text}`."""
    return str(value.get("$", "") if isinstance(value, dict) else value or "")
