"""The receipt of one published number: from the mart back to the rows, the pages, their bytes and what judged them.

The rows are read from accepted history and added up again: by the KPI's definition where it is computed, else the cell that its
division filled in. A receipt whose sum is not the published number is an error, never a receipt.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.periods import read_period
from kpi_warehouse.japanese.widths import Unreadable
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.embargo import SHOWN

PERIOD_ID = re.compile(r"(?:CY|FY)\d{4}|\d{4}-(?:0[1-9]|1[0-2])|CUM\d{4}-\d{4}|AT\d{4}-\d{2}-\d{2}")
FILLED_IN = "kpi_progress"


@dataclass(frozen=True)
class Definition:
    """How a KPI's value comes from one feed: the sum of one column over the rows with these codes, month by month."""

    feed: str
    codes: dict[str, str]
    column: str
    method_ja: str


DEFINITIONS = {
    "K12": Definition(
        feed="estat_migration_monthly",
        codes={"indicator_code": "04", "sex_code": "0", "nationality_code": "60000", "area_code": "43000"},
        column="persons",
        method_ja="転入超過数（国内・総数・移動者・熊本県）の月次の合計",
    )
}


@dataclass(frozen=True)
class Row:
    """One row of accepted history behind the number, and the page or the cell it came from. `filed`: what the file itself says
    where an approved correction (`note`) replaces it."""

    period: date
    value: Decimal | int | None
    mark: str | None
    load_id: int
    page: int
    sha256: str
    known_from: datetime
    cell: str | None = None
    note: str | None = None
    filed: Decimal | None = None

    @property
    def value_text(self) -> str:
        """The value, or the source's mark where there is none."""
        return f"{self.value:,}" if self.value is not None else str(self.mark)

    @property
    def place_ja(self) -> str:
        """Where it stands: the cell of a file, or the page of an answer."""
        return self.cell or f"ページ {self.page}"


@dataclass(frozen=True)
class Page:
    """A landed page: digest of its exact bytes, and the address it came from, without the key, or the name of the file."""

    page: int
    sha256: str
    url: str
    file_name: str | None
    fetched_at: datetime

    @property
    def name_ja(self) -> str:
        """What people call it."""
        return f"「{self.file_name}」" if self.file_name else f"ページ {self.page}"


@dataclass(frozen=True)
class Load:
    """A load that brought some of the rows."""

    load_id: int
    feed: str
    contract_version: str
    contract_sha256: str
    code_version: str
    verdict: str
    verdict_ja: str
    gate_results: list[dict[str, Any]]
    pages: list[Page] = field(default_factory=list)
    # Why it was published although the gate asked: what the person who answered wrote down.
    answer_ja: str | None = None

    @property
    def checks_ja(self) -> str:
        """How many checks it passed."""
        failed = sum(not result["success"] for result in self.gate_results)
        return f"検査 {len(self.gate_results)} 件中 {len(self.gate_results) - failed} 件合格"


@dataclass(frozen=True)
class Trail:
    """The receipt."""

    kpi_id: str
    kpi_name: str
    period_id: str
    period_label: str
    period_kind: str
    value: Decimal
    unit: str
    value_status: str
    coverage: str
    method_ja: str
    rows: list[Row]
    loads: list[Load]

    @property
    def value_text(self) -> str:
        """The number as the board shows it."""
        return f"{self.value:,f}{self.unit}（{self.value_status}）"

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


def trail(kpi: str, period: str) -> Trail:
    """The receipt of a KPI's number in a period.

    Args:
        kpi: `K12`.
        period: `2024`, `2024年`, `R6年` (暦年), `2023年度`, `R5年度`, `2024-09` (月), or a `period_id` of `dim_period`.

    Raises:
        KpiError: unknown KPI or period, no published number, or rows that do not add up to it.
    """
    definition = DEFINITIONS.get(kpi)
    feed = definition.feed if definition else FILLED_IN
    period_id = _period_id(period)
    with connect("kpi_transformer") as connection:
        number = _published(connection, kpi, period_id)
        rows = (
            _rows(connection, definition, number["period_start"], number["period_end"])
            if definition
            else _cells_filled_in(connection, kpi, period_id)
        )
        total = sum((row.value for row in rows if row.value is not None), Decimal(0))
        if total != number["value"]:
            raise KpiError(
                f"{kpi} {number['label_ja']} の公表値 {number['value']:,} と、もとの行の合計 {total:,} が一致しません。"
                "マートを作り直してください（`kpi build`）。",
                "receipt.does_not_add_up",
            )
        loads = [_load(connection, load_id, feed) for load_id in sorted({row.load_id for row in rows})]
    for load in loads:
        used = {row.page for row in rows if row.load_id == load.load_id}
        load.pages[:] = [page for page in load.pages if page.page in used]
    return Trail(
        kpi_id=kpi,
        kpi_name=number["kpi_name"],
        period_id=period_id,
        period_label=number["label_ja"],
        period_kind=number["period_kind"],
        value=number["value"],
        unit=number["unit"],
        value_status=number["value_status_ja"],
        coverage=f"{number['covered_months']}/{number['expected_months']}か月",
        method_ja=definition.method_ja if definition else "所管課が記入した実績値（進捗管理シートのセル）",
        rows=rows,
        loads=loads,
    )


