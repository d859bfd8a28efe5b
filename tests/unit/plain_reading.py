"""Files of plain tables, read both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from layout_books import layout

from kpi_warehouse.contract import Contract, file_source, load_contract
from kpi_warehouse.readers import file_rows
from kpi_warehouse.readers.layout import Reading
from kpi_warehouse.readers.plain_block import NotPlain, Source
from kpi_warehouse.readers.plain_groups import NULL, copy_field
from kpi_warehouse.readers.plain_table import PlainTable
from kpi_warehouse.readers.plain_text import PlainText
from kpi_warehouse.warehouse.tables import stage_defaults

CONTRACT = load_contract(Path(__file__).parents[1] / "bench/contracts/resident_counts.odcs.yaml")
LONG = ["年月", "市町村", "年齢階級", "指標", "値"]
WIDE = """
tables:
  - name: wide
    year: calendar
    columns:
      - {heading: [年月], is: period, periodKind: 月}
      - {heading: [市町村], is: axis, column: area_code}
      - {heading: [年齢階級], is: axis, column: age_code}
      - {heading: [人口], is: value, measure: population, unit: 人, period: row}
      - {heading: [世帯], is: value, measure: households, unit: 世帯, period: row, blank: skip}
      - {heading: [状況], is: status, statuses: {実績: actual, 予定: planned}, optional: true}
      - {heading: [備考], is: note, optional: true}
      - {heading: [整理番号], is: ignored, reason: 課の控え, optional: true}
"""
ROW = tuple[str, ...]
NAME = "住民の数.csv"


def contract(made: str | None = None, form: str = "delimited") -> Contract:
    source = replace(file_source(CONTRACT), format=form)
    return replace(CONTRACT, source=replace(source, layout=layout(made)) if made else source)


def by_engine(feed: Contract, reading: Reading) -> list[ROW]:
    return sorted(_shown(feed, row) for row in file_rows._rows(feed, reading.rows))


def _shown(feed: Contract, row: Sequence[object]) -> ROW:
    at = feed.stage_columns.index("value")
    return tuple(_number(each) if number == at else copy_field(each) for number, each in enumerate(row))


def _number(value: object) -> str:
    return NULL if value in (None, NULL) else str(Decimal(str(value)).normalize())


def by_copy(feed: Contract, source: Source) -> list[ROW]:
    """What COPY would write; raises NotPlain."""
    table, rows = None, []
    for block in source.blocks():
        table = table or PlainTable(feed, source, block)
        for columns, buffer in table.lines(block):
            for line in bytes(buffer).decode().removesuffix("\n").split("\n"):
                said = stage_defaults(feed) | dict(zip(columns, line.split("\t"), strict=True))
                said["value"] = _number(said["value"])
                rows.append(tuple(said.get(name, NULL) for name in feed.stage_columns))
    assert table is not None
    table.finish()
    assert table.rows == len(rows)
    periods = [row[0] for row in rows] + [str(row.period) for row in table.odd]
    assert table.periods == (date.fromisoformat(min(periods)), date.fromisoformat(max(periods)))
    return sorted([*rows, *(_shown(feed, row) for row in file_rows._rows(feed, table.odd))])


def plain(body: bytes, feed: Contract) -> list[ROW]:
    source = file_source(feed)
    return by_copy(feed, PlainText(body, NAME, encoding=source.encoding, delimiter=source.delimiter))


def agrees(body: bytes, feed: Contract) -> bool:
    """Whether the plain way was taken; then it must have come to what the engine reads without a fault."""
    try:
        rows = plain(body, feed)
    except NotPlain:
        return False
    reading = file_rows.read_file(feed, body, NAME)
    assert not reading.faults and not reading.drift and not reading.checks
    assert rows == by_engine(feed, reading)
    return True


AREAS = ["熊本市", "熊本県八代市", "43203", "432041", "上益城郡御船町", "水俣市"]
AGES = ["0～4歳", "5～9歳", "a10", "100歳以上"]
MEASURES = ["人口総数", "世帯数", "出生数", "moved_in"]
MONTHS = ["令和6年5月", "2024-06", "R6.7", "２０２４年８月", "平成31年4月"]
NUMBERS = st.one_of(
    st.integers(-99_999, 10**12).map(str),
    st.decimals(-9999, 9999, places=2).map(str),
    st.sampled_from(["0", "007", "1.50", "-0.5"]),
)


@st.composite
def long_rows(draw: st.DrawFn) -> list[list[str]]:
    keys = [
        [month, area, age, measure]
        for month in MONTHS
        for area in AREAS
        for age in AGES
        for measure in MEASURES
    ]
    chosen = draw(st.lists(st.integers(0, len(keys) - 1), min_size=1, max_size=40, unique=True))
    return [[*keys[at], draw(NUMBERS)] for at in chosen]


def many(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
