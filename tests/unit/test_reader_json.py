"""JSON records: keys as headings, values with their type and pointer."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.grid import Book
from kpi_warehouse.readers.json_records import read_json


def read(document: Any, records: str = "/records") -> Book:
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return read_json(text.encode(), "line.json", records)


def refused(body: bytes, records: str = "/records") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as raised:
        read_json(body, "line.json", records)
    assert "line.json" in raised.value.message_ja
    return raised.value


def test_records_become_rows_under_their_keys() -> None:
    book = read(
        {
            "as_of": "2024-10-31",
            "records": [{"時点": "R6.10", "登録者": 7620}, {"登録者": 7700, "備考": None}],
        }
    )
    rows = book.sheets[0].rows
    assert book.format == "json" and book.properties == {"/as_of": "2024-10-31"}
    assert [[cell.text for cell in row] for row in rows] == [
        ["時点", "登録者", "備考"],
        ["R6.10", "7620", ""],
        ["", "7700", ""],
    ]
    assert rows[1][1].place == "/records/0/登録者" and rows[2][0].place == "/records/1/時点"
    assert rows[1][1].value == 7620 and rows[2][2].value is None


def test_numbers_keep_every_digit() -> None:
    row = (
        read('{"records":[{"a":1.10,"b":12345678901234567890,"c":1e3,"d":0.1,"e":true,"f":"001"}]}')
        .sheets[0]
        .rows[1]
    )
    assert [cell.text for cell in row] == ["1.10", "12345678901234567890", "1000", "0.1", "TRUE", "001"]
    assert row[0].value == Decimal("1.10") and row[4].value is True


def test_what_is_nested_becomes_a_heading_of_two_rows() -> None:
    rows = read({"records": [{"登録者": {"type": "NUMBER", "value": "3"}, "内訳": [1, 2]}]}).sheets[0].rows
    assert [cell.text for cell in rows[0]] == ["登録者／type", "登録者／value", "内訳／0", "内訳／1"]
    assert rows[1][1].place == "/records/0/登録者/value" and rows[1][3].value == 2


@pytest.mark.parametrize(
    ("document", "pointer", "place"),
    [
        ([{"a": 1}], "", "/0/a"),
        ({"a": 1}, "", "/a"),
        ({"x": {"y/z": [{"a": 1}]}}, "/x/y~1z", "/x/y~1z/0/a"),
        ([[{"a": 1}]], "/0", "/0/0/a"),
    ],
)
def test_the_pointer_finds_the_records(document: Any, pointer: str, place: str) -> None:
    rows = read(document, pointer).sheets[0].rows
    assert [cell.place for cell in rows[1]] == [place] and rows[1][0].value == 1


def test_no_records_are_no_rows() -> None:
    assert len(read({"records": []}).sheets[0].rows) == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"records": [{"a": 1}', "途中"),
        ('{"登録": []}'.encode(), "登録"),
        (b'{"records": [1]}', "/records/0"),
        (b'{"records": [{"a": 1, "a": 2}]}', "2 回"),
        (b'{"records": [{"a": NaN}]}', "NaN"),
        (b'{"records": [{"a": 1e999999999}]}', "大きすぎ"),
        (b'{"records": ' + b"[" * 100_000, "深すぎ"),
        (b'{"records": [' + b'{"a":' * 20 + b"1" + b"}" * 20 + b"]}", "深すぎ"),
        (b"<html>", "JSON"),
        (b"7" * 5000, "JSON"),
    ],
)
def test_what_is_no_such_document(body: bytes, said: str) -> None:
    error = refused(body)
    assert error.code == "file.not_json" and said in error.message_ja


def test_json_in_cp932_is_named() -> None:
    assert "CP932" in refused('{"records": [{"区分": "大阪圏"}]}'.encode("cp932")).message_ja


def test_records_of_ever_new_keys_do_not_grow_without_end() -> None:
    body = json.dumps({"records": [{f"k{at}": 1} for at in range(3000)]}).encode()
    assert refused(body).code == "file.too_many_cells"
