"""The contract model: one ODCS file is the single home of everything known about a feed.

`load_contract` reads `expectations/<feed>.odcs.yaml`, checks it against the Open Data Contract Standard (the schema and
model of the standard's own package) and against what this product needs on top, and returns a `Contract`. Every error
names file, line and key, what was found and what was expected.

Source: Open Data Contract Standard 3.2, https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from kpi_warehouse.contract_file import ContractFile, Key
from kpi_warehouse.errors import ContractError

Severity = Literal["critical", "warning", "info"]
Scope = Literal["table", "rows"]

# logicalType → the physicalTypes it may have; never float, so that a number is published as it was delivered.
SQL_TYPES = {
    "string": ("text",),
    "date": ("date",),
    "integer": ("integer", "bigint"),
    "number": ("numeric",),
    "boolean": ("boolean",),
}
SEVERITIES = ("critical", "warning", "info")
SCOPES = ("table", "rows")
_CODE_POINTERS = re.compile(r"[a-z][a-z0-9_]*")
_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Column:
    """One column of the feed: its name here and in the source, its type, and the closed lists that bound it."""

    name: str
    label_ja: str
    source_name: str | None
    sql_type: str
    required: bool
    is_key: bool
    description_ja: str
    unit: str | None
    codes: dict[str, str]
    marks: dict[str, str]
    axis_name: str | None


@dataclass(frozen=True)
class Rule:
    """One expectation beyond what the schema itself says: a Great Expectations configuration with severity and reason.

    `proves_key`: no key comes twice where this rule holds, so no index needs to be built to see it.
    """

    name: str
    severity: Severity
    scope: Scope
    reason_ja: str
    expectation: str
    kwargs: dict[str, Any]
    proves_key: bool = False


@dataclass(frozen=True)
class FixedAxis:
    """An axis that the table may have: recognised by a code it holds, narrowed to one code."""

    holds: str
    code: str


@dataclass(frozen=True)
class EstatSource:
    """Where an e-Stat feed comes from. `first_period` is ``YYYY-MM``; `reread_months` counts months before the newest."""

    table_id: str
    stats_code: str
    title_holds: tuple[str, ...]
    first_period: str
    reread_months: int
    fixed_axes: tuple[FixedAxis, ...]
    place_columns: ClassVar[dict[str, str]] = {"source_page": "integer not null"}


@dataclass(frozen=True)
class Sla:
    """When the feed is due: a cron line in Asia/Tokyo, and how many days a month may be waited for after it."""

    cron: str
    wait_days: int
    timezone: str = "Asia/Tokyo"
    poke_minutes: int = 360


@dataclass(frozen=True)
class Contract:
    """A feed as its contract declares it. `sha256` is of the file's bytes: it tells which text was in force."""

    feed: str
    title_ja: str
    version: str
    status: str
    tags: tuple[str, ...]
    description: str
    licence: str
    credit: str
    api_credit: str
    owner: str
    source: EstatSource
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    gate_views: dict[str, str]
    sla: Sla
    path: Path
    sha256: str

    @property
    def key(self) -> tuple[Column, ...]:
        """Key columns in the contract's order; the first is always the period."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def period(self) -> Column:
        """The column that says which month a row speaks of."""
        return self.key[0]

    @property
    def axes(self) -> tuple[Column, ...]:
        """Key columns with a closed code list, that is every axis of the source but time."""
        return tuple(column for column in self.key if column.codes)

    @property
    def value(self) -> Column:
        """The measured column (the one that has a dictionary of missing marks)."""
        return next(column for column in self.columns if column.marks)

    @property
    def mark(self) -> Column:
        """The column that keeps the source's mark where the value is no number."""
        return next(column for column in self.columns if column.name == f"{self.value.name}_mark")

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return tuple(column.name for column in self.key)

    @property
    def attributes(self) -> tuple[Column, ...]:
        """Columns that say more about a value: neither key nor value nor mark."""
        return tuple(
            column for column in self.columns if not column.is_key and column not in (self.value, self.mark)
        )

    @property
    def said_columns(self) -> tuple[Column, ...]:
        """Columns that say something about a key; a row is another version when one of them differs."""
        return (self.value, self.mark, *self.attributes)

    @property
    def stage_columns(self) -> tuple[str, ...]:
        """Columns that a reader fills: key, what is said of it, and where the row came from."""
        return (*self.key_names, *(column.name for column in self.said_columns), *self.source.place_columns)


