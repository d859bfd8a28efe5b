"""What to ask e-Stat for: the table as it describes itself, held against the contract, becomes one query.

A table is used only when it is the one the contract speaks of (statistics code, words of the title, axes and codes), and
only when it holds no period that cannot have a figure yet.
Periods are always asked for by code, never by range: a table can mix months and years, and years sort between months.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from kpi_warehouse import clock
from kpi_warehouse.contract import Contract, estat_source
from kpi_warehouse.errors import KpiError, SourceChanged
from kpi_warehouse.readers.estat_time import Cycle, cycles_of
from kpi_warehouse.sources.estat import DataQuery
from kpi_warehouse.sources.estat_answers import TableMeta

_EXAMPLES = 5


@dataclass(frozen=True)
class Plan:
    """The periods of a pull (first days, in order) and its query; `waiting` when the period is not published yet."""

    period: date
    periods: list[date]
    query: DataQuery
    waiting: bool
    message_ja: str = ""


def make_plan(
    contract: Contract,
    table: TableMeta,
    period: str | None,
    accepted: set[date],
    since: str | None = None,
    today: date | None = None,
) -> Plan:
    """Decide the window and write the query.

    The window ends at the period expected and starts at the first one never accepted, or `reread_months` before the newest
    one known so far (revisions), whichever is earlier: after a gap of a year that is the year before the gap.

    Args:
        period: the period expected, as `Cycle.read` takes it; None is the newest the table has.
        accepted: first days of the periods accepted so far.
        since: start no later than this period.
        today: the day in Japan; None is the clock's.

    Raises:
        SourceChanged: the table is not what the contract describes, or holds a period that cannot have a figure yet.
        KpiError: the period lies before the feed's first one, or is none.
    """
    source = estat_source(contract)
    cycle = source.cycle
    fixed = check_definition(contract, table)
    offered = _offered(contract, table, today or clock.today())
    published = [each for each in offered if each >= source.first_period]
    expected = period_named(contract, period) if period else None
    if not published or (expected and expected > published[-1]):
        newest = cycle.name(published[-1]) if published else "なし"
        expected = expected or source.first_period
        return Plan(
            expected,
            [],
            DataQuery(source.table_id, {}),
            True,
            f"{cycle.name(expected)} はまだ公表されていません（提供元の最新は {newest}）。公表を待ちます。",
        )
    if expected and expected < published[0]:
        raise KpiError(
            f"{contract.title_ja}：{cycle.name(expected)} は対象外です。このフィードは {cycle.name(published[0])} からです。",
            "load.before_first",
        )
    first, last = published[0], expected or published[-1]
    known = max((each for each in accepted if each <= last), default=last)
    # Divided upwards: whoever re-reads three months of a yearly table re-reads its last year.
    reread = cycle.back(known, -(-source.reread_months // cycle.months))
    missing = [each for each in _wanted(cycle, published, last) if each not in accepted]
    wanted = [period_named(contract, since)] if since else []
    periods = [
        each
        for each in _wanted(cycle, published, last)
        if each >= max(first, min([reread, *missing, *wanted]))
    ]
    axes = {
        str(axis.source_name): [
            code for code in axis.codes if code in table.axes[str(axis.source_name)].codes
        ]
        for axis in contract.axes
    }
    codes = [cycle.code(each) for each in periods if each in offered]
    return Plan(last, periods, DataQuery(source.table_id, {**axes, **fixed, "time": codes}), False)


def _wanted(cycle: Cycle, published: list[date], last: date) -> list[date]:
    """The periods there must be: of months every one, of longer periods those the table has (a survey of every fifth year)."""
    if cycle.months == 1:
        return cycle.between(published[0], last)
    return [each for each in published if each <= last]


def period_named(contract: Contract, text: str) -> date:
    """First day of the period that a text names, in the feed's cycle.

    Raises:
        KpiError: the text names none.
    """
    cycle = estat_source(contract).cycle
    day = cycle.read(text)
    if day is None:
        raise KpiError(
            f"{contract.title_ja}：期間「{text}」を読めません。{cycle.form} の形で書いてください（この表の周期は{cycle.kind}）。",
            "load.period",
        )
    return day


def _offered(contract: Contract, table: TableMeta, today: date) -> list[date]:
    """The periods that the table holds, of the contract's cycle.

    Raises:
        SourceChanged: the time axis holds no period of this cycle, or one that cannot have a figure yet.
    """
    source = estat_source(contract)
    cycle, time = source.cycle, table.axes["time"]
    offered = cycles_of(time.codes).get(cycle.kind, [])
    if not offered:
        names = "、".join(f"{code}（{entry.name}）" for code, entry in list(time.codes.items())[:_EXAMPLES])
        kinds = "・".join(cycles_of(time.codes)) or "読める周期なし"
        raise SourceChanged(
            f"{contract.title_ja}：統計表 {source.table_id} の時間軸（{time.name}）に、契約の周期「{cycle.kind}」の時点が"
            f"ひとつもありません。見つかったもの：{names or 'なし'}（{kinds}）。契約の periodKind を確かめてください"
            f"（{contract.path.name}）。",
            "estat.cycle",
        )
    # A figure of a period that is not over, or was over too short a time to be counted, is none.
    latest = today - timedelta(days=source.published_after_days)
    if early := [each for each in offered if cycle.last_day(each) >= latest]:
        reason = (
            f"公表は早くても期間の終わりから{source.published_after_days}日あと"
            if cycle.last_day(early[0]) < today
            else "まだ終わっていない期間"
        )
        raise SourceChanged(
            f"{contract.title_ja}：統計表 {source.table_id} に {cycle.name(early[0])} の値があることになっていますが、"
            f"今日（{today:%Y-%m-%d}）の時点では{reason}です。何も受け入れていません。提供元の表か、この計算機の時計を確かめてください。",
            "estat.not_happened",
        )
    return offered


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
