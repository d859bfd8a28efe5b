"""The bodies of the answers: JSON in the order and with the habits of the live API (one line, `\\uXXXX`
escapes).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from demo.estat.query import MESSAGES, MOST_ROWS, ApiError, Params, Query, choice, language, number
from demo.estat.tables import Axis, Member, Table

Row = tuple[tuple[str, ...], str, str]  # codes on the table's axes, time code, text of the value
ROOTS = {"getStatsList": "GET_STATS_LIST", "getMetaInfo": "GET_META_INFO", "getStatsData": "GET_STATS_DATA"}
# The live API escapes these beside everything that is not ASCII; inside JSON they occur in strings only.
_ALSO_ESCAPED = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&='"})
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ROWS_HERE = '"@@rows@@"'
_REPLACED = {"1": "0", "2": "", "3": "NA"}


@dataclass(frozen=True)
class Page:
    """The rows of one getStatsData answer and the numbers it states about them."""

    rows: Sequence[Row]
    total: int
    first: int
    last: int
    next_key: int | None


def one_line(value: Any) -> str:
    """JSON as the API writes it."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).translate(_ALSO_ESCAPED)


def result(status: int, message: str, date: str) -> dict[str, Any]:
    """RESULT; STATUS is a number, DATE an ISO time with milliseconds and +09:00."""
    return {"STATUS": status, "ERROR_MSG": message, "DATE": date}


def error(function: str, status: int, message: str, params: Params, date: str) -> str:
    """An answer without data: RESULT and PARAMETER only."""
    echo = {"LANG": params.get("lang", "J")}
    if params.get("statsDataId"):
        echo["STATS_DATA_ID"] = params["statsDataId"]
    return one_line(
        {ROOTS[function]: {"RESULT": result(status, message, date), "PARAMETER": echo | {"DATA_FORMAT": "J"}}}
    )


def select(table: Table, query: Query) -> Iterator[Row]:
    """Rows that meet the conditions, newest month first."""
    places = [
        (place, codes)
        for place, codes in enumerate(table.cells)
        if all(
            codes[at] in query.wanted[axis.id]
            for at, axis in enumerate(table.axes)
            if axis.id in query.wanted
        )
    ]
    times = query.wanted.get("time")
    for time in table.time.codes:
        if time in table.months and (times is None or time in times):
            texts = table.months[time]
            for place, codes in places:
                text = texts[place]
                if text is not None:
                    yield codes, time, text


def page_of(rows: Iterable[Row], query: Query) -> Page:
    """Cut the page that the query asks for."""
    rows = rows if isinstance(rows, list) else list(rows)
    cut = list(islice(rows, query.start - 1, query.start - 1 + query.limit))
    last = query.start - 1 + len(cut)
    return Page(cut, len(rows), query.start, last, last + 1 if last < len(rows) else None)


def stats_data(table: Table, query: Query, page: Page, date: str) -> str:
    """A getStatsData answer."""
    empty = not page.rows and query.flags["cntGetFlg"] == "N"
    status = 1 if empty else 0
    numbers: dict[str, int] = {"TOTAL_NUMBER": page.total}
    data: dict[str, Any] = {}
    if empty:
        numbers["TOTAL_NUMBER"] = 0
    elif query.flags["cntGetFlg"] == "N":
        numbers |= {"FROM_NUMBER": page.first, "TO_NUMBER": page.last}
        if page.next_key is not None:
            numbers["NEXT_KEY"] = page.next_key
        if query.flags["metaGetFlg"] == "Y":
            data["CLASS_INF"] = class_inf(table, query.wanted)
        data["DATA_INF"] = _data_inf(table, query)
    body = one_line(
        {
            "GET_STATS_DATA": {
                "RESULT": result(status, MESSAGES[status], date),
                "PARAMETER": query.echo,
                "STATISTICAL_DATA": {
                    "RESULT_INF": numbers,
                    "TABLE_INF": table_inf(table, query.flags["explanationGetFlg"] == "Y"),
                    **data,
                },
            }
        }
    )
    return body.replace(_ROWS_HERE, _values(table, query, page.rows)) if "DATA_INF" in data else body


