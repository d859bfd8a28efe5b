"""A plain table goes by COPY: the same rows at the same places as the layout engine reads, or the engine reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_reading import (
    AGES,
    AREAS,
    LONG,
    MEASURES,
    MONTHS,
    NAME,
    NUMBERS,
    WIDE,
    agrees,
    contract,
    long_rows,
    many,
    plain,
)

from kpi_warehouse.contract import file_source
from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers import file_rows, plain_text
from kpi_warehouse.readers.plain_block import NotPlain


@st.composite
def written(draw: st.DrawFn, rows: list[list[str]], heading: Sequence[str] = LONG) -> bytes:
    end, encoding = (
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.sampled_from(["cp932", "utf-8", "utf-8-sig"])),
    )
    delimiter, quoted = draw(st.sampled_from([",", "\t"])), draw(st.booleans())
    lines = [
        delimiter.join(f'"{cell}"' if quoted and at % 2 else cell for at, cell in enumerate(row))
        for row in [list(heading), *rows]
    ]
    return (end.join(lines) + draw(st.sampled_from(["", end]))).encode(encoding)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "BLOCK", 400)


@many(20)
@given(st.data())
def test_clean_rows_are_read_alike_and_by_copy(data: st.DataObject) -> None:
    assert agrees(data.draw(written(data.draw(long_rows()))), contract())


ODD_VALUES = ["▲12", "１２", "X", "-", "***", "12人", "12 ", "約30", "(5)", "1,234", "", " ", "abc", "12世帯", "1e5", "+3",
              "5\u3000", "X※1", "1.2.3", "0" * 16, "2024年5月", "計", "R6"]  # fmt: skip
ODD_VALUES += ["75①", "(56)", "1 234", "10/12", "5O", '"1\n2"', "９９％"]
ODD_LABELS = [
    "6月",
    "７年5月",
    "202405",
    "6.4",
    "熊本市①",
    "",
    " ",
    "全国",
    "東京都",
    "合計",
    "人口総数",
    "値",
    "年月",
    "※1",
    "熊本市※1",
    "ｸﾏﾓﾄ",
    "2024年13月",
    "x\ty",
]


@many(60)
@given(st.data())
def test_whatever_is_in_a_cell_both_ways_agree(data: st.DataObject) -> None:
    rows = data.draw(long_rows())
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.integers(0, len(rows) - 1))
        column = data.draw(st.sampled_from([4, 4, 4, 0, 1, 2, 3]))
        rows[row][column] = data.draw(st.sampled_from(ODD_VALUES if column == 4 else ODD_LABELS))
    agrees(data.draw(written(rows)), contract())


@pytest.mark.parametrize("value", ["▲12", "１２", "X", "12人", "約30", "1,234"])
def test_values_that_say_more_are_read_by_the_engine_within_the_plain_way(value: str) -> None:
    rows = [
        ["令和6年5月", "熊本市", "0～4歳", "人口総数", "5"],
        ["令和6年6月", "熊本市", "0～4歳", "人口総数", f'"{value}"'],
    ]
    assert agrees("\n".join(map(",".join, [LONG, *rows])).encode("cp932"), contract())


LINES = [
    "", ",,,,", "令和6年5月,熊本市", "令和6年9月,熊本市,0～4歳,世帯数,5,6", "※1 注", "出典：県", '"令和6年9月,熊本市,0～4歳,世帯数,5',
    '令和6年9月,熊"本市,0～4歳,世帯数,5', '"令和6年\n9月",熊本市,0～4歳,世帯数,5', "令和6年9月,熊本市,0～4歳,世帯数,5\x00",
    "年月,市町村,年齢階級,指標,値", "令和6年9月,熊本市,0～4歳,世帯数,5\r6", "\x1a", "令和6年5月,熊本市,0～4歳,人口総数,1",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("where", [1, 5, 8])
@pytest.mark.parametrize("encoding", ["cp932", "utf-8"])
def test_a_line_that_is_no_row_is_left_to_the_engine(line: str, where: int, encoding: str) -> None:
    rows = [f"令和6年5月,熊本市,{age},{measure},1" for age in AGES[:2] for measure in MEASURES]
    lines = [",".join(LONG), *rows]
    lines.insert(where, line)
    assert not agrees("\n".join(lines).encode(encoding), contract())


@pytest.mark.parametrize(
    "heading",
    ["年月,市町村,年齢階級,指標", "年月,市町村,年齢階級,指標,値,新しい列", "年月,市町村,年齢階級,指標,数",
     "住民の数,,,,", "年月,市町村,年齢階級,指標,指標", "sep=,"],
)  # fmt: skip
def test_another_heading_is_left_to_the_engine(heading: str) -> None:
    body = f"{heading}\n令和6年5月,熊本市,0～4歳,人口総数,1\n令和6年6月,熊本市,0～4歳,人口総数,1\n"
    assert not agrees(body.encode("cp932"), contract())


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-16", None), ("euc_jp", None), ("utf-8", "cp932"), ("cp932", "utf-8"), ("iso2022_jp", None)],
)
def test_another_encoding_is_left_to_the_engine(encoding: str, declared: str | None) -> None:
    feed = contract()
    feed = replace(feed, source=replace(file_source(feed), encoding=declared))
    body = f"{','.join(LONG)}\n令和6年5月,熊本市,0～4歳,人口総数,1\n".replace("～", "-").encode(encoding)
    with pytest.raises(NotPlain):
        plain(body, feed)


def test_bytes_of_no_character_are_found_wherever_they_stand() -> None:
    lines = [
        ",".join(LONG),
        *(f"令和6年5月,熊本市,{age},{measure},1" for age in AGES for measure in MEASURES),
    ]
    good = "\r\n".join(lines).encode("cp932")
    assert agrees(good, contract())
    for at in range(0, len(good), 7):
        spoilt = good[:at] + b"\xfd" + good[at:]
        with pytest.raises(NotPlain):
            plain(spoilt, contract())
        with pytest.raises(UnreadableFile):
            file_rows.read_file(contract(), spoilt, NAME)


@st.composite
def wide_rows(draw: st.DrawFn) -> list[list[Any]]:
    keys = [[month, area, age] for month in MONTHS for area in AREAS for age in AGES]
    chosen = draw(st.lists(st.integers(0, len(keys) - 1), min_size=1, max_size=25, unique=True))
    return [
        [
            *keys[at],
            draw(NUMBERS),
            draw(st.one_of(NUMBERS, st.just(""))),
            draw(st.sampled_from(["実績", "予定", ""])),
            draw(st.sampled_from(["", "再集計", "速報 による"])),
            str(draw(st.integers(0, 99))),
        ]
        for at in chosen
    ]


WIDE_HEADING = ["年月", "市町村", "年齢階級", "人口", "世帯", "状況", "備考", "整理番号"]


@many(20)
@given(st.data())
def test_several_values_a_row_with_status_note_and_a_column_nobody_loads(data: st.DataObject) -> None:
    assert agrees(data.draw(written(data.draw(wide_rows()), WIDE_HEADING)), contract(WIDE))


@many(30)
@given(st.data())
def test_several_values_a_row_whatever_is_in_a_cell(data: st.DataObject) -> None:
    rows = data.draw(wide_rows())
    column = data.draw(st.sampled_from([3, 4, 5, 6, 7]))
    rows[data.draw(st.integers(0, len(rows) - 1))][column] = data.draw(
        st.sampled_from(ODD_VALUES + ODD_LABELS)
    )
    agrees(data.draw(written(rows, WIDE_HEADING)), contract(WIDE))


def test_a_month_that_takes_its_year_from_the_rows_above_is_left_to_the_engine() -> None:
    rows = [
        [month, "熊本市", "0～4歳", "人口総数", "1"] for month in ("令和6年12月", "1月", "令和7年12月", "1月")
    ]
    body = "\n".join(map(",".join, [LONG, *rows])).encode("cp932")
    assert not agrees(body, contract())
    reading = file_rows.read_file(contract(), body, NAME)
    assert not reading.faults
    assert [str(row.period) for row in reading.rows] == [
        "2024-12-01",
        "2025-01-01",
        "2025-12-01",
        "2026-01-01",
    ]


def test_what_the_contract_converts_and_labels_that_stand_again_are_left_to_the_engine() -> None:
    rows = [["令和6年5月", "熊本市", "0～4歳", "5", "5", "", "", "1"]]
    body = "\n".join(map(",".join, [WIDE_HEADING, *rows])).encode("cp932")
    assert agrees(body, contract(WIDE))
    converted = WIDE.replace(
        "measure: population, unit: 人", "measure: population, unit: 人, unitFactors: {千人: 1000}"
    )
    assert not agrees(body, contract(converted))
    again = [[*WIDE_HEADING, "市町村"], [*rows[0], "熊本市"]]
    assert not agrees("\n".join(map(",".join, again)).encode("cp932"), contract(WIDE))
    assert not file_rows.read_file(
        contract(WIDE), "\n".join(map(",".join, again)).encode("cp932"), NAME
    ).faults
