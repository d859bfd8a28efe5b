"""The e-Stat simulator goes wrong as told: where, how often and in every way the gate has to notice."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests
from estat_pages import KEY, SEPTEMBER, data, get, pages, rows

from demo.estat import Fault, Simulator, Table, published
from demo.estat.edits import (
    add_persons,
    other_unit,
    recode,
    set_text,
    split_by_nationality,
    swap_axes,
    transpose,
    unknown_area,
    until,
    without_month,
)
from demo.estat.tables import FLOW, KUMAMOTO, MOVES, time_code


def told(*faults: Fault, table: Table | None = None, **options: Any) -> Simulator:
    return Simulator([table or published.moves()], faults, **options)


@pytest.mark.parametrize(
    ("status", "http"), [(1, 200), (100, 403), (102, 400), (200, 500), (203, 500), (299, 500)]
)
def test_a_told_status_comes_with_its_http_code(status: int, http: int) -> None:
    with told(Fault("status", status=status)) as sim:
        response = get(sim, **SEPTEMBER)
        assert (response.json()["GET_STATS_DATA"]["RESULT"]["STATUS"], response.status_code) == (status, http)


def test_errors_may_come_with_http_200() -> None:
    with told(Fault("errors_as_200"), Fault("status", status=299, times=1)) as sim:
        assert get(sim, **SEPTEMBER).status_code == 200
        refused = get(sim, key="", **SEPTEMBER)
        assert refused.status_code == 200 and refused.json()["GET_STATS_DATA"]["RESULT"]["STATUS"] == 100


def test_a_fault_strikes_as_often_as_told_and_then_the_server_is_well() -> None:
    faults = [Fault("http", http=503, times=2), Fault("http", http=429, retry_after=3, after=1, times=1)]
    with told(*faults) as sim:
        answers = [get(sim, **SEPTEMBER) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 200, 200]
    with told(Fault("http", http=429, retry_after=3, after=1, times=1)) as sim:
        answers = [get(sim, **SEPTEMBER) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 429, 200]
        assert answers[1].headers["Retry-After"] == "3"


def test_faults_keep_to_their_function_table_and_page() -> None:
    with told(Fault("http", http=500, function="getStatsData", page=2)) as sim:
        assert get(sim, "getMetaInfo", statsDataId=MOVES).status_code == 200
        assert get(sim, **SEPTEMBER, limit=1).status_code == 200
        assert get(sim, **SEPTEMBER, limit=1, startPosition=2).status_code == 500
    with told(Fault("http", http=500, table=FLOW)) as sim:
        assert get(sim, **SEPTEMBER).status_code == 200


@pytest.mark.parametrize("http", [200, 503])
def test_a_maintenance_page_is_html(http: int) -> None:
    with told(Fault("html", http=http)) as sim:
        response = get(sim, **SEPTEMBER)
        assert response.status_code == http and "メンテナンス" in response.text


def test_hanging_ends_with_the_clients_patience_and_the_server_still_stops() -> None:
    started = time.monotonic()
    with told(Fault("hang", seconds=60)) as sim, pytest.raises(requests.Timeout):
        requests.get(f"{sim.base_url}/json/getStatsList", params={"appId": KEY}, timeout=0.3)
    assert time.monotonic() - started < 5


def test_a_dropped_connection_and_a_cut_body() -> None:
    with told(Fault("drop", times=1), Fault("truncate", after=1)) as sim:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            get(sim, **SEPTEMBER)
        with pytest.raises(json.JSONDecodeError):
            json.loads(get(sim, **SEPTEMBER).text)


def test_the_total_changes_between_pages_and_a_second_reading_is_whole() -> None:
    asked = {"statsDataId": MOVES, "cdArea": KUMAMOTO, "limit": 200}
    with told(Fault("total_changes", by=3, page=2, times=1)) as sim:
        for expected in ([258, 261], [258, 258]):
            got = [page["STATISTICAL_DATA"]["RESULT_INF"]["TOTAL_NUMBER"] for page in pages(sim, **asked)]
            assert got == expected


def test_pages_that_lack_rows_repeat_or_are_shuffled() -> None:
    asked = {"statsDataId": MOVES, "cdArea": KUMAMOTO, "limit": 200}
    with told(Fault("fewer_rows", rows=2, page=2)) as sim:
        got = pages(sim, **asked)
        assert sum(len(rows(page)) for page in got) == 256
        assert got[1]["STATISTICAL_DATA"]["RESULT_INF"] == {
            "TOTAL_NUMBER": 258,
            "FROM_NUMBER": 201,
            "TO_NUMBER": 258,
        }
    with told(Fault("replay_page")) as sim:
        first, second = pages(sim, **asked)
        assert rows(second) == rows(first)[: len(rows(second))]
    with told(Fault("shuffle")) as sim:
        mixed = rows(data(sim, **asked))
        sim.faults.clear()
        assert mixed != rows(data(sim, **asked)) and sorted(map(str, mixed)) == sorted(
            map(str, rows(data(sim, **asked)))
        )
    with told(Fault("page_size", rows=1)) as sim:
        got = pages(sim, **SEPTEMBER)
        assert len(got) == 3 and all(
            isinstance(p["STATISTICAL_DATA"]["DATA_INF"]["VALUE"], dict) for p in got
        )


def test_a_table_may_be_served_edited() -> None:
    faults = [
        Fault("set_text", period="2024-09", where={"area": KUMAMOTO, "tab": "02"}, text="X"),
        Fault("retitle", title="別の表"),
        Fault("other_survey", stat_code="00200521"),
        Fault("rename_axis", axis="cat02", new_id="cat03"),
    ]
    with told(*faults) as sim:
        body = data(sim, **SEPTEMBER)
        assert rows(body)[0]["$"] == "X" and "@cat03" in rows(body)[0]
        table = body["STATISTICAL_DATA"]["TABLE_INF"]
        assert (table["TITLE"]["$"], table["STAT_NAME"]["@code"]) == ("別の表", "00200521")


def test_a_fault_that_cannot_be_played_fails_the_test_that_told_it() -> None:
    impossible = Fault("set_text", period="2024-09", where={"area": "99999"}, text="-")
    with pytest.raises(RuntimeError), told(impossible) as sim:
        get(sim, **SEPTEMBER)


def test_a_table_published_between_two_pages() -> None:
    moves = published.moves()
    with told(table=until(moves, "2025-01")) as sim:
        first = data(sim, statsDataId=MOVES, cdArea=KUMAMOTO, limit=100)
        sim.publish(moves)
        second = data(sim, statsDataId=MOVES, cdArea=KUMAMOTO, limit=100, startPosition=101)
    totals = [page["STATISTICAL_DATA"]["RESULT_INF"]["TOTAL_NUMBER"] for page in (first, second)]
    assert totals == [255, 258]


def test_faults_are_programmed_over_the_control_endpoint() -> None:
    with told(control=True) as sim:
        control = f"{sim.root_url}/control"
        sent = [{"kind": "http", "http": 500, "times": 1}]
        assert requests.post(f"{control}/faults", json=sent, timeout=10).json() == {"faults": 1}
        assert [get(sim, **SEPTEMBER).status_code for _ in range(2)] == [500, 200]
        assert requests.post(f"{control}/faults", json=[{"kind": "?"}], timeout=10).status_code == 400
        revised = requests.post(f"{control}/revise", json={"table": MOVES, "period": "2024-09"}, timeout=10)
        assert revised.json() == {"updated_on": "2025-04-01"}
        assert len(requests.get(f"{control}/requests", timeout=10).json()) == 2


def test_edits_change_what_they_say_and_leave_the_original() -> None:
    moves, flow = published.moves(), published.flow()
    cell = ("04", "0", "60000", KUMAMOTO)
    assert set_text(moves, "2024-09", {"tab": "04", "area": KUMAMOTO}, "***").value("2024-09", *cell) == "***"
    assert add_persons(moves, "2024-09", {"tab": "04", "area": KUMAMOTO}).value("2024-09", *cell) == "137"
    assert moves.value("2024-09", *cell) == "136"
    assert time_code("2024-06") not in without_month(moves, "2024-06").time.codes
    assert time_code("2024-06") in without_month(moves, "2024-06", listed=True).time.codes
    assert unknown_area(moves).value("2024-09", "04", "0", "60000", "99000") == "136"
    assert recode(moves, "tab", {"02": "03", "03": "02"}).value("2024-09", "03", *cell[1:]) == "1948"
    fukuoka_in = flow.value("2024-09", "02", "40000", "0", KUMAMOTO)
    assert transpose(flow).value("2024-09", "02", KUMAMOTO, "0", "40000") == fukuoka_in
    assert [axis.name for axis in swap_axes(flow).axes] == ["表章項目", "地域", "性別", "移動前の住所地"]
    split = split_by_nationality(flow)
    assert [axis.id for axis in split.axes] == ["tab", "cat01", "cat02", "cat03", "area"]
    assert split.value("2024-09", "02", "40000", "0", "60000", KUMAMOTO) == fukuoka_in
    assert other_unit(moves, "千人").unit == "千人"
