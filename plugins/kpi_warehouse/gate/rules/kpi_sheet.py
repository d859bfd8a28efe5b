"""What a row of the KPI sheet may say, which follows from its KPI's kind in the catalogue (the seeds of the dbt project).

Each rule is SQL that returns the rows it doubts, with what is said of each (`said_ja`). `{batch}` and `{history}` are the
delivered and the accepted rows, as in every rule of a contract. A year is compared with the newest one before it that is
known, delivered or accepted; a delivered row stands for the accepted one of its key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from psycopg import sql

from kpi_warehouse import clock
from kpi_warehouse.kpi_catalogue import Kpi, kpi_catalogue
from kpi_warehouse.settings import settings

# Digits and units that are mistaken for each other: ten, a hundred, a thousand, 万, 億.
_SLIPS = "(values (10::numeric), (100), (1000), (10000), (100000000)) as slips (factor)"
_OBSERVED = "('actual', 'provisional', 'revised')"

_COLUMNS: Mapping[str, tuple[str, Callable[[Kpi], str | None]]] = {
    "kpi_id": ("text", lambda kpi: kpi.kpi_id),
    "unit": ("text", lambda kpi: kpi.unit),
    "kpi_type": ("text", lambda kpi: kpi.kpi_type),
    "accumulation": ("text", lambda kpi: kpi.accumulation),
    "period_kind": ("text", lambda kpi: kpi.period_kind),
    "counted_from": ("date", lambda kpi: kpi.counted_from),
    "lower_bound": ("numeric", lambda kpi: kpi.lower_bound),
    "upper_bound": ("numeric", lambda kpi: kpi.upper_bound),
    "target_value": ("numeric", lambda kpi: kpi.target_value),
    "target_year": ("integer", lambda kpi: kpi.target_year),
    "first_year": ("integer", lambda kpi: kpi.first_year),
}


def _kpis() -> str:
    """The catalogue as a table that a query can join."""
    rows = ", ".join(
        "({})".format(
            ", ".join(
                f"{sql.Literal(value(kpi)).as_string(None)}::{kind}" for kind, value in _COLUMNS.values()
            )
        )
        for kpi in kpi_catalogue(settings().project)
    )
    return f"(values {rows}) as k ({', '.join(_COLUMNS)})"


def _doubted(said_ja: str, where: str, *joins: str) -> str:
    return "\n".join(
        [
            f"select r.*, {said_ja} as said_ja from {{batch}} as r",
            f"join {_kpis()} on k.kpi_id = r.kpi_code",
            *joins,
            f"where {where}",
        ]
    )


def _number(value: str) -> str:
    """SQL of a number as people write it: grouped, at most two decimals, none that is not needed."""
    return f"rtrim(to_char(round({value}, 2), 'FM999,999,999,999,990.99'), '.')"


def _day(value: str) -> str:
    return f"""to_char({value}, 'FMYYYY"年"FMMM"月"FMDD"日"')"""


def _month(value: str) -> str:
    return f"""to_char({value}, 'FMYYYY"年"FMMM"月"')"""


# Every figure that is known of a KPI; what is delivered now stands for what was accepted under its key.
_KNOWN = (
    "(select b.kpi_code, b.period, b.period_end, b.period_kind, b.value, b.value_status from {batch} as b"
    " union all select h.kpi_code, h.period, h.period_end, h.period_kind, h.value, h.value_status from {history} as h"
    " where not exists (select from {batch} as b where (b.kpi_code, b.period_kind, b.period, b.period_end)"
    " = (h.kpi_code, h.period_kind, h.period, h.period_end)))"
)
# The year before, or the newest before that: of the same kind of period, of sums with the same start.
_LAST = (
    f"left join lateral (select o.value, o.period_end from {_KNOWN} as o where o.kpi_code = r.kpi_code"
    f" and o.period_kind = r.period_kind and o.value_status in {_OBSERVED} and o.value is not null"
    " and o.period_end < r.period_end and (r.period_kind <> '累計' or o.period = r.period)"
    " order by o.period_end desc limit 1) as last on true"
)
_YEAR = "extract(year from r.period_end - interval '3 months')::integer"
# What a target lets expect: of a sum over the plan's years the part of the years gone.
_GOAL = (
    "left join lateral (select case when k.kpi_type = 'cumulative_n_years' then k.target_value"
    f" * least(greatest({_YEAR} - k.first_year + 1, 1), k.target_year - k.first_year + 1)"
    " / (k.target_year - k.first_year + 1) else k.target_value end as value"
    " where k.target_value > 0) as goal on true"
)
_DIGITS = r"length(ltrim(rtrim(regexp_replace(abs(r.value)::text, '\D', '', 'g'), '0'), '0'))"


def within_bounds() -> str:
    """A value that its KPI cannot have: a share beyond 0 to 100, more municipalities than there are, a count below zero."""
    return _doubted(
        f"'とりうる範囲は ' || coalesce({_number('k.lower_bound')}, '') || '〜' || coalesce({_number('k.upper_bound')}, '')"
        " || k.unit || ' です。'",
        "r.value < k.lower_bound or r.value > k.upper_bound",
    )


def unit_of_the_catalogue() -> str:
    """A value in another unit than the catalogue's; 人/年 may be written 人."""
    return _doubted(
        "'単位は「' || k.unit || '」です（見つかったもの：' || coalesce(nullif(r.unit, ''), 'なし') || '）。'",
        "r.unit is null or replace(r.unit, '/年', '') <> replace(k.unit, '/年', '')",
    )


