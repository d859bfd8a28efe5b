"""A first draft of a contract from a sample file of a division. What only a person knows is marked （要確認）.

The table is found by its shape: headings above rows that hold numbers. The draft is then used at once to read the sample, so that
its author sees which cells it does not account for yet.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from kpi_warehouse.contract_document import TO_BE_CHECKED
from kpi_warehouse.contract_draft_table import (
    TOTALS,
    Found,
    find_table,
    has_gaps,
    is_figure,
    is_period,
    kind_of,
    label_of,
)
from kpi_warehouse.contract_file import dump_yaml
from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.numbers import read_numbers
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import fold, search_key
from kpi_warehouse.readers.delimited import read_delimited
from kpi_warehouse.readers.grid import Book, Cell
from kpi_warehouse.readers.layout_headers import Heading
from kpi_warehouse.readers.workbook import read_workbook

WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
NOTES = {"備考", "摘要", "注", "注記", "備考欄"}
UNITS = {"単位"}
PERIOD_HEADINGS = {
    "年度",
    "時点",
    "期間",
    "年月",
    "月",
    "年",
    "開催日",
    "日時",
    "対象期間",
    "対象年度",
    "基準日",
}
NUMBERINGS = {"no", "no.", "番号", "項番"}
STATUS_HEADINGS = {"値の種類", "実績の種類", "状態"}
STATUS_WORDS = {
    "実績": "actual",
    "累計": "actual",
    "年度途中": "partial",
    "速報": "provisional",
    "予定": "planned",
}
MARKS = {"-": "該当なし", "－": "該当なし", "…": "不詳", "未定": "まだ決まっていない"}
MARK_STATUS = {"-": "not_applicable", "－": "not_applicable", "未定": "planned"}
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
_BRACKETED = re.compile(r"^(.*?)[（(]([^（()）]+)[)）]$")


def open_sample(path: Path) -> tuple[Book, dict[str, Any]]:
    """The sample, and how the contract says that such a file is read.

    Raises:
        UnreadableFile: nothing of it can be read.
        KpiError: a JSON file.
    """
    body = path.read_bytes()
    if path.suffix.lower() in WORKBOOKS:
        return read_workbook(body, path.name), {"format": "workbook"}
    if path.suffix.lower() == ".json":
        raise KpiError(
            "JSON からは下書きを作れません。line_subscribers の契約を写して直してください。", "draft.json"
        )
    book = read_delimited(body, path.name, encoding=None, delimiter=None)
    return book, {"format": "delimited", "encoding": book.encoding}


def draft_from_sample(feed: str, title_ja: str, owner: str, path: Path) -> str:
    """YAML text of a contract in the state `draft`, whose layout is that of the sample.

    Raises:
        UnreadableFile, KpiError: the sample cannot be read, or no table was found in it.
    """
    book, how = open_sample(path)
    found = find_table(book)
    _columns(found)
    properties: list[dict[str, Any]] = [
        {"property": "fileNames", "value": [f"*{_stem(path)}*{path.suffix}"], "description": TO_BE_CHECKED}
    ]
    properties += [{"property": name, "value": value} for name, value in how.items()]
    ignored = [sheet.name for sheet in book.sheets if sheet is not found.sheet]
    layout: dict[str, Any] = {"outside": _outside(found)}
    if ignored:
        layout["ignoreSheets"] = {name: f"読まないシート。{TO_BE_CHECKED}" for name in ignored}
    totals = sorted({label_of(row) for row in found.rows if label_of(row) in TOTALS})
    table: dict[str, Any] = {"name": "results", "year": "fiscal", "columns": found.columns}
    if totals:
        table["rows"] = {"totals": totals}
    if has_gaps(found):
        table["blank"] = "skip"
    layout["tables"] = [table]
    asked = f"year は年度か暦年か、blank: skip は空欄を読み飛ばしてよいか。{TO_BE_CHECKED}"
    properties += [
        {"property": "revisions", "value": "ask"},
        {"property": "layout", "value": layout, "description": asked},
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
                "properties": _properties(found),
                "quality": [TOTALS_HOLD] if totals or _has_row_total(found) else [],
            }
        ],
        "slaProperties": [
            {"property": "frequency", "value": 1, "unit": "y", "scheduler": "cron", "schedule": "0 9 10 5 *"},
            {"property": "latency", "value": 30, "unit": "d"},
        ],
        "team": {"name": owner},
    }
    text = dump_yaml(document)
    return (
        f"# ODCS data contract: everything known about this feed, and the only place that knows it.\n{text}"
    )


def _has_row_total(found: Found) -> bool:
    return any(column["is"] == "row_total" for column in found.columns)


def _columns(found: Found) -> None:
    """Say of each column what it is: by its heading, else by what stands in it."""
    named = [heading for heading in found.headings if heading.parts]
    wide = any(kind_of(*heading.parts) for heading in named)
    long = not wide and any(search_key(heading.text) in map(search_key, PERIOD_HEADINGS) for heading in named)
    period_column = False
    telling = _telling(found, named)
    # Where one column of texts does not tell the rows apart, the others do it with it.
    texts = [row[telling].text for row in found.rows] if telling is not None else []
    alone = len(set(filter(None, texts))) == len(texts)
    for heading in named:
        cells = [row[heading.column] for row in found.rows if row[heading.column].value is not None]
        key = search_key(heading.text)
        text, unit = _unit(heading)
        if kind := kind_of(*heading.parts):
            found.kinds.add(kind)
            if not period_column:
                found.columns.append({"heading": "period", "is": "value"})
                period_column = True
        elif key in map(search_key, NOTES):
            found.columns.append({"heading": [text], "is": "note", "optional": True})
        elif key in map(search_key, UNITS):
            found.columns.append({"heading": [text], "is": "unit"})
        elif wide and key in map(search_key, TOTALS):
            found.columns.append({"heading": [text], "is": "row_total"})
        elif key in map(search_key, PERIOD_HEADINGS):
            found.columns.append({"heading": [text], "is": "period"})
            found.kinds |= {kind for cell in cells if (kind := kind_of(cell.text))}
        elif key in map(search_key, STATUS_HEADINGS):
            words = dict.fromkeys(fold(cell.text) for cell in cells)
            statuses = {word: STATUS_WORDS.get(word, "actual") for word in words}
            found.columns.append({"heading": [text], "is": "status", "statuses": statuses})
        elif key in NUMBERINGS:
            found.columns.append({"heading": [text], "is": "ignored", "reason": f"行の番号。{TO_BE_CHECKED}"})
        elif cells and all(is_figure(cell) or fold(cell.text) in MARKS for cell in cells):
            _value(found, text, unit, cells, long=long)
        else:
            _labels(
                found, text, cells, measures=wide and heading.column == telling, axis=not wide or not alone
            )
    if not (wide or long):
        found.kinds = {"年度不明"}


def _value(found: Found, text: str, unit: str | None, cells: list[Cell], *, long: bool) -> None:
    code = f"m{len(found.measures) + 1}"
    found.measures[code] = text
    written = unit or next(
        (q.unit for c in cells if isinstance(c.value, str) for q in read_numbers(c.text)[:1]), None
    )
    column: dict[str, Any] = {"heading": [text], "is": "value", "measure": code}
    if written:
        column["unit"] = found.units[code] = written
    column["period"] = "row" if long else "年度不明"
    found.columns.append(column)


def _telling(found: Found, named: list[Heading]) -> int | None:
    """The column of texts that tells most rows apart."""
    texts = {
        heading.column: len(
            {row[heading.column].text for row in found.rows if isinstance(row[heading.column].value, str)}
        )
        for heading in named
        if search_key(heading.text) not in NUMBERINGS
        and not any(is_figure(row[heading.column]) for row in found.rows)
    }
    return max(texts, key=lambda column: texts[column]) if texts else None


def _labels(found: Found, text: str, cells: list[Cell], *, measures: bool, axis: bool) -> None:
    """A column of texts: what tells the measures apart, an axis, or (also with many texts) nothing of ours."""
    labels = [
        label
        for label in dict.fromkeys(take_references(fold(cell.text))[0] for cell in cells)
        if label not in TOTALS
    ]
    if measures:
        found.measures = {f"m{at}": label for at, label in enumerate(labels, 1)}
        found.units |= _row_units(found, cells)
        found.columns.append({"heading": [text], "is": "measure"})
    elif 0 < len(labels) <= 100 and axis:
        name = f"axis{len(found.axes) + 1}_code"
        found.axes[name] = (text, labels)
        found.columns.append({"heading": [text], "is": "axis", "column": name})
    else:
        reason = f"指標を決めない欄。{TO_BE_CHECKED}"
        found.columns.append({"heading": [text], "is": "ignored", "reason": reason})


def _row_units(found: Found, labels: list[Cell]) -> dict[str, str]:
    """The unit that the figures of a measure's rows are written with: code → the most frequent one."""
    units: dict[str, Counter[str]] = {}
    codes = {label: code for code, label in found.measures.items()}
    for row in found.rows:
        label = next((cell for cell in labels if any(cell is each for each in row)), None)
        code = codes.get(take_references(fold(label.text))[0]) if label is not None else None
        if code is None:
            continue
        for cell in row:
            if isinstance(cell.value, str) and is_figure(cell):
                written = read_numbers(take_references(fold(cell.text))[0])[0].unit
                units.setdefault(code, Counter()).update([written] if written else [])
    return {code: counted.most_common(1)[0][0] for code, counted in units.items() if counted}


