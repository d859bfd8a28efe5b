"""What an answer of the e-Stat API amounts to, and what the client does: ask again, or say no and why."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from estat_reading import KUMAMOTO_ROWS, ONE, Told, cells, client, pull, refused, telling
from scripted_server import Act, answer, page, page_text, raw, scripted, zipped

from demo.estat import Fault, Simulator
from demo.estat.tables import MOVES
from kpi_warehouse.errors import SourceChanged, SourceRefused, SourceUnavailable
from kpi_warehouse.sources.estat_answers import Reply
from kpi_warehouse.sources.estat_judgement import judge


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with Simulator([]) as sim:
        yield telling(sim)


# What the answer amounts to


@pytest.mark.parametrize("as_200", [False, True])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (100, "estat.auth"),
        (101, "estat.parameter"),
        (102, "estat.parameter"),
        (104, "estat.parameter"),
        (105, "estat.too_many"),
        (300, "estat.unknown_table"),
    ],
)
def test_a_no_of_the_api_is_not_asked_again(status: int, code: str, as_200: bool, told: Told) -> None:
    faults = [Fault("status", status=status), *([Fault("errors_as_200")] if as_200 else [])]
    with told(*faults) as sim, pytest.raises(SourceRefused) as raised:
        pull(client(sim.base_url))
    assert raised.value.code == code and not raised.value.retryable and len(sim.requests) == 1
    assert f"STATUS {status}" in raised.value.message_ja and MOVES in raised.value.message_ja


@pytest.mark.parametrize("as_200", [False, True])
@pytest.mark.parametrize("status", [200, 203, 299])
def test_trouble_of_the_server_is_asked_again(status: int, as_200: bool, told: Told) -> None:
    faults = [Fault("status", status=status, times=2), *([Fault("errors_as_200")] if as_200 else [])]
    slept: list[float] = []
    with told(*faults) as sim:
        assert len(cells(pull(client(sim.base_url, slept)))) == KUMAMOTO_ROWS
        assert len(sim.requests) == 3
    assert 1 <= slept[0] <= 2 <= slept[1] <= 3


@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [
        (Fault("http", http=503), "estat.server", "HTTP 503"),
        (Fault("http", http=429), "estat.too_often", "HTTP 429"),
        (Fault("html", http=200), "estat.not_json", "メンテナンス中"),
        (Fault("html", http=503), "estat.not_json", "メンテナンス中"),
        (Fault("html", http=403), "estat.not_json", "メンテナンス中"),
        (Fault("status", status=299), "estat.server", "STATUS 299"),
        (Fault("drop"), "estat.truncated", "途中で切れ"),
        (Fault("truncate"), "estat.truncated", "途中で"),
    ],
)
def test_what_does_not_pass_is_given_up_with_its_reason(
    fault: Fault, code: str, word: str, told: Told
) -> None:
    with told(fault) as sim, pytest.raises(SourceUnavailable) as raised:
        pull(client(sim.base_url, attempts=3))
    assert (raised.value.code, len(sim.requests)) == (code, 3)
    assert word in raised.value.message_ja and "3 回試しました" in raised.value.message_ja


def test_retry_after_is_honoured_in_seconds_and_as_a_date(told: Told) -> None:
    slept: list[float] = []
    with told(Fault("http", http=429, retry_after=7, times=1)) as sim:
        pull(client(sim.base_url, slept))
    assert slept == [7]
    late = answer(b"", 503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")
    error, tries = refused(late, total_seconds=60)
    assert (error.code, tries) == ("estat.server", 1)
    error, tries = refused(answer(b"", 503, Retry_After="soon"))
    assert (error.code, tries) == ("estat.server", 2)


def test_a_hanging_server_and_one_that_drips_are_both_left(told: Told) -> None:
    with told(Fault("hang", seconds=60)) as sim, pytest.raises(SourceUnavailable) as raised:
        pull(client(sim.base_url, timeout_seconds=0.2, attempts=2))
    assert raised.value.code == "estat.timeout" and len(sim.requests) == 2

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not handler.stopped.wait(0.02):  # type: ignore[attr-defined]
            handler.wfile.write(b" ")

    started = time.monotonic()
    error, _ = refused(drip, timeout_seconds=5, answer_seconds=0.3)
    assert error.code == "estat.timeout" and time.monotonic() - started < 3


def test_nobody_listening_and_a_wrong_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SourceUnavailable) as raised:
            client(nobody, attempts=2).describe(MOVES)
    assert raised.value.code == "estat.connection"
    for address in ("api.example", "ftp://api.example", "http://"):
        with pytest.raises(SourceRefused) as wrong:
            client(address).describe(MOVES)
        assert wrong.value.code == "estat.no_api" and "ESTAT_BASE_URL" in wrong.value.message_ja


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (zipped(gzip.compress(page_text())[:-4]), "estat.truncated"),
        (zipped(gzip.compress(page_text())[:-8] + bytes(8)), "estat.truncated"),
        (zipped(gzip.compress(page_text()) + b"more"), "estat.truncated"),
        (zipped(b"not gzip"), "estat.truncated"),
        (raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"GET'), "estat.truncated"),
        (raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"GET\r\n'), "estat.truncated"),
        (raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + page_text()[:-1]), "estat.truncated"),
        (raw(b"garbage\r\n\r\n"), "estat.connection"),
        (answer(b'{"message": "Forbidden"}', 403), "estat.not_json"),
        (answer(b'{"message": "Internal server error"}', 502), "estat.server"),
        (answer(b"", 302, Location="/elsewhere"), "estat.not_json"),
    ],
)
def test_answers_that_are_cut_or_not_e_stats_are_told_apart_and_asked_again(act: Act, code: str) -> None:
    error, tries = refused(act)
    assert isinstance(error, SourceUnavailable) and (error.code, tries) == (code, 2)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("reverse", [True, False])
def test_a_page_cut_anywhere_is_noticed_whether_compressed_or_not(rows: int, reverse: bool) -> None:
    text = page_text(rows, reverse=reverse)
    packed = gzip.compress(text)
    plain = [Reply(text[:end], None, 200) for end in range(len(text))]
    squeezed = [Reply(packed[:end], "gzip", 200) for end in range(len(packed))]
    for reply in plain + squeezed:
        with pytest.raises(SourceUnavailable):
            judge(reply, "統計表 1", str)
    assert judge(Reply(text, None, 200), "統計表 1", str).to_number == rows
    assert judge(Reply(packed, "gzip", 200), "統計表 1", str).to_number == rows


def test_a_page_of_a_firewall_is_quoted_in_its_own_charset() -> None:
    text = "<meta charset=Shift_JIS><TITLE>\n 遮断 &amp; 検査</TITLE>".encode("cp932")
    error, _ = refused(answer(text, 403))
    assert error.code == "estat.not_json" and "「遮断 & 検査」" in error.message_ja
    error, _ = refused(answer(b"<meta charset=unknown-9><title>x</title>", 403))
    assert "「x」" in error.message_ja


def test_a_page_that_is_not_found_is_no_maintenance(told: Told) -> None:
    with told() as sim, pytest.raises(SourceRefused) as raised:
        client(f"{sim.root_url}/elsewhere").describe(MOVES)
    assert raised.value.code == "estat.no_api" and "404 Not Found" in raised.value.message_ja


@pytest.mark.parametrize(
    "act",
    [
        page(TOTAL_NUMBER=None),
        page(TOTAL_NUMBER="many"),
        answer(page_text(), Content_Encoding="br"),
        answer(page_text().replace(b'"@id":"0000000001"', b'"@id":"0000000002"')),
        answer(b'{"GET_STATS_DATA":{"RESULT":{"STATUS":[]}}}'),
    ],
)
def test_another_table_or_another_shape_is_a_change_and_not_asked_again(act: Act) -> None:
    error, tries = refused(act)
    assert isinstance(error, SourceChanged) and (error.code, tries) == ("estat.changed", 1)
    with (
        scripted(answer(b'{"GET_META_INFO":{"RESULT":{"STATUS":0}}}')) as (url, _),
        pytest.raises(SourceChanged),
    ):
        client(url).describe("0000000001")


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_order_of_keys_compression_and_a_single_value_do_not_matter(
    rows: int, compressed: bool, reverse: bool
) -> None:
    text = page_text(rows, reverse=reverse)
    with scripted(zipped(gzip.compress(text)) if compressed else answer(text + b"\n")) as (url, _):
        (got,) = pull(client(url), ONE)
    assert (got.from_number, got.to_number, got.updated_on) == (1, rows, "2026-01-10")
    assert got.content_encoding == ("gzip" if compressed else None) and len(cells([got])) == rows