def period_fits_the_kind() -> str:
    """A sum belongs to a cumulative KPI and begins where it is counted from; a flow has its own kind of year, or its first months
    if it says so (年度途中); a level is that of its year or of a day in it; a stock that of a day or of a year's end."""
    counted = f"'累計の始まりは ' || {_month('k.counted_from')} || ' です'"
    return _doubted(
        "case"
        f" when k.counted_from is not null and r.period_kind = '累計' then {counted}"
        f" || '（見つかったもの：' || {_month('r.period')} || '）。'"
        f" when k.counted_from is not null then {counted} || '。「時点」に累計の始まりと終わりを書いてください。'"
        " when r.period_kind = '累計' then '累計の値は、累計のKPIだけのものです。' || k.period_kind || 'の値を書いてください。'"
        " else k.period_kind || 'のKPIです。' || r.period_kind || 'の値とは比べられません。' end",
        "not case"
        " when k.counted_from is not null then r.period_kind = '累計' and r.period = k.counted_from"
        " when k.accumulation = 'annual' then r.period_kind = k.period_kind or k.period_kind = '年度'"
        f" and r.value_status = 'partial' and (r.period_kind = '時点' or r.period = make_date({_YEAR}, 4, 1))"
        " when k.accumulation = 'cumulative' then r.period_kind in (k.period_kind, '年度')"
        " else r.period_kind in (k.period_kind, '時点') end",
    )


def period_has_ended() -> str:
    """Nothing has been observed of a period that is not over; what is foreseen is 予定."""
    today = f"date '{clock.today().isoformat()}'"
    return _doubted(
        f"'期間の末日（' || {_day('r.period_end')} || '）がまだ来ていません。見込みの値なら「値の種類」を予定としてください。'",
        f"r.value_status in ('actual', 'provisional', 'revised', 'partial') and r.period_end > {today}",
    )


def open_year_is_not_final() -> str:
    """A part of a year does not claim to be the year, and a whole year not to be a part that names no month."""
    year_end = "(r.period + interval '1 year' - interval '1 day')::date"
    return _doubted(
        "case when r.value_status = 'partial' then '年度途中の値は、いつまでの値か（「R7.10月末」など）を「時点」に書いてください。'"
        f" else {_month('r.period_end')} || '末までの値です。「値の種類」を年度途中としてください。' end",
        f"r.period_kind in ('年度', '暦年') and (r.value_status in {_OBSERVED} and r.period_end < {year_end}"
        f" or r.value_status = 'partial' and r.period_end = {year_end})",
    )


def stock_never_falls() -> str:
    """A stock or a sum that runs on is not below what it was at an earlier end, nor above what it was at a later one."""
    return _doubted(
        f"{_day('other.period_end')} || 'の ' || {_number('other.value')} || k.unit"
        " || case when other.period_end < r.period_end then 'より減っています。' else 'より多くなっています。' end",
        "k.accumulation like 'cumulative%' and other.value is not null",
        f"join lateral (select o.value, o.period_end from {_KNOWN} as o where o.kpi_code = r.kpi_code"
        " and o.value_status in ('actual', 'provisional', 'revised', 'partial')"
        " and (k.counted_from is null or (o.period_kind, o.period) = (r.period_kind, r.period))"
        " and (o.period_end < r.period_end and o.value > r.value or o.period_end > r.period_end and o.value < r.value)"
        " order by abs(o.period_end - r.period_end) limit 1) as other on true",
    )


