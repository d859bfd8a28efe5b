"""What is owed arrives: once, by the channel it should, in spite of channels and senders that fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from books import EXPO, MOVES, begin, build, fail, failed, owed, page, publish, rows
from sinks import Addresses, MailSink, WebSink, plain, web_sink
from typer.testing import CliRunner

from kpi_warehouse.alerts.channels import channels_for, entries, names_without_owner
from kpi_warehouse.alerts.incidents import incidents, mute
from kpi_warehouse.alerts.office_hours import JAPAN
from kpi_warehouse.alerts.sender import BREAKER_OPENS_AFTER, BUDGET_A_WEEK, deliver, revive
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateRejected, KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

MAY = date(2024, 5, 1)
TUESDAY = date(2026, 11, 24)


def reject(month: date = MAY) -> int:
    return fail(begin(MOVES, month), failed("gate.rejected", "国の値と合いません。"), "gate")


def test_a_name_that_nobody_has_is_shown_to_who_looks_at_the_channels(addresses: Addresses) -> None:
    """A slip would otherwise be a way that no message ever takes."""
    addresses("enginer=mailbox:///a", "企画課=mailbox:///b", "企画化=mailbox:///c", "*=mailbox:///d")
    assert names_without_owner() == ["enginer", "企画化"]
    shown = CliRunner().invoke(app, ["incident", "channels"])
    assert shown.exit_code == 0 and "「enginer」を所管とする契約はありません" in shown.output


def test_failure_and_recovery_are_one_thread_of_two_mails(addresses: Addresses, mail: MailSink) -> None:
    addresses(f"engineer={mail.url}")
    reject()
    assert deliver().sent == 1
    publish(begin(MOVES, MAY), MAY)
    build("published")
    assert (deliver().sent, deliver().sent) == (1, 0)
    first, second = mail.mails
    assert (
        str(first["Subject"])
        == "【KPI取込エラー／要対応】住民基本台帳人口移動報告 月次（転入・転出・転入超過） 2024年5月：検査で差し戻し"
    )
    assert str(second["Subject"]).startswith("【復旧】")
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    body = second.get_content()
    assert "停止時間" in body and "変わったKPI" in body
    assert owed() == [("open", "sent"), ("resolve", "sent")]


def test_a_body_says_what_where_how_much_and_what_to_do(addresses: Addresses, mail: MailSink) -> None:
    addresses(f"engineer={mail.url}")
    reject()
    deliver()
    body = str(mail.mails[0].get_content())
    order = [
        "何が",
        "どこ",
        "影響KPI",
        "現在の表示",
        "推定原因",
        "手順",
        "担当",
        "期限",
        "問い合わせ番号：INC-1",
    ]
    assert [word for word in order if word in body] == order
    assert [body.index(word) for word in order] == sorted(body.index(word) for word in order)
    assert "符号：gate.rejected" in body and "runbooks" in body


def test_headers_are_ascii_on_the_wire_and_japanese_when_read(addresses: Addresses, mail: MailSink) -> None:
    addresses(f"engineer={mail.url}")
    reject()
    deliver()
    (sent,) = mail.mails
    wire = sent.as_bytes()
    assert wire.split(b"\n\n", 1)[0].isascii()
    assert str(sent["Subject"]).startswith("【KPI取込エラー／要対応】住民基本台帳人口移動報告")
    assert sent.get_content_charset() == "utf-8"


def test_a_webhook_is_signed_and_carries_its_key(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:geheim@{web.address}/hook")
    reject()
    assert deliver().sent == 1
    (request,) = web.requests
    stamp, _, signature = request.headers["X-KPI-Signature"].partition(",v1=")
    told = hmac.new(b"geheim", stamp.removeprefix("t=").encode() + b"." + request.body, hashlib.sha256)
    assert signature == told.hexdigest()
    assert plain(request.headers["Idempotency-Key"]) == "INC-1/open" != request.headers["Idempotency-Key"]
    content = json.loads(request.body)
    assert (content["cause"], content["kpis"], content["period"]) == ("gate_rejected", ["K12"], "2024-05")
    assert "geheim" not in request.body.decode()


def test_alertmanager_gets_an_alert_and_its_end(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=alertmanager+http://{web.address}")
    reject()
    deliver()
    publish(begin(MOVES, MAY), MAY)
    build("published")
    deliver()
    opened, ended = (json.loads(request.body)[0] for request in web.requests)
    assert web.requests[0].path == "/api/v2/alerts"
    assert opened["labels"] == ended["labels"]
    assert (
        datetime.fromisoformat(opened["endsAt"]) > datetime.now(UTC) > datetime.fromisoformat(ended["endsAt"])
    )


def test_line_works_gets_text_that_fits(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=lineworks+http://{web.address}/message/x")
    fail(begin(MOVES, MAY), failed("gate.rejected", "長い。" * 2000), "gate")
    deliver()
    text = json.loads(web.requests[0].body)["body"]["text"]
    assert len(text) <= 2000 and text.endswith("（続きは `kpi incident show 1`）")


def test_teams_gets_a_card_that_fits(addresses: Addresses) -> None:
    with web_sink(tls=True) as web:
        addresses(f"engineer=workflows://{web.address}/{'a' * 32}/{'b' * 43}/?verify=no")
        fail(begin(MOVES, MAY), failed("gate.rejected", "長い。" * 2000), "gate")
        assert deliver().sent == 1
    card = json.dumps(json.loads(web.requests[0].body), ensure_ascii=False)
    assert "KPI取込エラー" in card and "続きは" in card


def test_without_addresses_messages_lie_in_the_mailbox(warehouse: str) -> None:
    reject()
    deliver()
    (file,) = (settings().home / "mailbox/new").iterdir()
    assert b"X-Idempotency-Key: INC-1/open" in file.read_bytes()


def test_a_division_gets_its_slip_and_no_codes(addresses: Addresses, mail: MailSink) -> None:
    addresses(f"division={mail.url}")
    load_id = begin(EXPO)
    page(load_id, "a")
    with connect() as connection:
        row = connection.execute(
            "insert into ops.delivery (file_name, location, bytes, state, feed, sha256, load_id)"
            " values ('来場者.xlsx', 'x', 1, 'received', 'expo', 'a', %s) returning delivery_id",
            [load_id],
        ).fetchone()
    assert row is not None
    slip = settings().home / f"returned/{row[0]}/来場者_差し戻し.xlsx"
    slip.parent.mkdir(parents=True)
    slip.write_bytes(b"slip")
    fail(load_id, GateRejected("F5 は数ではありません。", "file.cells"), "stage")
    deliver()
    (sent,) = mail.mails
    (attachment,) = sent.iter_attachments()
    assert attachment.get_filename() == "来場者_差し戻し.xlsx" and attachment.get_content() == b"slip"
    body = sent.get_body()
    assert body is not None
    assert "「来場者.xlsx」" in body.get_content() and "file.cells" not in body.get_content()


def test_addresses_by_owner_by_day_and_in_order() -> None:
    os.environ["KPI_ALERT_URLS"] = (
        "*=mailbox:///all 商工政策課=mailbox:///a 商工政策課=mailbox:///b"
        " 商工政策課@2027-04-01=mailbox:///new division=mailbox:///d engineer=mailbox:///e 企画振興部_地域振興課=mailbox:///f"
    )
    settings.cache_clear()
    try:

        def names(*asked: object) -> list[str]:
            return [channel.name for channel in channels_for(*asked)]  # type: ignore[arg-type]

        assert names("商工政策課", "division", TUESDAY) == [
            "商工政策課:mailbox", "商工政策課:mailbox#2", "division:mailbox", "*:mailbox"
        ]  # fmt: skip
        assert names("商工政策課", "division", date(2027, 4, 1))[:2] == [
            "商工政策課:mailbox",
            "division:mailbox",
        ]
        assert names("企画振興部 地域振興課", "division", TUESDAY)[0] == "企画振興部_地域振興課:mailbox"
        assert names("住まい課", "division", TUESDAY) == ["division:mailbox", "*:mailbox"]
        assert names(None, "engineer", TUESDAY) == ["engineer:mailbox", "*:mailbox"]
        assert names(None, "escalation", TUESDAY) == ["*:mailbox"]
    finally:
        del os.environ["KPI_ALERT_URLS"]
        settings.cache_clear()


@pytest.mark.parametrize(
    "wrong", ["engineer", "engineer=", "=smtp://x", "engineer@soon=smtp://x?from=a&to=b"]
)
def test_a_wrong_entry_is_named_without_its_address(wrong: str) -> None:
    with pytest.raises(KpiError, match="KPI_ALERT_URLS の 2 番目") as error:
        entries(f"*=mailbox:///x {wrong}")
    assert "smtp://" not in error.value.message_ja


def test_a_channel_that_fails_is_left_for_the_next_and_nothing_arrives_twice(
    addresses: Addresses, mail: MailSink, web: WebSink
) -> None:
    web.status = 500
    addresses(f"engineer=hmac+http://:k@{web.address}/ engineer={mail.url}")
    reject()
    for _ in range(5):
        deliver()
    assert [key for key, _ in mail.arrivals] == ["INC-1/open"]
    assert rows("select channel, attempts from ops.notification") == [("engineer:smtp#2", 4)]


def test_what_a_channel_will_never_take_goes_by_the_next_at_once(
    addresses: Addresses, mail: MailSink, web: WebSink
) -> None:
    web.status = 404
    addresses(f"engineer=hmac+http://:k@{web.address}/ engineer={mail.url}")
    reject()
    deliver()
    assert len(mail.mails) == 1


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_a_channel_that_comes_back_gets_what_is_owed(addresses: Addresses, web: WebSink, status: int) -> None:
    web.status = status
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    reject()
    assert deliver(limit=1).failed == 1
    web.status = 200
    deliver()
    assert [key for key, _ in web.arrivals] == ["INC-1/open"]


@pytest.mark.parametrize("answer", ["451 later", "550 no"])
def test_a_mail_server_that_refuses_is_told_by_another_channel(
    addresses: Addresses, mail: MailSink, web: WebSink, answer: str
) -> None:
    mail.answer = answer
    addresses(f"division={mail.url} engineer=hmac+http://:k@{web.address}/")
    load_id = begin(EXPO)
    page(load_id, "a")
    fail(load_id, GateRejected("だめ", "file.cells"), "stage")
    deliver()
    assert owed() == [("open", "dead"), ("open", "sent")]
    content = json.loads(web.requests[0].body)
    assert content["cause"] == "sender_failing" and "division:smtp" in content["subject"]
    assert "example.jp" not in web.requests[0].body.decode()
    mail.answer = "250 OK"
    # Something else arrives by that channel: what was given up is owed again.
    with connect() as connection:
        connection.execute(
            "update ops.channel_state set failures = 0, open_until = null, last_sent_at = clock_timestamp()"
        )
    assert revive() == 1
    deliver()
    assert owed() == [("open", "sent"), ("open", "sent")] and len(mail.mails) == 1


def test_a_dead_channel_is_left_alone(addresses: Addresses, web: WebSink) -> None:
    web.status = 500
    addresses(f"engineer=hmac+http://:k@{web.address}/", KPI_ALERT_RETRY_SECONDS="600")
    for month in range(1, 9):
        reject(date(2024, month, 1))
    done = deliver()
    assert done.failed == BREAKER_OPENS_AFTER and done.put_off == 8 - BREAKER_OPENS_AFTER


def test_two_senders_at_once_send_each_message_once(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    for month in range(1, 13):
        reject(date(2024, month, 1))
    code = "from kpi_warehouse.alerts.sender import deliver; deliver()"
    both = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    keys = [key for key, _ in web.arrivals]
    assert sorted(keys) == sorted({f"INC-{n}/open" for n in range(1, 13)})


KILLED = """
import os, signal
from kpi_warehouse.alerts import sender
original = sender.channels_for
def deadly(*asked):
    (channel, *_) = original(*asked)
    def send(message):
        WHEN == "before" or channel.send(message)
        os.kill(os.getpid(), signal.SIGKILL)
    return [sender.Channel(channel.name, send)]
