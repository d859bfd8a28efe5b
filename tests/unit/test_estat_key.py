"""The appId is in no log line, error, address or parameter that the e-Stat client gives out."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from estat_pages import KEY
from scripted_server import answer, raw, scripted

from demo.estat import Fault, Simulator, published
from demo.estat.tables import KUMAMOTO, MOVES
from kpi_warehouse.errors import KpiError
from kpi_warehouse.sources.estat import DataQuery, EstatClient

HERE = DataQuery(MOVES, {"area": [KUMAMOTO]})
Server = Callable[[], AbstractContextManager[str]]


def told(*faults: Fault) -> Server:
    @contextmanager
    def serve() -> Iterator[str]:
        with Simulator([published.moves()], faults) as sim:
            yield sim.base_url

    return serve


def says(body: str, status: int = 200, **headers: str) -> Server:
    @contextmanager
    def serve() -> Iterator[str]:
        with scripted(answer(body.encode(), status, **headers)) as (url, _):
            yield url

    return serve


@contextmanager
def garbage() -> Iterator[str]:
    with scripted(raw(b"\x00\x01\r\n\r\n")) as (url, _):
        yield url


@contextmanager
def nobody() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}/app"


@contextmanager
def unresolved() -> Iterator[str]:
    yield "http://no-such-host.invalid/app"


@contextmanager
def wrong() -> Iterator[str]:
    yield "http://[::1/app"


ECHO = f"見つかりません /rest/3.0/app/json/getStatsData?appId={KEY}&amp;x=1 key {KEY}"
SERVERS: dict[str, Server] = {
    "well": told(),
    "wrong key": told(Fault("status", status=100)),
    "5xx": told(Fault("http", http=503)),
    "hangs": told(Fault("hang", seconds=30)),
    "drops": told(Fault("drop")),
    "cuts": told(Fault("truncate")),
    "html": told(Fault("html")),
    "garbage": garbage,
    "nobody": nobody,
    "unresolved": unresolved,
    "wrong address": wrong,
    "title quotes the address": says(f"<html><title>{ECHO}</title>", 403),
    "404 quotes the address": says(f"<html><title>{ECHO}</title>", 404),
    "message quotes the address": says(
        f'{{"GET_STATS_DATA":{{"RESULT":{{"STATUS":102,"ERROR_MSG":"{ECHO}"}}}}}}', 400
    ),
    "redirect quotes the address": says("", 302, Location=f"/x?appId={KEY}"),
    "status quotes the key": says(f'{{"GET_STATS_DATA":{{"RESULT":{{"STATUS":"{KEY}"}}}}}}'),
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error with everything it was raised from or in."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [current.__cause__, current.__context__]


@pytest.mark.parametrize("server", SERVERS)
def test_the_key_is_nowhere(
    server: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    given: list[str] = []
    with SERVERS[server]() as url:
        reader = EstatClient(
            url,
            KEY,
            requests_per_second=0,
            timeout_seconds=0.3,
            attempts=2,
            page_limit=100,
            sleep=lambda _: None,
        )
        try:
            given += [repr(page) for page in reader.pages(HERE, on_restart=lambda: None)]
        except KpiError as error:
            for link in chain(error):
                given += [repr(link), str(link), repr(vars(link))]
            given += traceback.format_exception(error)
        given.append(repr(vars(reader)))
    given += [f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records]
    given += [caplog.text, *capfd.readouterr()]
    assert len(given) > 3
    assert [text for text in given if KEY in text or KEY[1:-1] in text] == []


def test_a_debug_log_still_tells_what_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with told()() as url:
        EstatClient(url, KEY, requests_per_second=0).describe(MOVES)
    lines = [record.getMessage() for record in caplog.records if record.name == "urllib3.connectionpool"]
    assert any("getMetaInfo?appId=***&statsDataId=0003420473" in line for line in lines)


def test_a_proxy_of_the_environment_is_used_and_hides_the_key_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("no_proxy", "NO_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with scripted(answer(b"<title>proxy</title>", 502)) as (url, received), pytest.raises(KpiError) as raised:
        monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/rest/3.0/app"))
        EstatClient("http://api.invalid/app", KEY, requests_per_second=0, attempts=1).describe(MOVES)
    assert received[0].startswith("http://api.invalid/app/json/getMetaInfo?appId=")
    assert "「proxy」" in raised.value.message_ja and KEY not in caplog.text


def test_no_redirect_takes_the_key_along() -> None:
    with scripted(answer(b"", 302, Location="/elsewhere")) as (url, received), pytest.raises(KpiError):
        EstatClient(url, KEY, requests_per_second=0, attempts=1).describe(MOVES)
    assert len(received) == 1