def _unit(heading: Heading) -> tuple[str, str | None]:
    """The heading without a unit in brackets, and that unit."""
    match = _BRACKETED.match(heading.text)
    return (match[1].strip(), match[2]) if match and match[1].strip() else (heading.text, heading.unit)


def _outside(found: Found) -> list[dict[str, str]]:
    """A pattern for every line outside the table; what follows a table is a note or to be looked at."""
    lines: list[dict[str, str]] = []
    seen = set()
    for at, row in enumerate(found.sheet.rows):
        if found.top <= at <= found.bottom:
            continue
        for cell in row:
            text = fold(cell.text)
            if cell.value is None or text in seen:
                continue
            seen.add(text)
            line = _line(text, above=at < found.top)
            # Several cells in a row below may be another table: its author must see that it is not read yet.
            if line["is"] != "ignored" or sum(each.value is not None for each in row) == 1:
                lines.append(line)
    return lines


def _line(text: str, *, above: bool) -> dict[str, str]:
    if re.match("単位[:：]", text):
        return {"pattern": r"^単位[:：]\s*(?P<unit>\S+)", "is": "unit"}
    if re.search("月末現在$", text) and is_period(text):
        return {"pattern": "^(?P<period>.+?月末)現在$", "is": "as_of"}
    if text.startswith(("※", "注", "(注", "*")):
        return {"pattern": r"^[※注*(（]", "is": "footnote"}
    beginning = f"^{re.escape(text[:20]).replace(chr(92) + ' ', ' ')}"
    if above:
        return {"pattern": beginning, "is": "title"}
    return {"pattern": beginning, "is": "ignored", "reason": f"表の外の文。{TO_BE_CHECKED}"}