def meta_info(table: Table, params: Params, date: str) -> str:
    """A getMetaInfo answer: the whole of every axis."""
    explained = choice(params, "explanationGetFlg", "Y", "YN") == "Y"
    echo = {"LANG": language(params), "STATS_DATA_ID": table.id, "DATA_FORMAT": "J"}
    return one_line(
        {
            "GET_META_INFO": {
                "RESULT": result(0, MESSAGES[0], date),
                "PARAMETER": echo,
                "METADATA_INF": {"TABLE_INF": table_inf(table, explained), "CLASS_INF": class_inf(table, {})},
            }
        }
    )


def stats_list(tables: Iterable[Table], params: Params, date: str) -> str:
    """A getStatsList answer.

    statsCode, searchWord (AND, OR, NOT), updatedDate, startPosition, limit, explanationGetFlg and
    statsNameList narrow or shape it; other search keys are accepted and do not narrow.
    """
    lang, start = language(params), number(params, "startPosition", 1)
    limit = number(params, "limit", MOST_ROWS, MOST_ROWS)
    explained = choice(params, "explanationGetFlg", "Y", "YN") == "Y"
    found = [table for table in tables if _listed(table, params)]
    echo: dict[str, Any] = {"LANG": lang}
    for name, shown in (
        ("statsCode", "STATS_CODE"),
        ("searchWord", "SEARCH_WORD"),
        ("updatedDate", "UPDATED_DATE"),
    ):
        if params.get(name):
            echo[shown] = params[name]
    echo |= {"DATA_FORMAT": "J", "START_POSITION": start} | ({"LIMIT": limit} if "limit" in params else {})
    listing: dict[str, Any] = {"NUMBER": len(found)}
    if params.get("statsNameList") == "Y":
        surveys = {table.stat_code: table for table in found}.values()
        listing = {"NUMBER": len(surveys), "LIST_INF": _one_or_list([_survey(table) for table in surveys])}
    elif cut := found[start - 1 : start - 1 + limit]:
        last = start - 1 + len(cut)
        listing["RESULT_INF"] = {"FROM_NUMBER": start, "TO_NUMBER": last}
        if last < len(found):
            listing["RESULT_INF"]["NEXT_KEY"] = last + 1
        listing["TABLE_INF"] = _one_or_list([table_inf(table, explained) for table in cut])
    status = 0 if found else 1
    body = {"RESULT": result(status, MESSAGES[status], date), "PARAMETER": echo, "DATALIST_INF": listing}
    return one_line({"GET_STATS_LIST": body})


def table_inf(table: Table, explained: bool) -> dict[str, Any]:
    """TABLE_INF; SURVEY_DATE is the span of the months and, as in real tables, no statement about each of
    them.
    """
    codes = table.time.codes
    span = f"{codes[-1][:4]}{codes[-1][-2:]}-{codes[0][:4]}{codes[0][-2:]}" if codes else 0
    described = {"DESCRIPTION": table.description} if explained else {}
    return {
        "@id": table.id,
        "STAT_NAME": {"@code": table.stat_code, "$": table.stat_name},
        "GOV_ORG": {"@code": "00200", "$": "総務省"},
        "STATISTICS_NAME": table.stat_name,
        "TITLE": {"@no": table.title_no, "$": table.title},
        "CYCLE": "月次",
        "SURVEY_DATE": span,
        "OPEN_DATE": table.updated_on.isoformat(),
        "SMALL_AREA": 0,
        "COLLECT_AREA": "都道府県",
        "MAIN_CATEGORY": {"@code": "02", "$": "人口・世帯"},
        "SUB_CATEGORY": {"@code": "04", "$": "人口移動"},
        "OVERALL_TOTAL_NUMBER": table.total,
        "UPDATED_DATE": table.updated_on.isoformat(),
        "STATISTICS_NAME_SPEC": {"TABULATION_CATEGORY": table.stat_name, "TABULATION_SUB_CATEGORY1": "月次"},
        **described,
        "TITLE_SPEC": {"TABLE_NAME": table.title},
    }


