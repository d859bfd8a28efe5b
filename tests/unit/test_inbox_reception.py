"""Reception keeps what is a delivery and nothing else, says why, and ends whole however it is interrupted."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openpyxl
import psycopg
import pytest

from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.settings import settings
from kpi_warehouse.sources import files, inbox_receive
from kpi_warehouse.sources.inbox_receive import receive, receive_all
from kpi_warehouse.warehouse.deliveries import (
    Delivery,
    claim_announcement,
    next_delivery,
    read_delivery,
    receipts_for_inbox,
    reopen,
    same_values,
    settle,
    unannounced,
)
from kpi_warehouse.warehouse.landing import Landing
from tests.unit.inbox_places import FEEDS, NAME, body

PEOPLE = ("山田太郎", "佐藤花子", "鈴木一郎")


@pytest.fixture
def inbox(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inbox folder that settles at once."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    monkeypatch.setenv("KPI_INBOX", folder.as_uri())
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0")
    settings.cache_clear()
    return folder


def take(feeds: object = FEEDS) -> list[Delivery]:
    return receive_all(None, feeds)  # type: ignore[arg-type]


def drop(inbox: Path, content: bytes, name: str = NAME) -> Delivery:
    (inbox / name).write_bytes(content)
    (delivery,) = take()
    return delivery


def landed() -> list[Path]:
    folder = settings().home / "landing"
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def workbook(rows: list[list[object]], contract: str | None = None) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    if contract:
        book.custom_doc_props.append(
            openpyxl.packaging.custom.StringProperty(name="kpi_contract", value=contract)
        )
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_a_delivery_is_landed_and_waits_for_its_load(inbox: Path) -> None:
    delivery = drop(inbox, body())
    assert (delivery.state, delivery.feed, delivery.file_name) == ("received", "migration_briefing", NAME)
    assert delivery.sha256 and Landing(settings().landing_url).get(delivery.sha256) == body()
    assert next_delivery("migration_briefing") == delivery and next_delivery("kpi_progress") is None
    assert (inbox / NAME).read_bytes() == body()  # it stays where it lies
    assert take() == [] and len(receipts_for_inbox()) == 1


def test_the_same_file_twice_is_said_and_nothing_else(inbox: Path) -> None:
    first = drop(inbox, body())
    again = drop(inbox, body(), "移住定住の状況_最終.json")
    assert again.state == "duplicate" and f"受付番号 {first.delivery_id}" in str(again.message_ja)
    os.utime(inbox / NAME, (1, 1))  # copied again by a tool
    (touched,) = take()
    assert (
        touched.state == "duplicate" and next_delivery("migration_briefing") == first and len(landed()) == 1
    )
    other = drop(inbox, body(164), "移住定住の状況_最終2.json")
    back = drop(inbox, body(), "移住定住の状況_最終3.json")
    assert back.state == "duplicate" and f"その後に受付番号 {other.delivery_id}" in str(back.message_ja)


def test_the_same_bytes_for_two_feeds_are_two_deliveries(inbox: Path) -> None:
    assert drop(inbox, body()).state == "received"
    assert drop(inbox, body(), "空家対策.json").state == "received"


def test_rejected_bytes_may_be_sent_again(inbox: Path) -> None:
    first = drop(inbox, body())
    settle(first.delivery_id, "rejected", "計と合いません。")
    assert drop(inbox, body(), "移住定住の状況(1).json").state == "received"


@pytest.mark.parametrize(
    "name", ["なにか.json", "移住定住の状況と空家対策.json", "移住定住の状況\u202e.json"]
)
def test_a_name_for_no_contract_is_not_kept(inbox: Path, name: str) -> None:
    delivery = drop(inbox, body(), name)
    assert (delivery.state, delivery.feed) == ("unmatched", None) and delivery.message_ja
    assert landed() == [] and (inbox / name).exists() and take() == []


def test_a_contract_that_comes_later_takes_what_waits(inbox: Path) -> None:
    (inbox / NAME).write_bytes(body())
    (before,) = take(FEEDS[1:])
    assert before.state == "unmatched"
    (after,) = take()
    assert (after.state, after.delivery_id) == ("received", before.delivery_id)


def test_personal_data_is_refused_and_no_byte_is_kept(inbox: Path, warehouse: str) -> None:
    content = body(氏名="山田太郎", 電話="090-1234-5678")
    delivery = drop(inbox, content)
    assert delivery.state == "refused_personal" and delivery.sha256 and delivery.bytes == len(content)
    assert landed() == [] and (inbox / NAME).read_bytes() == content
    with psycopg.connect(warehouse) as connection:
        (kept,) = connection.execute("select string_agg(d::text, '') from ops.delivery as d").fetchone() or ()
        assert connection.execute("select count(*) from ops.landed").fetchone() == (0,)
    assert "氏名" in kept and not any(secret in kept for secret in ("山田", "太郎", "1234"))
    assert next_delivery("migration_briefing") is None and take() == []


def test_the_corrected_file_is_a_new_delivery(inbox: Path) -> None:
    refused = drop(inbox, body(氏名="山田太郎"))
    corrected = drop(inbox, body())
    assert corrected.state == "received" and corrected.delivery_id > refused.delivery_id


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "空のファイル"), (b"%PDF-1.7 ...", "PDF"), (b'[{"a": 1}, {', "JSON"), (b"[" * 100_000, "JSON"), (b"\0" * 90, "空")],
)  # fmt: skip
def test_what_cannot_be_read_is_said_and_not_kept(inbox: Path, content: bytes, word: str) -> None:
    delivery = drop(inbox, content)
    assert delivery.state == "unreadable" and word in str(delivery.message_ja) and landed() == []


def test_a_file_beyond_the_limit_is_not_even_read(inbox: Path) -> None:
    with (inbox / NAME).open("wb") as stream:
        stream.truncate(files.LARGEST_BYTES + 1)
    (delivery,) = take()
    assert delivery.state == "unreadable" and "200 MB" in str(delivery.message_ja)


def test_a_workbook_says_itself_where_it_belongs(inbox: Path) -> None:
    content = workbook([["指標", "実績値"], ["転入", 165]], contract="kpi_progress@1.0.0")
    assert drop(inbox, content, "回答.xlsx").feed == "kpi_progress"
    # The name may say otherwise: the number inside counts.
    content = workbook([["指標", "実績値"], ["転入", 166]], contract="kpi_progress")
    assert drop(inbox, content, "移住定住の状況.xlsx").feed == "kpi_progress"


def test_people_in_a_workbook_and_in_a_text_are_found(inbox: Path) -> None:
    rows: list[list[object]] = [["番号", "氏名"], *[[at, name] for at, name in enumerate(PEOPLE)]]
    assert drop(inbox, workbook(rows), "移住定住の状況.xlsx").state == "refused_personal"
    text = "番号,氏名\r\n" + "\r\n".join(f"{at},{name}" for at, name in enumerate(PEOPLE))
    feeds = [FEEDS[0].__class__("t", "名簿", "課", FEEDS[0].source.__class__(("*.csv",)))]
    (inbox / "名簿.csv").write_bytes(text.encode("cp932"))
    assert [delivery.state for delivery in take(feeds)] == ["refused_personal"]


def test_people_far_down_in_a_large_text_are_found(inbox: Path) -> None:
    lines = ["地域,5月,備考"] + [f"大阪圏,{at % 200}," for at in range(150_000)]
    feeds = [FEEDS[0].__class__("t", "月報", "課", FEEDS[0].source.__class__(("*.csv",)))]
    (inbox / "月報.csv").write_bytes("\r\n".join(lines).encode("cp932"))
    began = time.monotonic()
    assert [delivery.state for delivery in take(feeds)] == ["received"]
    assert time.monotonic() - began < 20
    lines[133_333] = "大阪圏,3,taro.yamada@gmail.com"
    (inbox / "月報.csv").write_bytes("\r\n".join(lines).encode("cp932"))
    (refused,) = take(feeds)
    assert refused.state == "refused_personal" and "133334行目のC列" in str(refused.message_ja)


def test_trouble_of_the_disk_is_none_of_the_file(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageFailed("容量がありません", "landing.full")

    (inbox / NAME).write_bytes(body())
    with monkeypatch.context() as patched:
        patched.setattr(Landing, "put", full)
        for _ in range(5):
            with pytest.raises(StorageFailed):
                take()
    (delivery,) = take()
    assert delivery.state == "received"


def test_a_file_that_kills_its_reader_is_given_up(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise RuntimeError("a defect")

    (inbox / NAME).write_bytes(body())
    (inbox / "空家対策.json").write_bytes(body())
    monkeypatch.setattr(
        inbox_receive,
        "read_content",
        lambda content, name, **options: defect() if name == NAME else _read(content, name, **options),
    )
    assert [delivery.feed for delivery in take()] == ["vacant_house_support"]  # the others go on
    for _ in range(2):
        with pytest.raises(RuntimeError):
            take()
    (given_up,) = take()
    assert given_up.state == "unreadable" and "3 回" in str(given_up.message_ja)
    monkeypatch.undo()


_read = inbox_receive.read_content

KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from kpi_warehouse.sources import inbox_receive
from kpi_warehouse.warehouse import landing
from tests.unit.inbox_places import FEEDS
target, name = {target}, {name!r}
original = getattr(target, name)
def dies(*a, **k):
    if {after}:
        original(*a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(target, name, dies)
inbox_receive.receive_all(None, FEEDS)
"""


