"""What to ask e-Stat for: the table as it describes itself, held against the contract, becomes one query.

A table is used only when it is the one the contract speaks of (statistics code, words of the title, axes and codes).
Months are always asked for by code, never by range: a table can mix months and years, and years sort between months.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from kpi_warehouse.contract import Contract, estat_source
from kpi_warehouse.errors import KpiError, SourceChanged
from kpi_warehouse.readers.estat_json import month_code, month_of
from kpi_warehouse.sources.estat import DataQuery
from kpi_warehouse.sources.estat_answers import TableMeta


@dataclass(frozen=True)
class Plan:
    """The months of a pull (first days, without gap) and its query; `waiting` when the month is not published yet."""

    period: date
    months: list[date]
    query: DataQuery
    waiting: bool
    message_ja: str = ""


def make_plan(
    contract: Contract, table: TableMeta, period: str | None, accepted: set[date], since: str | None = None
) -> Plan:
    """Decide the window and write the query.

    The window ends at the month expected and starts at the first month never accepted, or `reread_months` before its end
    (revisions), whichever is earlier.

    Args:
        period: the month expected, `YYYY-MM`; None is the newest the table has.
        accepted: months accepted so far.
        since: start no later than this month, `YYYY-MM`.

    Raises:
        SourceChanged: the table is not what the contract describes.
        KpiError: the month lies before the feed's first month.
    """
    fixed = check_definition(contract, table)
    published = sorted(month for code in table.axes["time"].codes if (month := month_of(code)))
    published = [month for month in published if month >= estat_source(contract).first_period]
    if not published or (period and period > published[-1]):
        newest = published[-1] if published else "なし"
        expected = period or estat_source(contract).first_period
        return Plan(
            date.fromisoformat(f"{expected}-01"),
            [],
            DataQuery(estat_source(contract).table_id, {}),
            True,
            f"{expected} はまだ公表されていません（提供元の最新は {newest}）。公表を待ちます。",
        )
    if period and period < published[0]:
        raise KpiError(
            f"{contract.title_ja}：{period} は対象外です。このフィードは {published[0]} からです。",
            "load.before_first",
        )
    first, last = _month(published[0]), _month(period or published[-1])
    missing = [month for month in months_between(first, last) if month not in accepted]
    wanted = [_month(since)] if since else []
    start = max(first, min([_back(last, estat_source(contract).reread_months), *missing, *wanted]))
    months = months_between(start, last)
    offered = table.axes["time"].codes
    codes = [code for month in months if (code := month_code(f"{month:%Y-%m}")) in offered]
    axes = {
        str(axis.source_name): [
            code for code in axis.codes if code in table.axes[str(axis.source_name)].codes
        ]
        for axis in contract.axes
    }
    return Plan(
        last, months, DataQuery(estat_source(contract).table_id, {**axes, **fixed, "time": codes}), False
    )


def check_definition(contract: Contract, table: TableMeta) -> dict[str, list[str]]:
    """Hold the table's own description against the contract; returns the axes fixed to one code.

    Raises:
        SourceChanged: with what was found and what was expected.
    """
    source = estat_source(contract)

    def changed(what: str, found: object, expected: object) -> SourceChanged:
        return SourceChanged(
            f"{contract.title_ja}：統計表 {source.table_id} の{what}が契約と違います。見つかったもの「{found}」、"
            f"期待「{expected}」（{contract.path.name}）。表が差し替えられていないか確認してください。",
            "estat.definition",
        )

    if table.stats_code != source.stats_code:
        raise changed("政府統計コード", table.stats_code, source.stats_code)
    if absent := [word for word in source.title_holds if word not in table.title]:
        raise changed("表題", table.title, "・".join(absent))
    for axis in contract.axes:
        found = table.axes.get(str(axis.source_name))
        if found is None:
            raise changed("軸", "、".join(table.axes), f"{axis.source_name}（{axis.label_ja}）")
        if axis.axis_name and axis.axis_name not in found.name:
            raise changed(f"軸 {axis.source_name} の名前", found.name, axis.axis_name)
        if not set(axis.codes) & set(found.codes):
            raise changed(
                f"軸 {axis.source_name} のコード",
                "、".join(list(found.codes)[:5]),
                "、".join(list(axis.codes)[:5]),
            )
        labels = {label: code for code, label in axis.codes.items()}
        for code, entry in found.codes.items():
            if labels.get(entry.name, code) != code:
                raise changed(f"軸 {axis.source_name} のコード {code}", entry.name, axis.codes.get(code))
    return _fixed_axes(contract, table, changed)


def _fixed_axes(
    contract: Contract, table: TableMeta, changed: Callable[[str, object, object], SourceChanged]
) -> dict[str, list[str]]:
    """Axes the contract does not name: one code needs no choice, a declared one is narrowed, any other is a new meaning."""
    named = {str(axis.source_name) for axis in contract.axes} | {"time"}
    fixed: dict[str, list[str]] = {}
    for name, axis in table.axes.items():
        if name in named:
            continue
        if len(axis.codes) == 1:
            fixed[name] = list(axis.codes)
            continue
        choice = next(
            (entry.code for entry in estat_source(contract).fixed_axes if entry.holds in axis.codes), None
        )
        if choice is None:
            raise changed("軸", f"{name}（{axis.name}）", "契約にない軸はないこと")
        fixed[name] = [choice]
    return fixed


def months_between(first: date, last: date) -> list[date]:
    """First days of every month from `first` to `last`, both included."""
    count = (last.year - first.year) * 12 + last.month - first.month
    return [_back(last, offset) for offset in range(count, -1, -1)]


def _month(period: str) -> date:
    return date.fromisoformat(f"{period}-01")


def _back(month: date, months: int) -> date:
    index = month.year * 12 + month.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)