def _properties(found: Found) -> list[dict[str, Any]]:
    kinds = sorted(found.kinds) or ["年度"]
    keys = [
        ("period", "対象期間の初日", "date", f"期間の初日。{TO_BE_CHECKED}", {}),
        (
            "period_kind",
            "期間の種類",
            "string",
            "種類の違う期間の値は、比べても足してもならない。",
            {k: k for k in kinds},
        ),
        *(
            (
                name,
                text,
                "string",
                f"{text}。{TO_BE_CHECKED}",
                {f"c{at}": label for at, label in enumerate(labels, 1)},
            )
            for name, (text, labels) in found.axes.items()
        ),
        (
            "measure_code",
            "指標",
            "string",
            f"何を数えたか。コードを英語の名前に直す。{TO_BE_CHECKED}",
            found.measures,
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
        if name == "measure_code" and found.units:
            one["customProperties"] = [{"property": "units", "value": found.units}]
        properties.append(one)
    properties.append(
        {
            "name": "value",
            "businessName": "値",
            "logicalType": "number",
            "physicalType": "numeric",
            "description": f"値の意味と単位。{TO_BE_CHECKED}",
            "customProperties": [
                {"property": "marks", "value": MARKS, "description": f"数値の代わりの記号。{TO_BE_CHECKED}"},
                {"property": "markStatus", "value": MARK_STATUS},
            ],
        }
    )
    return properties


def _stem(path: Path) -> str:
    """The part of the name that stays from year to year."""
    return re.split(r"[（(_]|[RＲ令]", path.stem)[0].strip() or path.stem
