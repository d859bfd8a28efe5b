"""A pull takes what an address holds, once, within bounds, and never shows the key in the address."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from kpi_warehouse.errors import KpiError, SourceRefused, SourceUnavailable
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.inbox_http import pull
from kpi_warehouse.sources.inbox_receive import receive
from kpi_warehouse.warehouse.deliveries import next_delivery, receipts_for_inbox, reopen
from tests.unit.inbox_places import FEEDS, Feed, Source, body
from tests.unit.scripted_server import Act, answer, raw, scripted

FEED = Feed("line_subscribers", "LINE登録者", "広報課", Source(()))
KEY = "k3y-of-the-line-account"


@pytest.fixture(autouse=True)
def home(warehouse: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    settings.cache_clear()
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


def take(url: str) -> str | None:
    arrival = pull(FEED.feed, url)
    return receive(arrival, (*FEEDS, FEED)).state if arrival else None


def conditional(content: bytes, etag: str) -> Act:
    """Answers 304 to who has it, and writes down what was asked."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers["If-None-Match"] == etag:
            answer(b"", 304)(handler)
        else:
            answer(content, Content_Type="application/json", ETag=etag)(handler)

    return act


def test_what_an_address_holds_is_a_delivery() -> None:
    with scripted(answer(body(), Content_Type="application/json; charset=utf-8")) as (url, asked):
        assert take(f"{url}/line?key={KEY}") == "received"
    delivery = next_delivery(FEED.feed)
    assert delivery and delivery.file_name == "line_subscribers.json" and delivery.bytes == len(body())
    assert delivery.location.endswith("/line?key=***#line_subscribers") and asked == [
        f"/rest/3.0/app/line?key={KEY}"
    ]


def test_the_same_again_is_nothing_new() -> None:
    with scripted(answer(body())) as (url, _):
        assert [take(url + "/a.json") for _ in range(3)] == ["received", None, None]
    with scripted(conditional(body(), '"v1"')) as (url, asked):
        assert [take(url + "/a.json") for _ in range(3)] == ["duplicate", None, None]
    assert len(asked) == 3 and len(receipts_for_inbox()) == 2


def test_new_values_are_a_new_delivery() -> None:
    with scripted(
        conditional(body(1), '"v1"'), conditional(body(2), '"v2"'), conditional(body(2), '"v2"')
    ) as (url, _):
        assert [take(url + "/a.json") for _ in range(3)] == ["received", "received", None]


def test_a_pull_that_was_killed_before_reception_is_taken_up() -> None:
    with scripted(conditional(body(), '"v1"')) as (url, _):
        first = pull(FEED.feed, url + "/a.json")
        again = pull(FEED.feed, url + "/a.json")
        assert first and again and first.delivery_id == again.delivery_id
        assert receive(again, [FEED]).state == "received" and pull(FEED.feed, url + "/a.json") is None


def test_an_answer_of_no_use_is_asked_for_again() -> None:
    page = b"<!DOCTYPE html><title>maintenance</title>"
    with scripted(conditional(page, '"x"')) as (url, _):
        assert [take(url + "/a.json") for _ in range(2)] == ["unreadable", None]
        reopen(receipts_for_inbox()[0]["delivery_id"])
        assert take(url + "/a.json") == "unreadable"
    with scripted(answer(body(氏名="山田太郎"))) as (url, _):
        assert take(url + "/a.json") == "refused_personal"


def test_a_redirect_on_the_same_host_is_followed_and_no_other() -> None:
    with scripted(answer(body())) as (elsewhere, asked):
        moved = answer(b"", 302, Location="/other.json")
        with scripted(moved, answer(body())) as (url, _):
            assert take(url + "/a.json") == "received"
        with (
            scripted(answer(b"", 302, Location=f"{elsewhere}/?key={KEY}")) as (url, _),
            pytest.raises(SourceRefused, match="別の場所") as error,
        ):
            pull(FEED.feed, f"{url}/a.json?key={KEY}")
        assert asked == [] and KEY not in str(error.value)
    with (
        scripted(answer(b"", 302, Location="/again")) as (url, _),
        pytest.raises(SourceRefused, match="転送を繰り返"),
    ):
        pull(FEED.feed, url)


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (answer(b"", 503), SourceUnavailable),
        (answer(b"", 429), SourceUnavailable),
        (answer(b"", 404), SourceRefused),
        (answer(b"", 401), SourceRefused),
        (answer(b"", 204), SourceRefused),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"), SourceUnavailable),
        (raw(b"nonsense\r\n\r\n"), SourceUnavailable),
        (raw(b""), SourceUnavailable),
        (answer(b"no gzip", Content_Encoding="gzip"), SourceUnavailable),
    ],
)
def test_trouble_says_whether_it_can_pass_and_shows_no_key(act: Act, kind: type[KpiError]) -> None:
    with scripted(act) as (url, _), pytest.raises(kind) as error:
        pull(FEED.feed, url.replace("//", f"//user:{KEY}@") + f"/a.json?key={KEY}")
    shown = error.value
    while shown is not None:
        assert KEY not in f"{shown} {shown!r}"
        shown = shown.__cause__ or shown.__context__  # type: ignore[assignment]
    assert receipts_for_inbox() == []


def test_an_address_nobody_listens_at() -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9"):
        pull(FEED.feed, f"http://127.0.0.1:9/?key={KEY}")


def test_more_than_the_limit_is_not_read() -> None:
    for content, headers in (
        (b"[" * 3000, {}),
        (gzip.compress(b"[" * 3_000_000), {"Content_Encoding": "gzip"}),
    ):
        with (
            scripted(answer(content, **headers)) as (url, _),
            pytest.raises(SourceRefused, match="大きすぎます"),
        ):
            pull(FEED.feed, url, largest_bytes=2000)
