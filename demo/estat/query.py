"""What a request asks for: the parameters of the specification, checked as the API checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from demo.estat.tables import Axis, Table

MOST_CODES = 100
MOST_ROWS = 100_000
LONGEST_ID = 30
Params = Mapping[str, str]

MESSAGES = {
    0: "正常に終了しました。",
    1: "正常に終了しましたが、該当データはありませんでした。",
    100: "認証に失敗しました。アプリケーションIDを確認して下さい。",
    101: "{0}を指定して下さい。",
    102: "{0}の値が正しくありません。",
    103: "{0}の値が長すぎます。{1}バイト以内で指定して下さい。",
    104: "{0}に使用できる文字は{1}です。",
    105: "{0}の値が多すぎます。100個以内で指定して下さい。",
    200: "データベースアクセスエラーが発生しました。",
    201: "データベースアクセスエラーが発生しました。",
    202: "データベースアクセスエラーが発生しました。",
    203: "データベースアクセスエラーが発生しました。",
    299: "予期しないエラーが発生しました。",
    300: "{0}=[{1}]のデータは存在しません。IDを確認して下さい。",
}
HTTP_STATUS = {0: 200, 1: 200, 100: 403} | dict.fromkeys((200, 201, 202, 203, 299), 500)


class ApiError(Exception):
    """An answer with this STATUS; `words` fill the places of the message."""

    def __init__(self, status: int, *words: str) -> None:
        self.status = status
        self.message = MESSAGES.get(status, "エラーが発生しました。").format(*words)
        super().__init__(self.message)


def http_status(status: int) -> int:
    """HTTP code of a STATUS: 200, 403 for a bad key, 500 for the server's own faults, else 400."""
    return HTTP_STATUS.get(status, 400)


@dataclass(frozen=True)
class Query:
    """A checked getStatsData request.

    Attributes:
        wanted: axis id → codes kept; an axis without condition is absent.
        start: number of the first row wanted, from 1.
        limit: most rows in the answer.
        flags: metaGetFlg and its kin, defaults filled in.
        echo: PARAMETER of the answer, without appId.
    """

    wanted: dict[str, frozenset[str]]
    start: int = 1
    limit: int = MOST_ROWS
    flags: dict[str, str] = field(default_factory=dict)
    echo: dict[str, Any] = field(default_factory=dict)


def language(params: Params) -> str:
    """`lang`, J unless E is asked for."""
    lang = params.get("lang", "J")
    if lang not in {"J", "E"}:
        raise ApiError(102, "lang")
    return lang


def number(params: Params, name: str, default: int, most: int | None = None) -> int:
    """A whole number from 1."""
    text = params.get(name, str(default))
    if not re.fullmatch(r"[0-9]+", text):
        raise ApiError(104, name, "半角数字")
    value = int(text)
    if value < 1 or (most is not None and value > most):
        raise ApiError(102, name)
    return value


def choice(params: Params, name: str, default: str, allowed: str) -> str:
    """One of the characters of `allowed`."""
    value = params.get(name, default)
    if len(value) != 1 or value not in allowed:
        raise ApiError(102, name)
    return value


def stats_data_id(params: Params) -> str:
    """The table asked for; a registered dataset (dataSetId) does not exist here."""
    table, dataset = params.get("statsDataId", ""), params.get("dataSetId", "")
    if table and dataset:
        raise ApiError(102, "statsDataId、dataSetId")
    if dataset:
        raise ApiError(300, "dataSetId", dataset)
    if not table:
        raise ApiError(101, "statsDataId")
    if len(table) > LONGEST_ID:
        raise ApiError(103, "statsDataId", str(LONGEST_ID))
    return table