def _period_id(period: str) -> str:
    """The key of a period: given as such, or in words, 西暦 or 和暦. A bare `2024` is the 暦年."""
    if PERIOD_ID.fullmatch(period):
        return period
    try:
        read = read_period(period, year="calendar")
    except Unreadable:
        read = None
    names = {"年度": "FY%Y", "暦年": "CY%Y", "年": "CY%Y", "月": "%Y-%m"}
    if read is None or read.kind not in names or read.status:
        raise KpiError(
            f"期間「{period}」を読めません。例：2024、R6年、2023年度、R5年度、2024-09、CUM2024-2027",
            "receipt.period",
        )
    return f"{read.start:{names[read.kind]}}"


def _published(connection: psycopg.Connection, kpi: str, period_id: str) -> dict[str, Any]:
    number = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "select v.value, v.covered_months, v.expected_months, p.label_ja, p.period_kind, p.period_start, p.period_end,"
            " k.kpi_name, k.unit, s.label_ja as value_status_ja"
            " from marts.fct_kpi_value as v join marts.dim_period as p using (period_id, period_kind)"
            " join marts.dim_kpi as k using (kpi_id)"
            " join marts.dim_status as s on s.domain = 'value_status' and s.code = v.value_status"
            " where v.kpi_id = %s and v.period_id = %s",
            [kpi, period_id],
        )
        .fetchone()
    )
    if connection.execute("select from marts.dim_kpi where kpi_id = %s", [kpi]).rowcount == 0:
        raise KpiError(
            f"{kpi} というKPIはありません。番号は `kpi board` で確認してください。", "receipt.unknown_kpi"
        )
    if number is None or number["value"] is None:
        raise KpiError(f"{kpi} の {period_id} の公表値はありません（実績未公表）。", "receipt.no_number")
    return number


def _rows(connection: psycopg.Connection, definition: Definition, first: date, last: date) -> list[Row]:
    conditions = sql.SQL(" and ").join(
        sql.SQL("r.{} = {}").format(sql.Identifier(column), sql.Literal(code))
        for column, code in definition.codes.items()
    )
    query = sql.SQL(
        "select r.period, r.{value} as value, r.{mark} as mark, r.load_id, r.source_page as page, p.sha256, r.known_from"
        " from raw.{feed} as r join ops.load_page as p on p.load_id = r.load_id and p.page = r.source_page"
        " where {shown} and r.period between %s and %s and {conditions} order by r.period"
    ).format(
        value=sql.Identifier(definition.column),
        mark=sql.Identifier(f"{definition.column}_mark"),
        feed=sql.Identifier(definition.feed),
        conditions=conditions,
        shown=SHOWN,
    )
    return connection.cursor(row_factory=class_row(Row)).execute(query, [first, last]).fetchall()


def _cells_filled_in(connection: psycopg.Connection, kpi: str, period_id: str) -> list[Row]:
    """The cell that the figure was filled in, read in accepted history where the marts say that it is."""
    query = sql.SQL(
        "select r.period, r.value, r.value_mark as mark, r.load_id, 1 as page, p.sha256, r.known_from, r.source_cell as cell,"
        " r.note, (select u.found from ops.correction_use as u join ops.correction as c using (correction_id)"
        "  where u.load_id = r.load_id and u.outcome = 'applied' and c.place = r.source_cell) as filed"
        " from marts.fct_kpi_source_row as s join {raw} as r"
        "  on r.load_id = s.load_id and r.source_cell = s.source_cell and r.kpi_code = s.kpi_id and {shown}"
        " join ops.load_page as p on p.load_id = r.load_id and p.page = 1"
        " where s.kpi_id = %s and s.period_id = %s"
    ).format(raw=sql.Identifier("raw", FILLED_IN), shown=SHOWN)
    return connection.cursor(row_factory=class_row(Row)).execute(query, [kpi, period_id]).fetchall()


def _load(connection: psycopg.Connection, load_id: int, feed: str) -> Load:
    columns = connection.cursor(row_factory=dict_row)
    load = columns.execute(
        "select l.contract_version, l.contract_sha256, l.code_version, l.verdict, s.label_ja as verdict_ja,"
        " (select to_char(a.answered_at at time zone 'Asia/Tokyo', 'YYYY-MM-DD ') || a.reason_ja from ops.answer as a"
        "  where a.load_id = l.load_id and a.answer = 'released') as answer_ja from ops.load as l"
        " join marts.dim_status as s on s.domain = 'gate_status' and s.code = l.verdict where l.load_id = %s",
        [load_id],
    ).fetchone()
    assert load is not None
    results = columns.execute(
        "select expectation, severity, success, unexpected_count, reason_ja from ops.gate_result where load_id = %s"
        " order by checked_at, expectation",
        [load_id],
    ).fetchall()
    pages = (
        connection.cursor(row_factory=class_row(Page))
        .execute(
            "select page, sha256, url, params ->> 'file_name' as file_name, fetched_at from ops.load_page where load_id = %s order by page",
            [load_id],
        )
        .fetchall()
    )
    return Load(load_id=load_id, feed=feed, gate_results=results, pages=pages, **load)
