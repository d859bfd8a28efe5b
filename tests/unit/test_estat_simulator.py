"""The e-Stat simulator answers as the specification says, starts fast and stops cleanly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from estat_pages import KEY, SEPTEMBER, data, get, pages, rows

from demo.estat import Simulator, published, synthetic
from demo.estat.edits import revise
from demo.estat.tables import FLOW, KUMAMOTO, MOVES

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served() -> Iterator[Simulator]:
    with Simulator([published.moves(), published.flow()]) as sim:
        yield sim


def axes(body: dict[str, Any]) -> dict[str, Any]:
    return {each["@id"]: each["CLASS"] for each in body["STATISTICAL_DATA"]["CLASS_INF"]["CLASS_OBJ"]}


def test_an_answer_has_the_documented_parts_in_the_documented_order(served: Simulator) -> None:
    body = data(served, **SEPTEMBER, cdTab="02,03,04", limit=2)
    assert list(body) == ["RESULT", "PARAMETER", "STATISTICAL_DATA"]
    assert list(body["RESULT"]) == ["STATUS", "ERROR_MSG", "DATE"]
    assert (body["RESULT"]["STATUS"], body["RESULT"]["ERROR_MSG"]) == (0, "正常に終了しました。")
    assert body["PARAMETER"] == {
        "LANG": "J",
        "STATS_DATA_ID": MOVES,
        "NARROWING_COND": {
            "CODE_TAB_SELECT": "02,03,04",
            "CODE_TIME_SELECT": "2024000909",
            "CODE_AREA_SELECT": KUMAMOTO,
        },
        "DATA_FORMAT": "J",
        "START_POSITION": 1,
        "LIMIT": 2,
        "METAGET_FLG": "Y",
    }
    parts = body["STATISTICAL_DATA"]
    assert list(parts) == ["RESULT_INF", "TABLE_INF", "CLASS_INF", "DATA_INF"]
    assert parts["RESULT_INF"] == {"TOTAL_NUMBER": 3, "FROM_NUMBER": 1, "TO_NUMBER": 2, "NEXT_KEY": 3}
    assert parts["TABLE_INF"]["STAT_NAME"] == {"@code": "00200523", "$": "住民基本台帳人口移動報告"}
    assert list(parts["DATA_INF"]) == ["NOTE", "VALUE"]
    assert rows(body)[0] == {
        "@tab": "02",
        "@cat01": "0",
        "@cat02": "60000",
        "@area": KUMAMOTO,
        "@time": "2024000909",
        "@unit": "人",
        "$": "1948",
    }


def test_one_line_of_ascii_with_the_signs_of_markup_escaped(served: Simulator) -> None:
    text = get(served, **SEPTEMBER).text
    assert text.isascii() and "\n" not in text
    assert not set("<>&='") & set(text)


def test_one_element_is_an_object_and_several_are_an_array(served: Simulator) -> None:
    one = data(served, **SEPTEMBER, cdTab="04")["STATISTICAL_DATA"]
    assert isinstance(one["DATA_INF"]["VALUE"], dict) and isinstance(one["DATA_INF"]["NOTE"], dict)
    assert isinstance(axes({"STATISTICAL_DATA": one})["tab"], dict)
    assert isinstance(data(served, **SEPTEMBER)["STATISTICAL_DATA"]["DATA_INF"]["VALUE"], list)


def test_pages_follow_each_other_and_the_last_has_no_next_key(served: Simulator) -> None:
    got = pages(served, statsDataId=MOVES, cdArea=KUMAMOTO, limit=100)
    numbers = [page["STATISTICAL_DATA"]["RESULT_INF"] for page in got]
    assert [each.get("NEXT_KEY") for each in numbers] == [101, 201, None]
    assert sum(len(rows(page)) for page in got) == numbers[0]["TOTAL_NUMBER"] == 3 * 86
    times = [row["@time"] for page in got for row in rows(page)]
    assert times == sorted(times, reverse=True), "newest first"


def test_class_inf_follows_the_conditions_and_not_the_page(served: Simulator) -> None:
    body = data(served, statsDataId=MOVES, cdTime="2024000909", limit=1)
    assert len(axes(body)["area"]) == 48
    assert "CLASS_INF" not in data(served, **SEPTEMBER, metaGetFlg="N")["STATISTICAL_DATA"]


def test_counts_only(served: Simulator) -> None:
    parts = data(served, statsDataId=MOVES, cntGetFlg="Y")["STATISTICAL_DATA"]
    assert parts["RESULT_INF"] == {"TOTAL_NUMBER": 48 * 3 * 86} and "DATA_INF" not in parts


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"cdTimeFrom": "2024000101", "cdTimeTo": "2024000303"}, 3),
        ({"cdTimeFrom": "2024001212"}, 3),
        ({"cdTime": "max"}, 1),
        ({"cdTimeFrom": "min", "cdTimeTo": "2018000202"}, 2),
        ({"cdTime": "2024000909,2023000909", "cdTimeFrom": "2024000101"}, 1),
        ({"cdTime": "2024000909", "lvArea": "2"}, 1),
        ({"cdTime": "2024000909", "lvArea": "-2"}, 1),
    ],
)
def test_conditions_on_an_axis_are_all_met(served: Simulator, conditions: dict[str, str], count: int) -> None:
    assert len(rows(data(served, statsDataId=MOVES, cdArea=KUMAMOTO, cdTab="04", **conditions))) == count


@pytest.mark.parametrize(
    ("params", "status", "http"),
    [
        ({"statsDataId": ""}, 101, 400),
        ({"statsDataId": "0000000000"}, 300, 400),
        ({"statsDataId": MOVES, "dataSetId": "x"}, 102, 400),
        ({"statsDataId": "9" * 31}, 103, 400),
        ({"statsDataId": MOVES, "lang": "F"}, 102, 400),
        ({"statsDataId": MOVES, "limit": "100001"}, 102, 400),
        ({"statsDataId": MOVES, "startPosition": "x"}, 104, 400),
        ({"statsDataId": MOVES, "lvArea": "2-x"}, 102, 400),
        ({"statsDataId": MOVES, "cdCat09": "1"}, 102, 400),
        ({"statsDataId": MOVES, "cdTime": "min,2024000909"}, 102, 400),
        ({"statsDataId": MOVES, "cdArea": ",".join(["43000"] * 101)}, 105, 400),
        ({"statsDataId": MOVES, "cdTime": "2031000101"}, 1, 200),
    ],
)
def test_statuses_and_their_http_codes(
    served: Simulator, params: dict[str, str], status: int, http: int
) -> None:
    response = get(served, **params)
    assert (response.json()["GET_STATS_DATA"]["RESULT"]["STATUS"], response.status_code) == (status, http)


def test_no_data_is_success_without_rows(served: Simulator) -> None:
    body = data(served, statsDataId=MOVES, cdTime="2031000101")
    assert body["RESULT"]["ERROR_MSG"] == "正常に終了しましたが、該当データはありませんでした。"
    assert body["STATISTICAL_DATA"]["RESULT_INF"] == {"TOTAL_NUMBER": 0}
    assert not {"CLASS_INF", "DATA_INF"} & set(body["STATISTICAL_DATA"])


@pytest.mark.parametrize("key", ["", "0" * 39, "g" * 40])
def test_a_bad_key_is_refused_with_403(served: Simulator, key: str) -> None:
    response = get(served, key=key, **SEPTEMBER)
    assert response.status_code == 403 and response.json()["GET_STATS_DATA"]["RESULT"]["STATUS"] == 100


def test_the_key_is_neither_echoed_nor_recorded_nor_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with Simulator([published.moves()], app_id=KEY) as sim:
        assert KEY not in get(sim, **SEPTEMBER).text
        assert get(sim, key="f" * 40, **SEPTEMBER).status_code == 403
        assert [seen["_key_sent"] for seen in sim.requests] == [True, False]
        assert KEY not in str(sim.requests)
    assert KEY not in "".join(capfd.readouterr())


def test_gzip_only_when_asked(served: Simulator) -> None:
    url, params = f"{served.base_url}/json/getStatsData", {"appId": KEY, **SEPTEMBER}
    plain = requests.get(url, params=params, headers={"Accept-Encoding": "identity"}, timeout=10)
    zipped = requests.get(url, params=params, headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert "Content-Encoding" not in plain.headers and zipped.headers["Content-Encoding"] == "gzip"
    assert (
        plain.json()["GET_STATS_DATA"]["STATISTICAL_DATA"]
        == zipped.json()["GET_STATS_DATA"]["STATISTICAL_DATA"]
    )


@pytest.mark.parametrize(("replace", "shown"), [("0", "…"), ("1", "0"), ("2", ""), ("3", "NA")])
def test_marks_are_replaced_on_request(served: Simulator, replace: str, shown: str) -> None:
    asked = {"statsDataId": MOVES, "cdArea": "01000", "cdTime": "2018000101", "replaceSpChars": replace}
    assert {row["$"] for row in rows(data(served, **asked))} == {shown}


def test_unknown_paths_are_an_html_page(served: Simulator) -> None:
    for url in (f"{served.base_url}/json/getNothing", f"{served.root_url}/control/requests"):
        response = requests.get(url, timeout=10)
        assert response.status_code == 404 and response.text.startswith("<!DOCTYPE html>")


def test_meta_info_lists_the_axes_of_both_tables(served: Simulator) -> None:
    def classes(table: str) -> dict[str, int]:
        body = get(served, "getMetaInfo", statsDataId=table).json()["GET_META_INFO"]["METADATA_INF"]
        return {
            each["@id"]: len(each["CLASS"]) if isinstance(each["CLASS"], list) else 1
            for each in body["CLASS_INF"]["CLASS_OBJ"]
        }

    assert classes(MOVES) == {"tab": 4, "cat01": 3, "cat02": 3, "area": 48, "time": 86}
    assert classes(FLOW) == {"tab": 1, "cat01": 47, "cat02": 3, "area": 47, "time": 24}


def test_stats_list_narrows(served: Simulator) -> None:
    def found(**params: str) -> Any:
        listing = get(served, "getStatsList", **params).json()["GET_STATS_LIST"]["DATALIST_INF"]
        return listing["NUMBER"], listing.get("TABLE_INF")

    assert found(statsCode="00200523")[0] == 2
    assert found(statsCode="00200")[0] == 2
    assert found(statsCode="00200521") == (0, None)
    assert found(searchWord="住所地別 AND 移動者数")[1]["@id"] == FLOW
    assert found(searchWord="移動者数 NOT 住所地別")[1]["@id"] == MOVES
    assert found(updatedDate="20250301-20250331")[1]["@id"] == MOVES
    assert found(updatedDate="202501")[1]["@id"] == FLOW
    assert found(limit="1")[1]["@id"] == MOVES


def test_annotations_come_with_their_rows_unless_declined() -> None:
    table = replace(published.moves(), annotations={"…": "収録なし"})
    asked = {"statsDataId": MOVES, "cdArea": "01000", "cdTime": "2018000101", "cdTab": "02"}
    with Simulator([table]) as sim:
        (row,) = rows(data(sim, **asked))
        assert list(row)[-2:] == ["@annotation", "$"] and row["@annotation"] == "…"
        assert "@annotation" not in rows(data(sim, **asked, annotationGetFlg="N"))[0]


def test_prepared_answers_are_identical_to_the_byte_until_the_table_changes() -> None:
    flow = synthetic.synthetic_flow(10_000)
    asked = {"statsDataId": FLOW, "limit": "5000"}
    with Simulator([flow], clock="2026-01-15T10:00:00.000+09:00", prepared=True) as sim:
        assert sim.prepare(**asked) == 2
        first, second = get(sim, **asked).content, get(sim, **asked).content
        sim.publish(revise(flow, 0.05))
        third = get(sim, **asked).content
    with Simulator([flow]) as sim:
        moving = [get(sim, **asked).json()["GET_STATS_DATA"] for _ in range(2)]
    assert first == second != third
    assert (
        moving[0]["STATISTICAL_DATA"]
        == moving[1]["STATISTICAL_DATA"]
        == json.loads(first)["GET_STATS_DATA"]["STATISTICAL_DATA"]
    )
    assert moving[0]["RESULT"]["DATE"] != moving[1]["RESULT"]["DATE"]


def test_the_command_line_starts_fast_says_where_it_is_and_ends_on_sigterm(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "demo.estat", "--data", "published", "--ready-file", str(ready)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert ready.read_text() == url
            response = requests.get(
                f"{url}/json/getStatsData", params={"appId": KEY, **SEPTEMBER}, timeout=10
            )
            assert response.json()["GET_STATS_DATA"]["RESULT"]["STATUS"] == 0
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_serving_published_figures_needs_neither_numpy_nor_pandas() -> None:
    code = "import sys, demo.estat.__main__; print({'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