def stats_data_query(params: Params, table: Table) -> Query:
    """Read a getStatsData request against the axes of its table.

    Raises:
        ApiError: 102–105 as the specification has them; a condition on an axis the table lacks is 102.
    """
    lang = language(params)
    wanted: dict[str, frozenset[str]] = {}
    narrowing: dict[str, str] = {}
    axes = {axis.id: axis for axis in table.all_axes}
    for axis_id in ("tab", "time", "area", *(f"cat{place:02}" for place in range(1, 16))):
        stem = axis_id.capitalize()
        asked = {
            suffix: params[name]
            for suffix, name in (
                ("LEVEL_{}_COND", f"lv{stem}"),
                ("CODE_{}_SELECT", f"cd{stem}"),
                ("CODE_{}_FROM", f"cd{stem}From"),
                ("CODE_{}_TO", f"cd{stem}To"),
            )
            if params.get(name)
        }
        if not asked:
            continue
        if axis_id not in axes:
            raise ApiError(102, f"lv{stem}、cd{stem}")
        wanted[axis_id] = _narrow(axes[axis_id], stem, params)
        narrowing |= {suffix.format(axis_id.upper()): text for suffix, text in asked.items()}
    flags = {
        "metaGetFlg": choice(params, "metaGetFlg", "Y", "YN"),
        "explanationGetFlg": choice(params, "explanationGetFlg", "Y", "YN"),
        "annotationGetFlg": choice(params, "annotationGetFlg", "Y", "YN"),
        "replaceSpChars": choice(params, "replaceSpChars", "0", "0123"),
        "cntGetFlg": choice(params, "cntGetFlg", "N", "YN"),
        "sectionHeaderFlg": choice(params, "sectionHeaderFlg", "1", "12"),
    }
    start, limit = number(params, "startPosition", 1), number(params, "limit", MOST_ROWS, MOST_ROWS)
    echo: dict[str, Any] = {"LANG": lang, "STATS_DATA_ID": table.id}
    if narrowing:
        echo["NARROWING_COND"] = narrowing
    echo |= {"DATA_FORMAT": "J", "START_POSITION": start}
    if "limit" in params:
        echo["LIMIT"] = limit
    echo["METAGET_FLG"] = flags["metaGetFlg"]
    for name, shown in (
        ("explanationGetFlg", "EXPLANATION_GET_FLG"),
        ("annotationGetFlg", "ANNOTATION_GET_FLG"),
        ("replaceSpChars", "REPLACE_SP_CHARS"),
        ("cntGetFlg", "CNT_GET_FLG"),
        ("sectionHeaderFlg", "SECTION_HEADER_FLG"),
    ):
        if name in params:
            echo[shown] = int(flags[name]) if flags[name].isdigit() else flags[name]
    return Query(wanted, start, limit, flags, echo)


def _narrow(axis: Axis, stem: str, params: Params) -> frozenset[str]:
    """Codes of the axis that meet every condition on it."""
    kept = set(axis.codes)
    if level := params.get(f"lv{stem}"):
        low, high = _levels(level, f"lv{stem}")
        kept &= {m.code for m in axis.members if m.level.isdigit() and low <= int(m.level) <= high}
    if listed := params.get(f"cd{stem}"):
        codes = listed.split(",")
        if len(codes) > MOST_CODES:
            raise ApiError(105, f"cd{stem}")
        if len(codes) > 1 and {"min", "max"} & set(codes):
            raise ApiError(102, f"cd{stem}")
        kept &= {_end(axis, code) for code in codes}
    if first := params.get(f"cd{stem}From"):
        kept = {code for code in kept if code >= _end(axis, first)}
    if last := params.get(f"cd{stem}To"):
        kept = {code for code in kept if code <= _end(axis, last)}
    return frozenset(kept)


def _levels(text: str, name: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9])?(-)?([1-9])?", text)
    if match is None or not (match[1] or match[3]) or (match[1] and match[3] and not match[2]):
        raise ApiError(102, name)
    if not match[2]:
        return int(text), int(text)
    return int(match[1] or 1), int(match[3] or 9)


def _end(axis: Axis, code: str) -> str:
    """`min` and `max` stand for the ends of the axis."""
    if code == "min":
        return min(axis.codes)
    return max(axis.codes) if code == "max" else code