@pytest.mark.parametrize(
    ("target", "name", "after"),
    [
        ("inbox_receive", "read_content", False),
        ("landing.Landing", "put", False),
        ("landing.Landing", "put", True),
        ("inbox_receive", "accept", False),
        ("inbox_receive", "accept", True),
        ("inbox_receive", "refuse", False),
    ],
)
def test_killed_anywhere_the_next_look_does_the_rest(
    inbox: Path, target: str, name: str, after: bool
) -> None:
    (inbox / NAME).write_bytes(body(氏名="山田太郎") if name == "refuse" else body())
    code = KILLED.format(root=str(Path.cwd()), target=target, name=name, after=after)
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    decided = take()
    assert len(decided) == (0 if (name, after) == ("accept", True) else 1)
    (receipt,) = receipts_for_inbox()
    assert receipt["state"] == ("refused_personal" if name == "refuse" else "received")
    assert len(landed()) == (0 if name == "refuse" else 1)


def test_many_at_once_make_one_delivery(inbox: Path) -> None:
    for at in range(4):
        (inbox / f"移住定住の状況{at}.json").write_bytes(body(at))
    (inbox / "移住定住の状況4.json").write_bytes(body(0))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: take(), range(8)))
    states = sorted(receipt["state"] for receipt in receipts_for_inbox())
    assert states == ["duplicate", *["received"] * 4] and len(landed()) == 4