def unit_slip(*, over_target: float, over_last: float, under_last: float, under_target: float) -> str:
    """A value so far from its target, or from the last one, that a slip of digits or of the unit is likelier; a share as a ratio.

    Args:
        over_target, over_last: how many times the target, or the last value, a value may be.
        under_last, under_target: what part of them (one in so many) a whole year's value may be; sums begin small and only grow,
            so they have no such bound.
    """
    near = "coalesce(last.value, goal.value)"
    return _doubted(
        "case when slip.value is null then 'けたの違う値です' else 'けた、又は単位の書き違いと考えられます。'"
        f" || {_number('slip.value')} || k.unit || 'のことですか' end || '（'"
        f" || concat_ws('、', '前回 ' || {_number('last.value')}, '目標 ' || {_number('k.target_value')}) || '）。'",
        f"r.value > 0 and (r.value > goal.value * {over_target} or r.value > last.value * {over_last} and last.value >= 1"
        " or (r.value_status <> 'partial' and k.accumulation in ('annual', 'none')"
        f" and (r.value * {under_last} < last.value or last.value is null and r.value * {under_target} < goal.value))"
        " or k.unit = '%' and r.value <= 1 and coalesce(last.value, goal.value, 100) >= 5)",
        _LAST,
        _GOAL,
        "left join lateral (select tried.value from"
        f" (select case when r.value > {near} then r.value / factor else r.value * factor end as value from {_SLIPS}"
        "  union all select r.value * 100 where k.unit = '%' and r.value <= 1) as tried"
        f" where {near} > 0 and tried.value / {near} between 0.4 and 2.5"
        f" or {near} is null and k.unit = '%' and tried.value = r.value * 100"
        f" order by abs(ln(tried.value / coalesce({near}, tried.value))) limit 1) as slip on true",
    )


def like_the_year_before(*, points: float, times: float, from_value: float) -> str:
    """A whole year's value that is far from the year before; one that is another KPI's is said to be.

    Args:
        points: by how many points a share may differ.
        times: how many times as much, or as little, another value may be; values from `from_value` on are compared.
    """
    return _doubted(
        f"'前回は ' || {_number('last.value')} || k.unit || '（' || {_month('last.period_end')} || 'まで）です。'"
        " || coalesce(another.kpi_code || ' の前回の値 ' || "
        f"{_number('another.value')} || ' に近く、行の取り違えと考えられます。', '')",
        "k.accumulation in ('annual', 'none') and r.value_status in ('actual', 'provisional', 'revised')"
        f" and case when k.unit = '%' then abs(r.value - last.value) > {points}"
        f" else greatest(abs(last.value), abs(r.value)) >= {from_value} and last.value > 0 and r.value > 0"
        f" and (r.value > last.value * {times} or r.value * {times} < last.value"
        " or another.kpi_code is not null and (r.value > last.value * 1.5 or r.value * 1.5 < last.value)) end",
        _LAST,
        "left join lateral (select h.kpi_code, h.value from {history} as h join {batch} as b on b.kpi_code = h.kpi_code"
        " where h.kpi_code <> r.kpi_code and h.value > 10 and h.period_end < r.period_end"
        " and h.period_end > r.period_end - interval '2 years' and r.value / h.value between 0.9 and 1.1"
        " and b.value / h.value not between 0.67 and 1.5 limit 1) as another on true",
    )


def not_copied(*, digits: int) -> str:
    """The target in place of the actual value, or last year's once more: equal to the last digit.

    Args:
        digits: from how many significant digits on a single equal value is no coincidence. Two targets in one delivery are none
            either, however round.
    """
    is_target = (
        "r.value = k.target_value and k.kpi_type not like 'maintain%' and k.kpi_type <> 'band'"
        f" and {_YEAR} < k.target_year"
    )
    return _doubted(
        "case when r.value = k.target_value then '目標と同じ値です。実績の欄に目標が写されたと考えられます。'"
        f" else '前回（' || {_month('last.period_end')} || 'まで）と同じ値です。前回の値が写されたと考えられます。' end",
        f"r.value_status in {_OBSERVED} and ({is_target} and ({_DIGITS} >= {digits} or 1 < (select count(*) from"
        " (select distinct b.kpi_code from {batch} as b join "
        + _kpis().replace(" as k (", " as t (")
        + " on t.kpi_id = b.kpi_code where b.value = t.target_value and t.kpi_type not like 'maintain%'"
        f" and b.value_status in {_OBSERVED}) as copied))"
        f" or k.accumulation in ('annual', 'none') and r.value = last.value and {_DIGITS} >= {digits})",
        _LAST,
    )


def accumulation_is_decided(*, also: tuple[str, ...] = ()) -> str:
    """A value of a KPI of which nobody has said whether it is counted by year or runs on.

    Args:
        also: KPIs that the catalogue takes for yearly ones without the plan saying so.
    """
    listed = ", ".join(sql.Literal(kpi).as_string(None) for kpi in also)
    return _doubted(
        "'年ごとの値か累計かを、所管課に確かめてください。'",
        "k.accumulation = 'undetermined'" + (f" or k.kpi_id in ({listed})" if listed else ""),
    )


RULES: dict[str, Callable[..., str]] = {
    f"kpi_{rule.__name__}": rule
    for rule in (
        within_bounds,
        unit_of_the_catalogue,
        period_fits_the_kind,
        period_has_ended,
        open_year_is_not_final,
        stock_never_falls,
        unit_slip,
        like_the_year_before,
        not_copied,
        accumulation_is_decided,
    )
}
