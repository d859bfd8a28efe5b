"""An ODCS document → `Contract`: walks a document that satisfies the standard and collects what this product needs.

Every fault is noted with its line and all are raised together.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from kpi_warehouse.contract import (
    PERIOD_END,
    Column,
    Contract,
    EstatSource,
    FileSource,
    FixedAxis,
    Rule,
    Sla,
    SmallCells,
)
from kpi_warehouse.contract_embargo import embargo_of
from kpi_warehouse.contract_file import ContractFile, Key, bytes_of
from kpi_warehouse.contract_form import form_of
from kpi_warehouse.contract_layout import layout_of
from kpi_warehouse.japanese.areas import KINDS, Areas, areas
from kpi_warehouse.readers.estat_time import CYCLES, Cycle
from kpi_warehouse.settings import settings

# logicalType → the physicalTypes it may have; never float, so that a number is published as it was delivered.
SQL_TYPES = {
    "string": ("text",),
    "date": ("date",),
    "integer": ("integer", "bigint"),
    "number": ("numeric",),
    "boolean": ("boolean",),
}
# Words that stand in the place of a feed in commands (`kpi load undo`).
TAKEN_NAMES = ("undo",)
SEVERITIES = ("critical", "question", "warning", "info")
SCOPES = ("table", "rows")
FORMATS = ("workbook", "delimited", "json")
REVISIONS = ("ask", "accept")
COVERS = ("periods", "rows")
# What only a person knows is marked so in a draft.
TO_BE_CHECKED = "（要確認）"
_NAME = re.compile(r"[a-z][a-z0-9_]*")

# What a file says of every value beside the value itself; the same for all departmental feeds, so no contract repeats it.
# The period of a value has a start, which the contract declares, and an end: both belong to its key.
MEASURE_COLUMNS = (
    ("value_mark", "記号", "text", "数値の代わりに書かれた記号。意味は契約の marks にある。"),
    ("value_text", "原文", "text", "セルに書かれたままの文字。"),
    ("unit", "単位", "text", "値の単位。"),
    ("qualifier", "限定語", "text", "約・以上・延べ・予定など、数値に付された語。"),
    (
        "value_status",
        "値の種類",
        "text",
        "actual 実績、partial 年度途中、planned 予定、target 目標、not_applicable 対象外など。",
    ),
    (
        PERIOD_END,
        "期間の末日",
        "date",
        "値が及ぶ期間の最後の日。初日とともにキーをなす。ある日の値では初日と同じ。",
    ),
    ("note", "注記", "text", "セルに付された注記。"),
    ("public_on", "公表日", "date", "この日まで公表しない、と提供に書かれた日。空なら指定なし。"),
)


def read_contract(path: Path) -> Contract:
    """Read and check one contract file.

    Raises:
        ContractError: with file, line, key, what was found and what was expected, one line per fault.
    """
    return _read(path, bytes_of(path))


# The watcher reads every contract in every round: only one whose bytes have changed is checked again.
@lru_cache(maxsize=256)
def _read(path: Path, body: bytes) -> Contract:
    file = ContractFile.parse(path, body)
    file.check_standard()
    if file.document.get("status") == "active":
        file.forbid(TO_BE_CHECKED, "確かめて書き直した文（下書きの印が残っています）")
    contract = _Document(file).contract()
    file.raise_faults()
    assert contract is not None
    return contract


class _Document:
    """A contract that already satisfies the standard."""

    def __init__(self, file: ContractFile) -> None:
        self.file = file
        self.document: dict[str, Any] = file.document

    def contract(self) -> Contract | None:
        document, file = self.document, self.file
        feed = document["id"]
        if not _NAME.fullmatch(feed):
            file.fault(("id",), feed, "小文字の英数字と _ からなる名前")
        if feed in TAKEN_NAMES:
            file.fault(("id",), feed, f"コマンドの言葉でない名前（{'、'.join(TAKEN_NAMES)} 以外）")
        if file.path.name != f"{feed}.odcs.yaml":
            file.fault(("id",), feed, f"ファイル名と同じ id（{file.path.name.removesuffix('.odcs.yaml')}）")
        for key, expected in (
            ("name", "日本語の名称"),
            ("status", "active など"),
            ("description", "purpose・limitations と credit"),
            ("servers", "取得元ひとつ"),
            ("schema", "表ひとつ"),
            ("slaProperties", "frequency と latency"),
            ("team", "所管課の name"),
        ):
            if not document.get(key):
                file.fault((key,), document.get(key), expected)
        if file.faults:
            return None
        table = document["schema"][0]
        columns = tuple(self._column(at, column) for at, column in enumerate(table.get("properties") or []))
        source = self._source()
        if isinstance(source, FileSource):
            columns += tuple(_measure_column(*column) for column in MEASURE_COLUMNS)
        self._check_columns(columns)
        rules = tuple(self._rule(at, rule) for at, rule in enumerate(table.get("quality") or []))
        if isinstance(source, FileSource):
            self._check_totals(source, rules)
        description = document["description"]
        custom = _custom(description)
        for name in ("licence", "credit"):
            if not custom.get(name):
                file.fault(("description", "customProperties"), None, f"{name}（ライセンスと出典の表記）")
        sla = self._sla()
        embargo = embargo_of(self.document["slaProperties"], source, file.fault)
        if file.faults:
            return None
        return Contract(
            feed=feed,
            title_ja=document["name"],
            version=document["version"],
            status=document["status"],
            tags=tuple(document.get("tags") or ()),
            description="\n\n".join(
                str(description[part]) for part in ("purpose", "usage", "limitations") if part in description
            ),
            licence=custom["licence"],
            credit=custom["credit"],
            api_credit=custom.get("apiCredit", ""),
            owner=document["team"]["name"],
            source=source,
            columns=columns,
            rules=rules,
            gate_views=_custom(table).get("gateViews", {}),
            sla=sla,
            embargo=embargo,
            path=file.path,
            sha256=hashlib.sha256(file.text.encode()).hexdigest(),
        )

    def _column(self, at: int, column: dict[str, Any]) -> Column:
        here = ("schema", 0, "properties", at)
        custom = _custom(column)
        allowed = SQL_TYPES.get(column.get("logicalType", ""), ())
        if not allowed:
            self.file.fault((*here, "logicalType"), column.get("logicalType"), " / ".join(SQL_TYPES))
        elif column.get("physicalType") not in allowed:
            self.file.fault((*here, "physicalType"), column.get("physicalType"), " / ".join(allowed))
        for key in ("businessName", "description"):
            if not column.get(key):
                self.file.fault((*here, key), None, "利用者が読む日本語の説明")
        codes = {}
        for number, entry in enumerate(column.get("enum") or []):
            if not isinstance(entry["value"], str):
                # Unquoted 01000 is octal in YAML 1.1 and would arrive as 512.
                self.file.fault(
                    (*here, "enum", number, "value"), entry["value"], '引用符で囲んだコード（例 "01000"）'
                )
            elif entry["value"] in codes:
                self.file.fault((*here, "enum", number, "value"), entry["value"], "重複のないコード")
            codes[str(entry["value"])] = entry.get("label", "")
        listed = self._areas((*here, "customProperties"), custom.get("areas"), codes)
        return Column(
            name=column["name"],
            label_ja=column.get("businessName", ""),
            source_name=column.get("physicalName"),
            sql_type=column.get("physicalType", ""),
            required=bool(column.get("required")),
            is_key=bool(column.get("primaryKey")),
            description_ja=column.get("description", ""),
            unit=custom.get("unit"),
            codes=dict(listed.names) if listed else codes,
            areas=listed,
            marks=custom.get("marks", {}),
            axis_name=custom.get("axisName"),
            synonyms={str(code): tuple(said) for code, said in custom.get("synonyms", {}).items()},
            mark_status={str(mark): str(status) for mark, status in custom.get("markStatus", {}).items()},
            units={str(code): str(unit) for code, unit in custom.get("units", {}).items()},
            seed_ids={str(code): str(seed) for code, seed in custom.get("seedId", {}).items()},
        )

    def _areas(self, here: Key, kind: object, codes: dict[str, str]) -> Areas | None:
        """The list of areas that a column takes its codes from."""
        if kind is None:
            return None
        if kind not in KINDS:
            self.file.fault(here, kind, f"areas：{' / '.join(KINDS)}")
            return None
        if codes:
            self.file.fault(here, kind, "areas か enum のどちらか一方")
        return areas(settings().project, kind)

    def _check_columns(self, columns: tuple[Column, ...]) -> None:
        here = ("schema", 0, "properties")
        names = [column.name for column in columns]
        keys = [column for column in columns if column.is_key]
        measured = [column for column in columns if column.marks]
        for name in {name for name in names if names.count(name) > 1}:
            self.file.fault(here, name, "重複のない列名")
        if not keys or keys[0].sql_type != "date":
            self.file.fault(
                here, keys[0].name if keys else None, "最初の primaryKey が日付の列（対象期間）であること"
            )
        for column in keys[1:]:
            if not column.codes and column.name != PERIOD_END:
                self.file.fault(here, column.name, "キー列の enum（閉じたコード表）")
        if len(measured) != 1:
            self.file.fault(here, [column.name for column in measured], "marks を持つ値の列がちょうどひとつ")
        elif f"{measured[0].name}_mark" not in names:
            self.file.fault(here, names, f"記号を残す列 {measured[0].name}_mark")

    def _rule(self, at: int, rule: dict[str, Any]) -> Rule:
        here = ("schema", 0, "quality", at)
        custom = _custom(rule)
        if rule.get("severity") not in SEVERITIES:
            self.file.fault((*here, "severity"), rule.get("severity"), " / ".join(SEVERITIES))
        if custom.get("scope") not in SCOPES:
            self.file.fault((*here, "customProperties"), custom.get("scope"), "scope：table / rows")
        if rule.get("severity") == "question" and custom.get("scope", "table") != "table":
            self.file.fault(
                (*here, "severity"),
                "question（scope：rows）",
                "scope：table（問い合わせは提供全体に対するもの。行の保留は critical）",
            )
        if not rule.get("name") or not rule.get("description"):
            self.file.fault(here, rule.get("name"), "name と、理由を述べた日本語の description")
        implementation = rule.get("implementation")
        if (
            rule.get("engine") != "greatExpectations"
            or not isinstance(implementation, dict)
            or "type" not in implementation
        ):
            self.file.fault(
                here, rule.get("engine"), "type: custom・engine: greatExpectations・implementation.type"
            )
            implementation = {"type": ""}
        return Rule(
            name=rule.get("name", ""),
            severity=rule.get("severity", "critical"),
            scope=custom.get("scope", "table"),
            reason_ja=rule.get("description", ""),
            expectation=implementation["type"],
            kwargs=implementation.get("kwargs", {}),
            proves_key=bool(custom.get("provesKey")),
        )

    def _check_totals(self, source: FileSource, rules: tuple[Rule, ...]) -> None:
        """Totals that the layout takes and no rule looks at would pass whatever they say."""
        taken = any(
            table.of_kind("row_total") or table.rows.totals or table.rows.subtotals
            for table in source.layout.tables
        )
        if taken and not any("{checks}" in str(rule.kwargs) for rule in rules):
            names = [rule.name for rule in rules]
            self.file.fault(
                ("schema", 0, "quality"), names, "layout の計を確かめる検査（{checks} を読むもの）"
            )

    def _source(self) -> EstatSource | FileSource:
        custom = _custom(self.document["servers"][0])
        return self._file_source(custom) if "layout" in custom else self._estat_source(custom)

    def _at(self, name: str) -> Key:
        """Where a custom property of the server stands."""
        entries = [entry["property"] for entry in self.document["servers"][0].get("customProperties") or []]
        here: Key = ("servers", 0, "customProperties")
        return (*here, entries.index(name), "value") if name in entries else here

    def _file_source(self, custom: dict[str, Any]) -> FileSource:
        at, file = self._at, self.file
        if not custom.get("fileNames") and not custom.get("url"):
            file.fault(at("fileNames"), None, "fileNames（ファイル名の型の並び）か url")
        if custom.get("format") not in FORMATS:
            file.fault(at("format"), custom.get("format"), " / ".join(FORMATS))
        if custom.get("revisions", "ask") not in REVISIONS:
            file.fault(at("revisions"), custom.get("revisions"), " / ".join(REVISIONS))
        if custom.get("covers", "periods") not in COVERS:
            file.fault(at("covers"), custom.get("covers"), " / ".join(COVERS))

        def fault(key: Key, found: object, expected: str) -> None:
            file.fault((*at(str(key[0])), *key[1:]), found, expected)

        layout = layout_of(custom, fault)
        return FileSource(
            file_names=tuple(custom.get("fileNames") or ()),
            format=custom.get("format", "workbook"),
            encoding=custom.get("encoding"),
            delimiter=custom.get("delimiter"),
            records=str(custom.get("records", "")),
            url=custom.get("url"),
            revisions=custom.get("revisions", "ask"),
            covers=custom.get("covers", "periods"),
            layout=layout,
            form=form_of(custom, layout, fault),
            not_personal=self._not_personal(custom),
            small_cells=self._small_cells(custom),
        )

    def _not_personal(self, custom: dict[str, Any]) -> tuple[str, ...]:
        """Headings that are no personal data, each with the reason why."""
        found = custom.get("notPersonal") or {}
        if not isinstance(found, dict) or not all(
            isinstance(heading, str) and isinstance(reason, str) and reason.strip()
            for heading, reason in found.items()
        ):
            self.file.fault(self._at("notPersonal"), found, "見出し: 個人情報でない理由")
            return ()
        return tuple(found)

    def _small_cells(self, custom: dict[str, Any]) -> SmallCells | None:
        """Which counts are too small to be shown."""
        found = custom.get("smallCells")
        if found is None:
            return None
        keys = {column["name"]: column for column in self.document["schema"][0].get("properties") or []}
        codes = {entry["value"] for entry in keys.get("measure_code", {}).get("enum") or []}
        below, axis, measures = (
            (found.get(key) for key in ("below", "axis", "measures"))
            if isinstance(found, dict)
            else (None,) * 3
        )
        if not isinstance(below, int) or below < 2:
            self.file.fault(
                self._at("smallCells"), below, "below：2 以上の整数（これより小さい数を公表しない）"
            )
        elif axis not in keys or not keys[axis].get("primaryKey"):
            self.file.fault(self._at("smallCells"), axis, "axis：値を分けるキー列の名前")
        elif not isinstance(measures, list) or not measures or not set(measures) <= codes:
            self.file.fault(
                self._at("smallCells"),
                measures,
                f"measures：指標のコードの並び（{'、'.join(sorted(codes))}）",
            )
        else:
            return SmallCells(below, str(axis), tuple(measures))
        return None

    def _estat_source(self, custom: dict[str, Any]) -> EstatSource:
        at = self._at
        for name in ("statsDataId", "statsCode", "firstPeriod"):
            if not isinstance(custom.get(name), str):
                self.file.fault(at(name), custom.get(name), f"{name}（引用符で囲んだ文字列）")
        if not custom.get("titleHolds"):
            self.file.fault(at("titleHolds"), None, "titleHolds（表題に含まれるべき語の並び）")
        cycle = self._cycle()
        first = cycle.read(str(custom.get("firstPeriod")))
        if first is None:
            self.file.fault(at("firstPeriod"), custom.get("firstPeriod"), f"firstPeriod：{cycle.form}")
        after = custom.get("publishedAfterDays", 0)
        if not isinstance(after, int) or after < 0:
            self.file.fault(at("publishedAfterDays"), after, "publishedAfterDays：0 以上の日数")
            after = 0
        return EstatSource(
            table_id=str(custom.get("statsDataId")),
            stats_code=str(custom.get("statsCode")),
            title_holds=tuple(custom.get("titleHolds") or ()),
            cycle=cycle,
            first_period=first or date.min,
            reread_months=int(custom.get("rereadMonths", 3)),
            published_after_days=after,
            fixed_axes=tuple(
                FixedAxis(axis["axisHolds"], axis["code"]) for axis in custom.get("fixedAxes", [])
            ),
        )

    def _cycle(self) -> Cycle:
        """What one period of the table is: the `periodKind` of the column that says which period a row speaks of."""
        properties = self.document["schema"][0].get("properties") or [{}]
        kind = _custom(properties[0]).get("periodKind")
        if kind not in CYCLES:
            here = ("schema", 0, "properties", 0, "customProperties")
            self.file.fault(here, kind, f"periodKind：{' / '.join(CYCLES)}")
        return CYCLES.get(str(kind), CYCLES["月"])

    def _sla(self) -> Sla:
        properties = {entry.get("property"): entry for entry in self.document["slaProperties"]}
        frequency, latency = properties.get("frequency", {}), properties.get("latency", {})
        cron = frequency.get("schedule")
        if not isinstance(cron, str) or len(cron.split()) != 5:
            self.file.fault(("slaProperties",), cron, "frequency の schedule：5項目の cron")
        if not isinstance(latency.get("value"), int):
            self.file.fault(("slaProperties",), latency.get("value"), "latency の value：待つ日数（整数）")
        return Sla(cron=str(cron), wait_days=int(latency.get("value") or 0))


def _measure_column(name: str, label_ja: str, sql_type: str, description_ja: str) -> Column:
    is_key = name == PERIOD_END
    return Column(name, label_ja, None, sql_type, is_key, is_key, description_ja, None, {}, {}, None)


def _custom(element: dict[str, Any]) -> dict[str, Any]:
    """The `customProperties` of an ODCS element as a dictionary."""
    return {entry["property"]: entry["value"] for entry in element.get("customProperties") or []}