sender.channels_for = deadly
sender.deliver()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sender_that_is_killed_loses_nothing_and_the_key_tells_the_double(
    addresses: Addresses, web: WebSink, when: str
) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    reject()
    code = KILLED.replace("WHEN", repr(when))
    assert (
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode
        == -signal.SIGKILL
    )
    assert deliver().sent == 0, "the lease still runs"
    with connect() as connection:
        connection.execute("update ops.notification set leased_until = clock_timestamp()")
    assert deliver().sent == 1
    keys = [key for key, _ in web.arrivals]
    assert keys == ["INC-1/open"] * (1 if when == "before" else 2)


def test_at_night_only_what_cannot_wait_is_sent(
    addresses: Addresses, web: WebSink, at_night: Callable[[datetime], None]
) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/", KPI_ALERT_QUIET_HOURS="true")
    at_night(datetime(2026, 12, 28, 22, 0, tzinfo=JAPAN))
    reject()
    assert (deliver().put_off, len(web.requests)) == (1, 0)
    ((until,),) = rows("select next_try_at from ops.notification")
    assert until == datetime(2027, 1, 4, 8, 30, tzinfo=JAPAN)
    with connect() as connection:
        connection.execute("select ops.report_trouble('scheduler_dead', null, null, null, '止まっています')")
    assert deliver().sent == 1


