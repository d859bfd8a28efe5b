"""The e-Stat client reads a table whole: every row once, of one version, the bytes as they were sent."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from datetime import date

import pytest
from estat_reading import HERE, KUMAMOTO_ROWS, ONE, Told, cells, client, pull, telling
from scripted_server import Act, answer, page, scripted

from demo.estat import Fault, Simulator, published, synthetic
from demo.estat.edits import revise, until
from demo.estat.tables import FLOW, KUMAMOTO, MOVES, PREFECTURES, months_before
from kpi_warehouse.errors import SourceRefused, SourceUnavailable
from kpi_warehouse.settings import Settings
from kpi_warehouse.sources.estat import DataQuery, EstatClient, Page


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with Simulator([]) as sim:
        yield telling(sim)


# What is asked


def test_a_table_describes_itself(told: Told) -> None:
    with told() as sim:
        table = client(sim.base_url).describe(MOVES)
    assert (table.table_id, table.stats_code, table.stats_name, table.updated_on) == (
        MOVES,
        "00200523",
        "住民基本台帳人口移動報告",
        date(2025, 3, 31),
    )
    assert list(table.axes) == ["tab", "cat01", "cat02", "area", "time"]
    assert table.axes["area"].codes[KUMAMOTO].name == "熊本県"
    assert table.axes["time"].codes["2024000909"].name == "2024年9月"


def test_single_elements_may_be_objects_and_texts_may_be_numbers() -> None:
    body = {
        "GET_META_INFO": {
            "RESULT": {"STATUS": "0", "ERROR_MSG": "正常に終了しました。"},
            "METADATA_INF": {
                "TABLE_INF": {
                    "@id": "1",
                    "STAT_NAME": {"@code": "00200523", "$": "報告"},
                    "TITLE": {"@no": "001", "$": "表"},
                    "SURVEY_DATE": 0,
                    "DESCRIPTION": {"TABULATION_CATEGORY_EXPLANATION": "…"},
                    "UPDATED_DATE": "2026-01-10",
                },
                "CLASS_INF": {
                    "CLASS_OBJ": {
                        "@id": "area",
                        "CLASS": {"@code": "43100", "@level": "", "@parentCode": "43000", "@unit": "人"},
                    }
                },
            },
        }
    }
    with scripted(answer(json.dumps(body).encode())) as (url, _):
        table = client(url).describe("1")
    assert (table.title, table.stats_name) == ("表", "報告")
    code = table.axes["area"].codes["43100"]
    assert (code.name, code.level, code.unit, code.parent) == ("", "", "人", "43000")


def test_tables_are_found_over_several_pages_and_none_is_no_error(told: Told) -> None:
    def listing(name: str, **next_key: int) -> Act:
        entry = {"@id": name, "TITLE": name, "STAT_NAME": {"@code": "00200523"}, "UPDATED_DATE": ""}
        found = {"RESULT_INF": next_key, "TABLE_INF": entry}
        body = {"GET_STATS_LIST": {"RESULT": {"STATUS": 0}, "DATALIST_INF": found}}
        return answer(json.dumps(body).encode())

    with scripted(listing("1", NEXT_KEY=2), listing("2")) as (url, received):
        assert [entry.table_id for entry in client(url).tables(stats_code="00200523")] == ["1", "2"]
    assert "startPosition=2" in received[1]
    with told() as sim:
        asked = client(sim.base_url)
        assert [entry.table_id for entry in asked.tables(search_word="転入超過数")] == [MOVES]
        assert asked.tables(updated_date="19990101") == []


def test_a_pull_brings_every_row_once_with_the_bytes_as_sent(told: Told) -> None:
    with told() as sim:
        pages = pull(client(sim.base_url, page_limit=100))
        assert [(p.from_number, p.to_number, p.total_number, p.next_key) for p in pages] == [
            (1, 100, KUMAMOTO_ROWS, 101),
            (101, 200, KUMAMOTO_ROWS, 201),
            (201, KUMAMOTO_ROWS, KUMAMOTO_ROWS, None),
        ]
        assert len({(c["@tab"], c["@cat01"], c["@cat02"], c["@time"]) for c in cells(pages)}) == KUMAMOTO_ROWS
        for asked in sim.requests:
            assert asked["_gzip"] and asked["cdArea"] == KUMAMOTO and asked["annotationGetFlg"] == "Y"
            assert asked["metaGetFlg"] == "N" and "replaceSpChars" not in asked
    for got in pages:
        assert got.content_encoding == "gzip" and gzip.decompress(got.body) == got.text()
        assert got.updated_on == "2025-03-31" and "NOTE" in got.text().decode()


def test_lists_over_the_limit_of_the_api_become_several_requests() -> None:
    query = DataQuery(
        FLOW, {"cat01": list(PREFECTURES), "time": [f"{n:010}" for n in range(230)], "tab": ["02"]}
    )
    parts = query.parts()
    assert [len(part["cdTime"].split(",")) for part in parts] == [100, 100, 30]
    assert {part["cdCat01"] for part in parts} == {",".join(PREFECTURES)}
    months = list(months_before("2025-02", 150))
    table = synthetic.synthetic_migration(months, other_areas=False)
    codes = [*table.months, next(iter(table.months))]
    with Simulator([table]) as sim:
        pages = pull(client(sim.base_url, page_limit=20), DataQuery(MOVES, {"time": codes, "tab": ["04"],
                     "cat01": ["0"], "cat02": ["60000"], "area": [KUMAMOTO]}))  # fmt: skip
    assert {p.part for p in pages} == {1, 2}
    assert len({c["@time"] for c in cells(pages)}) == len(cells(pages)) == 150


@pytest.mark.parametrize(
    "axes", [{"cat16": ["1"]}, {"sex": ["0"]}, {"time": []}, {"time": [""]}, {"area": ["1,2"]}]
)
def test_what_the_api_would_ignore_or_widen_is_refused_before_it_is_asked(axes: dict[str, list[str]]) -> None:
    with pytest.raises(SourceRefused) as raised:
        DataQuery(MOVES, axes)
    assert raised.value.code == "estat.parameter" and MOVES in raised.value.message_ja


def test_no_data_is_an_answer_and_no_error(told: Told) -> None:
    with told(Fault("status", status=1)) as sim:
        (empty,) = pull(client(sim.base_url))
    assert (empty.total_number, empty.next_key) == (0, None)


def test_a_table_published_while_it_is_read_is_read_again(told: Told) -> None:
    new = published.moves()
    kept: list[Page] = []
    forgotten: list[int] = []

    def restart() -> None:
        forgotten.append(len(kept))
        kept.clear()

    with told(table=until(new, "2025-01")) as sim:
        for got in client(sim.base_url, page_limit=100).pages(HERE, on_restart=restart):
            kept.append(got)
            sim.publish(new)
    assert forgotten == [1]
    assert len(cells(kept)) == kept[0].total_number == KUMAMOTO_ROWS


def test_a_revision_with_the_same_number_of_rows_is_noticed_by_its_date(told: Told) -> None:
    table = synthetic.synthetic_migration(["2024-08", "2024-09"], other_areas=False)
    with told(table=table) as sim:
        kept: list[Page] = []
        for got in client(sim.base_url, page_limit=50).pages(HERE, on_restart=kept.clear):
            kept.append(got)
            if len(sim.requests) == 1:
                sim.publish(revise(table))
    assert {got.updated_on for got in kept} == {kept[0].updated_on} and len(cells(kept)) == 72


def test_a_table_that_keeps_changing_is_given_up(told: Told) -> None:
    slept: list[float] = []
    restarts: list[int] = []
    with told(Fault("total_changes", by=3)) as sim, pytest.raises(SourceUnavailable) as raised:
        for _ in client(sim.base_url, slept, page_limit=100).pages(
            HERE, on_restart=lambda: restarts.append(1)
        ):
            pass
    assert raised.value.code == "estat.moving" and "258 から 261" in raised.value.message_ja
    assert (len(restarts), len(sim.requests), slept) == (4, 8, [1, 2, 4])


@pytest.mark.parametrize(
    "second",
    [
        page(rows=2, first=1, total=4),
        page(rows=1, first=3, total=4, NEXT_KEY=None),
        page(rows=2, first=3, total=4, NEXT_KEY=5),
        page(rows=1, first=3, total=4, NEXT_KEY=3),
        page(rows=2, first=4, total=5, TOTAL_NUMBER=4),
        page(rows=2, first=3, total=4, FROM_NUMBER=None),
        page(rows=2, first=3, total=4, TO_NUMBER=1),
    ],
)
def test_pages_that_do_not_continue_each_other_are_no_table(second: Act) -> None:
    whole = [page(rows=2, total=4), page(rows=2, first=3, total=4)]
    with scripted(page(rows=2, total=4), second, *whole) as (url, received):
        assert len(cells(pull(client(url), ONE))) == 4
    assert len(received) == 4 and "startPosition=3" in received[1]
    with (
        scripted(*[page(rows=2, total=4), second] * 4) as (url, _),
        pytest.raises(SourceUnavailable) as raised,
    ):
        pull(client(url), ONE)
    assert raised.value.code == "estat.incomplete"


def test_rows_that_vanish_between_pages_do_not_end_the_table_early() -> None:
    gone = answer(
        b'{"GET_STATS_DATA":{"RESULT":{"STATUS":1},"STATISTICAL_DATA":{"RESULT_INF":{"TOTAL_NUMBER":0}}}}'
    )
    with scripted(page(rows=2, total=4), gone, page(rows=2, total=4), page(rows=2, first=3, total=4)) as (
        url,
        _,
    ):
        assert len(cells(pull(client(url), ONE))) == 4


def test_requests_keep_their_distance_over_threads(told: Told) -> None:
    with told() as sim:
        reader = client(sim.base_url, requests_per_second=20, sleep=time.sleep)
        threads = [threading.Thread(target=reader.describe, args=(MOVES,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = sorted(asked["_at"] for asked in sim.requests)
    assert len(times) == 5 and times[-1] - times[0] >= 4 / 20 * 0.9


@pytest.mark.parametrize("unlimited", [0, float("inf")])
def test_the_pace_can_be_switched_off(unlimited: float, told: Told) -> None:
    slept: list[float] = []
    with told() as sim:
        reader = client(sim.base_url, slept, requests_per_second=unlimited)
        for _ in range(3):
            reader.describe(MOVES)
    assert slept == []


def test_without_a_key_the_message_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, " "):
        monkeypatch.delenv("ESTAT_APP_ID", raising=False)
        if value:
            monkeypatch.setenv("ESTAT_APP_ID", value)
        with pytest.raises(SourceRefused) as raised:
            EstatClient.from_settings(Settings())
        assert raised.value.code == "estat.no_key" and "ESTAT_APP_ID" in raised.value.message_ja