@cache
def contracts(folder: Path) -> tuple[Contract, ...]:
    """Every contract of a folder, in the order of their names.

    Raises:
        ContractError: a file is wrong, or the folder holds none (an empty list would pass every check unseen).
    """
    paths = sorted(folder.glob("*.odcs.yaml"))
    if not paths:
        raise ContractError(f"契約ファイル（*.odcs.yaml）が {folder} にひとつもありません。", "contract.none")
    return tuple(load_contract(path) for path in paths)


def find_contract(folder: Path, feed: str) -> Contract:
    """The contract of one feed.

    Raises:
        ContractError: no such feed; the message lists those there are.
    """
    known = {contract.feed: contract for contract in contracts(folder)}
    if feed not in known:
        raise ContractError(
            f"フィード「{feed}」の契約がありません。あるもの：{'、'.join(known)}", "contract.unknown_feed"
        )
    return known[feed]


def load_contract(path: Path) -> Contract:
    """Read and check one contract file.

    Raises:
        ContractError: with file, line, key, what was found and what was expected, one line per fault.
    """
    file = ContractFile.read(path)
    file.check_standard()
    reader = _Reader(file)
    contract = reader.contract()
    file.raise_faults()
    assert contract is not None
    return contract


class _Reader:
    """Walks a contract that already satisfies the standard and collects what this product needs from it."""

    def __init__(self, file: ContractFile) -> None:
        self.file = file
        self.document: dict[str, Any] = file.document

    def contract(self) -> Contract | None:
        document, file = self.document, self.file
        feed = document["id"]
        if not _CODE_POINTERS.fullmatch(feed):
            file.fault(("id",), feed, "小文字の英数字と _ からなる名前")
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
        self._check_columns(columns)
        rules = tuple(self._rule(at, rule) for at, rule in enumerate(table.get("quality") or []))
        description = document["description"]
        custom = _custom(description)
        for name in ("licence", "credit"):
            if not custom.get(name):
                file.fault(("description", "customProperties"), None, f"{name}（ライセンスと出典の表記）")
        source, sla = self._source(), self._sla()
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
        return Column(
            name=column["name"],
            label_ja=column.get("businessName", ""),
            source_name=column.get("physicalName"),
            sql_type=column.get("physicalType", ""),
            required=bool(column.get("required")),
            is_key=bool(column.get("primaryKey")),
            description_ja=column.get("description", ""),
            unit=custom.get("unit"),
            codes=codes,
            marks=custom.get("marks", {}),
            axis_name=custom.get("axisName"),
        )

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
            if not column.codes:
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

    def _source(self) -> EstatSource:
        custom = _custom(self.document["servers"][0])

        def at(name: str) -> Key:
            entries = [
                entry["property"] for entry in self.document["servers"][0].get("customProperties") or []
            ]
            here: Key = ("servers", 0, "customProperties")
            return (*here, entries.index(name), "value") if name in entries else here

        for name in ("statsDataId", "statsCode", "firstPeriod"):
            if not isinstance(custom.get(name), str):
                self.file.fault(at(name), custom.get(name), f"{name}（引用符で囲んだ文字列）")
        if not custom.get("titleHolds"):
            self.file.fault(at("titleHolds"), None, "titleHolds（表題に含まれるべき語の並び）")
        if not _PERIOD.fullmatch(str(custom.get("firstPeriod"))):
            self.file.fault(at("firstPeriod"), custom.get("firstPeriod"), "firstPeriod：YYYY-MM")
        return EstatSource(
            table_id=str(custom.get("statsDataId")),
            stats_code=str(custom.get("statsCode")),
            title_holds=tuple(custom.get("titleHolds") or ()),
            first_period=str(custom.get("firstPeriod")),
            reread_months=int(custom.get("rereadMonths", 3)),
            fixed_axes=tuple(
                FixedAxis(axis["axisHolds"], axis["code"]) for axis in custom.get("fixedAxes", [])
            ),
        )

    def _sla(self) -> Sla:
        properties = {entry.get("property"): entry for entry in self.document["slaProperties"]}
        frequency, latency = properties.get("frequency", {}), properties.get("latency", {})
        cron = frequency.get("schedule")
        if not isinstance(cron, str) or len(cron.split()) != 5:
            self.file.fault(("slaProperties",), cron, "frequency の schedule：5項目の cron")
        if not isinstance(latency.get("value"), int):
            self.file.fault(("slaProperties",), latency.get("value"), "latency の value：待つ日数（整数）")
        return Sla(cron=str(cron), wait_days=int(latency.get("value") or 0))


def _custom(element: dict[str, Any]) -> dict[str, Any]:
    """The `customProperties` of an ODCS element as a dictionary."""
    return {entry["property"]: entry["value"] for entry in element.get("customProperties") or []}