def test_a_muted_feed_is_silent_until_it_is_over(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    mute(MOVES, None, datetime.now(UTC) + timedelta(hours=1), "保守")
    reject()
    assert deliver().sent == 0
    publish(begin(MOVES, MAY), MAY)
    build("published")
    assert deliver().sent == 1
    assert owed() == [("open", "muted"), ("resolve", "sent")]


def test_more_than_people_read_goes_to_the_digest(addresses: Addresses, web: WebSink) -> None:
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    with connect() as connection:
        connection.execute(
            "insert into ops.notification (kind, audience, idempotency_key, state, channel, sent_at)"
            " select 'open', 'engineer', n::text, 'sent', 'engineer:hmac', clock_timestamp() from generate_series(1, %s) as n",
            [BUDGET_A_WEEK],
        )
        connection.execute("select ops.report_trouble('not_published', %s, %s, null, '遅れ')", [MOVES, MAY])
    reject()
    assert deliver().sent == 1, "what somebody must act on is sent whatever the budget"
    assert [state for _, state in owed()[-2:]] == ["digested", "sent"]


def test_a_recovery_goes_the_way_its_opening_went(addresses: Addresses, web: WebSink) -> None:
    """The week's share was used up between the two: who heard of the trouble hears that it is over."""
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    with connect() as connection:
        connection.execute("select ops.report_trouble('not_published', %s, %s, null, '遅れ')", [MOVES, MAY])
    assert deliver().sent == 1
    with connect() as connection:
        connection.execute(
            "insert into ops.notification (kind, audience, idempotency_key, state, channel, sent_at)"
            " select 'open', 'engineer', n::text, 'sent', 'engineer:hmac', clock_timestamp() from generate_series(1, %s) as n",
            [BUDGET_A_WEEK],
        )
    publish(begin(MOVES, MAY), MAY)
    build("published")
    assert deliver().sent == 1


def test_the_mailbox_keeps_one_copy_of_a_message_sent_twice(warehouse: str, tmp_path: Path) -> None:
    reject()
    deliver()
    with connect() as connection:
        connection.execute("update ops.notification set state = 'waiting', leased_until = null")
    deliver()
    assert len(list((settings().home / "mailbox/new").iterdir())) == 1
    assert incidents()[0].reference == "INC-1"