def test_loads_take_deliveries_in_turn(inbox: Path, warehouse: str) -> None:
    first, second = drop(inbox, body(1)), drop(inbox, body(2), "移住定住の状況2.json")
    with psycopg.connect(warehouse) as connection:
        loads = [
            row[0]
            for row in connection.execute(
                "insert into ops.load (feed, contract_version, contract_sha256, code_version, trigger, forced, state)"
                " select 'migration_briefing', '1', '', '', 'test', false, 'open' from generate_series(1, 3) returning load_id"
            )
        ]
    one, two = (next_delivery("migration_briefing", load) for load in loads[:2])
    assert one and two and (one.delivery_id, two.delivery_id) == (first.delivery_id, second.delivery_id)
    assert next_delivery("migration_briefing", loads[0]) == one  # the same run again
    assert next_delivery("migration_briefing", loads[2]) is None
    with psycopg.connect(warehouse) as connection:
        connection.execute("update ops.load set state = 'failed' where load_id = %s", [loads[0]])
    freed = next_delivery("migration_briefing", loads[2])
    assert freed and freed.delivery_id == first.delivery_id
    done = settle(first.delivery_id, "loaded", "反映しました。", values_digest="v1")
    assert done.load_id == loads[2] and done.settled_at is not None
    assert same_values("migration_briefing", "v1", second.delivery_id) == read_delivery(first.delivery_id)
    assert same_values("migration_briefing", "v2", second.delivery_id) is None


def test_only_what_was_received_can_be_settled(inbox: Path) -> None:
    refused = drop(inbox, body(), "なにか.json")
    with pytest.raises(KpiError, match="unmatched"):
        settle(refused.delivery_id, "loaded", "")
    with pytest.raises(KpiError, match="受付番号 999"):
        settle(999, "loaded", "")
    received = drop(inbox, body())
    held = settle(received.delivery_id, "held", "確認待ちです。")
    assert settle(held.delivery_id, "loaded", "反映しました。").state == "loaded"
    with pytest.raises(KpiError, match="断ったファイルではありません"):
        reopen(received.delivery_id)


def test_a_refused_file_is_looked_at_again_on_demand(inbox: Path) -> None:
    refused = drop(inbox, body(氏名="山田太郎"))
    assert reopen(refused.delivery_id).state == "settling"
    (again,) = take()
    assert (again.state, again.delivery_id) == ("refused_personal", refused.delivery_id)


def test_a_delivery_is_announced_once(inbox: Path) -> None:
    delivery = drop(inbox, body())
    assert unannounced() == {"migration_briefing": delivery.delivery_id}
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda _: claim_announcement(delivery.delivery_id), range(8)))
    assert claims.count(True) == 1 and unannounced() == {}


def test_receiving_again_changes_nothing(inbox: Path) -> None:
    (inbox / NAME).write_bytes(body())
    (arrival,) = files.scan(settings().inbox_url, FEEDS)
    assert receive(arrival, FEEDS) == receive(arrival, FEEDS) and len(landed()) == 1