def class_inf(table: Table, wanted: dict[str, frozenset[str]]) -> dict[str, Any]:
    """CLASS_INF: follows the conditions, not the page."""
    return {"CLASS_OBJ": _one_or_list([_class_obj(axis, wanted.get(axis.id)) for axis in table.all_axes])}


def _class_obj(axis: Axis, wanted: frozenset[str] | None) -> dict[str, Any]:
    members = [_class(member) for member in axis.members if wanted is None or member.code in wanted]
    return {"@id": axis.id, "@name": axis.name, "CLASS": _one_or_list(members)}


def _class(member: Member) -> dict[str, str]:
    shown = {"@code": member.code, "@name": member.name, "@level": member.level}
    if member.unit is not None:
        shown["@unit"] = member.unit
    if member.parent is not None:
        shown["@parentCode"] = member.parent
    return shown


def _one_or_list(items: Sequence[Any]) -> Any:
    """A single element is served as an object, several as an array."""
    return items[0] if len(items) == 1 else list(items)


def _data_inf(table: Table, query: Query) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if table.notes:
        data["NOTE"] = _one_or_list([{"@char": mark, "$": text} for mark, text in table.notes.items()])
    if table.annotations and query.flags["annotationGetFlg"] == "Y":
        texts = [{"@annotation": mark, "$": text} for mark, text in table.annotations.items()]
        data["ANNOTATION"] = _one_or_list(texts)
    data["VALUE"] = "@@rows@@"
    return data


def _values(table: Table, query: Query, rows: Sequence[Row]) -> str:
    """VALUE; written by hand because a page holds up to 100,000 rows."""
    keys = [axis.id for axis in table.axes]
    unit = "" if table.unit is None else f',"@unit":{one_line(table.unit)}'
    heads: dict[tuple[str, ...], str] = {}
    tails: dict[str, str] = {}
    written = []
    for codes, time, text in rows:
        head = heads.get(codes)
        if head is None:
            head = heads[codes] = "".join(
                f'"@{key}":{one_line(code)},' for key, code in zip(keys, codes, strict=True)
            )
        tail = tails.get(text)
        if tail is None:
            tail = tails[text] = (
                f"{unit}{_annotation(table, query, text)},{one_line({'$': _shown(text, query)})[1:]}"
            )
        written.append(f'{{{head}"@time":"{time}"{tail}')
    return written[0] if len(written) == 1 else f"[{','.join(written)}]"


def _annotation(table: Table, query: Query, text: str) -> str:
    if text in table.annotations and query.flags["annotationGetFlg"] == "Y":
        return f',"@annotation":{one_line(text)}'
    return ""


def _shown(text: str, query: Query) -> str:
    """The text, or what replaceSpChars puts in place of a mark."""
    return text if _NUMBER.fullmatch(text) else _REPLACED.get(query.flags["replaceSpChars"], text)


def _survey(table: Table) -> dict[str, Any]:
    return {
        "@id": table.stat_code,
        "STAT_NAME": {"@code": table.stat_code, "$": table.stat_name},
        "GOV_ORG": {"@code": "00200", "$": "総務省"},
    }


def _listed(table: Table, params: Params) -> bool:
    code = params.get("statsCode", "")
    if code and not re.fullmatch(r"[0-9]{5}|[0-9]{8}", code):
        raise ApiError(102, "statsCode")
    return table.stat_code.startswith(code) and _updated(table, params) and _worded(table, params)


def _updated(table: Table, params: Params) -> bool:
    asked = params.get("updatedDate")
    if not asked:
        return True
    if not re.fullmatch(r"[0-9]{4}|[0-9]{6}|[0-9]{8}(-[0-9]{8})?", asked):
        raise ApiError(102, "updatedDate")
    day = f"{table.updated_on:%Y%m%d}"
    first, _, last = asked.partition("-")
    return first <= day <= last if last else day.startswith(first)


def _worded(table: Table, params: Params) -> bool:
    text = f"{table.title} {table.stat_name}"
    return any(
        all(
            (word.removeprefix("NOT ").strip() in text) != word.startswith("NOT ")
            for word in part.split(" AND ")
        )
        for part in params.get("searchWord", "").replace(" NOT ", " AND NOT ").split(" OR ")
    )
