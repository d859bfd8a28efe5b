"""A round of the watcher when parts of it fail; what it says of itself; and what a person is asked, reminded and spared."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from books import EXPO, MOVES, begin, build, fail, failed, owed, page, publish, rows
from psycopg.types.json import Jsonb
from sinks import Addresses, MailSink, WebSink

from kpi_warehouse.alerts import watch
from kpi_warehouse.alerts.incidents import incidents, mute
from kpi_warehouse.alerts.office_hours import JAPAN
from kpi_warehouse.alerts.reconcile import WATCH_LOCK, reconcile
from kpi_warehouse.alerts.sender import BUDGET_A_WEEK, deliver, revive
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

MAY = date(2024, 5, 1)
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=JAPAN)


def reject(month: date = MAY) -> int:
    return fail(begin(MOVES, month), failed("gate.rejected", "国の値と合いません。"), "gate")


def sent() -> list[tuple[str, str]]:
    return [(kind, state) for kind, state in owed() if state == "sent"]


@pytest.mark.parametrize("gone", ["KPI_AIRFLOW_DATABASE_URL", "KPI_CONTRACTS"])
def test_what_cannot_be_looked_at_keeps_no_message_back(
    addresses: Addresses, web: WebSink, tmp_path: Path, gone: str
) -> None:
    """Airflow's database is away; a contract is wrong."""
    (tmp_path / "wrong.odcs.yaml").write_text("nonsense: [", encoding="utf-8")
    value = {"KPI_AIRFLOW_DATABASE_URL": "postgresql://127.0.0.1:1/x", "KPI_CONTRACTS": str(tmp_path)}[gone]
    addresses(f"*=hmac+http://:k@{web.address}/", KPI_DEADMAN_URL=f"http://{web.address}/ping")
    reject()
    publish(begin(EXPO), MAY)
    addresses(
        f"*=hmac+http://:k@{web.address}/", KPI_DEADMAN_URL=f"http://{web.address}/ping", **{gone: value}
    )
    with connect() as connection:
        connection.execute("update ops.load set published_at = clock_timestamp() - interval '2 hours'")
    if gone == "KPI_AIRFLOW_DATABASE_URL":
        with pytest.raises(Exception, match="refused"):
            watch.watch_once()
        assert "/ping" not in [request.path for request in web.requests], "half a look is no good round"
    else:
        watch.watch_once()
    assert {i.cause for i in incidents()} >= {"gate_rejected", "marts_stale"}
    assert {json.loads(r.body)["cause"] for r in web.requests if r.body} >= {"gate_rejected", "marts_stale"}


def test_of_two_watchers_one_looks(addresses: Addresses) -> None:
    with connect(autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [WATCH_LOCK])
        assert (reconcile(), incidents()) == (0, [])
    assert reconcile() > 0


def test_a_message_whose_facts_cannot_be_read_is_sent_without_them_and_holds_up_no_other(
    addresses: Addresses, mail: MailSink
) -> None:
    addresses(f"*={mail.url}")
    load_id = reject()
    reject(date(2024, 6, 1))
    with connect() as connection:
        connection.execute(
            "insert into ops.gate_result (load_id, expectation, severity, scope, success, unexpected_count, reason_ja, observed)"
            " values (%s, 'x', 'critical', 'table', false, 1, 'x', %s)",
            [load_id, Jsonb([{"stated": "no number", "computed": "1"}])],
        )
    assert deliver().sent == 2
    bare, whole = (str(sent.get_content()) for sent in mail.mails)
    assert "国の値と合いません。" in bare and "INC-1" in bare and "手順" not in bare
    assert "手順" in whole


def test_a_file_named_with_a_line_break_has_a_subject_of_one_line(
    addresses: Addresses, mail: MailSink
) -> None:
    addresses(f"*={mail.url}")
    with connect() as connection:
        connection.execute(
            "select ops.report_trouble('file_refused', null, null, 'x', '「a」：合いません', null, %s)",
            ["a\nBcc: b@c.jp"],
        )
    assert deliver().sent == 1
    assert str(mail.mails[0]["Subject"]).count("\n") == 0 and mail.mails[0]["Bcc"] is None


def test_a_recovery_does_not_overtake_its_opening(addresses: Addresses, mail: MailSink, web: WebSink) -> None:
    addresses(f"engineer={mail.url} other=hmac+http://:k@{web.address}/")
    mail.answer = "550 no"
    reject()
    deliver()
    publish(begin(MOVES, MAY), MAY)
    build("published")
    mail.answer = "250 OK"
    deliver()
    assert mail.arrivals == [], "the opening is a dead letter"
    with connect() as connection:
        connection.execute("update ops.notification set dead_at = dead_at - interval '2 hours'")
    revive()
    deliver()
    assert [key for key, _ in mail.arrivals] == ["INC-1/open", "INC-1/resolve"]


def test_the_marts_are_waited_for_that_were_begun_after_the_recovery(
    addresses: Addresses, web: WebSink
) -> None:
    addresses(f"*=hmac+http://:k@{web.address}/")
    reject()
    deliver()
    publish(begin(MOVES, MAY), MAY)
    old = build("published")
    with connect() as connection:
        connection.execute(
            "update ops.build set started_at = started_at - interval '1 hour' where build_id = %s", [old]
        )
    assert deliver().sent == 0
    build("published")
    assert deliver().sent == 1
    assert rows("select values_after is not distinct from values_before from ops.incident") == [(True,)]


def test_what_is_put_off_into_the_digest_after_it_was_written_is_in_the_next(
    addresses: Addresses, web: WebSink
) -> None:
    """In the night a channel's share is used up: in the morning the digest is written first, and then the sender looks."""
    addresses(f"engineer=hmac+http://:k@{web.address}/")
    with connect() as connection:
        connection.execute("select ops.report_trouble('not_published', %s, %s, null, '遅れ')", [MOVES, MAY])
        connection.execute(
            "insert into ops.notification (kind, audience, idempotency_key, state, channel, sent_at)"
            " select 'open', 'engineer', n::text, 'sent', 'engineer:hmac', clock_timestamp() from generate_series(1, %s) as n",
            [BUDGET_A_WEEK],
        )
        connection.execute("update ops.notification set created_at = '2026-11-24T03:00:00+09:00'")
    assert watch.write_digest(NOON) is False
    deliver()
    assert owed()[0] == ("open", "digested")
    assert watch.write_digest(NOON + timedelta(days=1)) is True
    assert watch.write_digest(NOON + timedelta(days=2)) is False, "once"
    deliver()
    assert "INC-1" in json.loads(web.requests[-1].body)["body"]


def test_what_a_mute_kept_back_is_told_when_it_runs_out(addresses: Addresses, web: WebSink) -> None:
    addresses(f"*=hmac+http://:k@{web.address}/")
    mute(MOVES, None, datetime.now(UTC) + timedelta(hours=1), "保守")
    reject()
    deliver()
    assert (revive(), owed()) == (0, [("open", "muted")])
    with connect() as connection:
        connection.execute("update ops.mute set until = clock_timestamp()")
    assert revive() == 1
    assert deliver().sent == 1


def test_before_a_meeting_what_keeps_a_kpi_from_being_right_is_grave(addresses: Addresses) -> None:
    addresses("*=mailbox:///dev/null/x", KPI_MEETING_DAYS="2026-06-10, 2026-12-01")
    reject()
    publish(begin(EXPO), MAY, held=1)
    assert watch.raise_before_meetings(NOON - timedelta(days=4)) == 0, "six 開庁日 before"
    assert watch.raise_before_meetings(NOON) == 1
    assert {(i.cause, i.severity) for i in incidents()} == {
        ("gate_rejected", "重大"),
        ("rows_held", "要対応"),
    }
    assert watch.raise_before_meetings(datetime(2026, 12, 2, 9, 0, tzinfo=JAPAN)) == 0


def test_messages_that_no_channel_takes_silence_the_dead_man(addresses: Addresses, web: WebSink) -> None:
    web.status = 500
    addresses(f"*=hmac+http://:k@{web.address}/", KPI_DEADMAN_URL=f"http://{web.address}/ping")
    reject()
    deliver()
    with connect() as connection:
        connection.execute("update ops.notification set created_at = created_at - interval '1 hour'")
    web.status = 200
    watch._beat()
    assert web.requests == []
    with connect() as connection:
        connection.execute("update ops.notification set state = 'sent'")
    watch._beat()
    assert [request.path for request in web.requests] == ["/ping"]


def test_the_watcher_says_that_it_fails_until_somebody_hears_and_then_that_it_works(
    addresses: Addresses, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alertmanager ends the same alert that it began."""
    addresses(f"engineer=alertmanager+http://{web.address}", KPI_WATCH_SECONDS="0")
    web.status, rounds, stop = 500, [0], threading.Event()

    def once() -> watch.Round:
        rounds[0] += 1
        web.status = 200 if rounds[0] > 5 else 500
        if rounds[0] < 8:
            raise RuntimeError("a defect of the watcher itself")
        stop.set()
        return watch.Round(0, watch.Delivered())

    monkeypatch.setattr(watch, "watch_once", once)
    watch.watch(stop)
    began, ended = (json.loads(request.body)[0] for request in web.requests)
    assert began["labels"] == ended["labels"]
    assert (
        datetime.fromisoformat(ended["endsAt"]) <= datetime.now(UTC) < datetime.fromisoformat(began["endsAt"])
    )
    assert (
        "監視が働いていません" in began["annotations"]["summary"]
        and "復旧" in ended["annotations"]["summary"]
    )


def test_a_digest_is_no_alert_that_goes_on(addresses: Addresses, web: WebSink) -> None:
    addresses(f"*=alertmanager+http://{web.address}")
    with connect() as connection:
        connection.execute(
            "insert into ops.notification (kind, audience, idempotency_key, subject_ja, body_ja)"
            " values ('digest', 'engineer', 'digest/2026-11-24', 'まとめ', 'まとめ')"
        )
    deliver()
    ends = datetime.fromisoformat(json.loads(web.requests[0].body)[0]["endsAt"])
    assert ends < datetime.now(UTC) + timedelta(days=2)


def test_the_same_number_of_another_warehouse_is_another_thread_and_another_key(
    addresses: Addresses, mail: MailSink
) -> None:
    """A warehouse that was set up again counts from 1; mail servers drop what they have seen."""
    addresses(f"*={mail.url}")
    reject()
    deliver()
    with connect() as connection:
        connection.execute("update ops.incident set opened_at = opened_at - interval '1 day'")
        connection.execute(
            "update ops.notification set state = 'waiting', created_at = created_at - interval '1 day', leased_until = null"
        )
    deliver()
    first, second = mail.mails
    assert first["Message-ID"] != second["Message-ID"]
    assert first["X-Idempotency-Key"] != second["X-Idempotency-Key"]


def test_a_slip_too_large_for_mail_is_named_instead(addresses: Addresses, mail: MailSink) -> None:
    addresses(f"*={mail.url}")
    load_id = begin(EXPO)
    page(load_id, "a")
    with connect() as connection:
        connection.execute(
            "insert into ops.delivery (file_name, location, bytes, state, feed, sha256, load_id)"
            " values ('a.xlsx', 'x', 1, 'received', 'expo', 'a', %s)",
            [load_id],
        )
    slip = settings().home / "returned/1/a_差し戻し.xlsx"
    slip.parent.mkdir(parents=True)
    with slip.open("wb") as file:
        file.truncate(6 * 2**20)
    fail(load_id, failed("file.cells"), "stage")
    deliver()
    assert list(mail.mails[0].iter_attachments()) == []
    assert "a_差し戻し.xlsx（大きいため" in str(mail.mails[0].get_content())


def test_every_cause_in_words_that_old_mail_programs_can_show(addresses: Addresses, mail: MailSink) -> None:
    """A gateway turns mail into ISO-2022-JP for them; the header is read word by word, as they do."""
    addresses(f"*={mail.url}", KPI_WEB_URL="https://kpi.example.jp", KPI_LINK_SECRET="s")
    known = [cause for (cause,) in rows("select cause from ops.cause order by 1")]
    with connect() as connection:
        for cause in known:
            connection.execute(
                "select ops.report_trouble(%s, %s, %s, 'x.y', '国の値と合いません。', null, 'x')",
                [cause, MOVES, MAY],
            )
        connection.execute("select ops.settle_trouble(incident_id, '直しました。') from ops.incident")
        connection.execute(
            "update ops.notification set state = 'waiting', next_try_at = now(), after_build = false"
        )
    deliver()
    left = "select cause, kind, n.state, last_error from ops.notification as n join ops.incident using (incident_id)"
    assert rows(f"{left} where n.state <> 'sent'") == []
    assert len(mail.mails) == 2 * len(known) - 2, "two passed by themselves"
    for sent in mail.mails:
        (sent["Subject"] + _text(sent)).encode("iso2022_jp")
    subjects = {
        line for sent in mail.mails for line in sent.as_bytes().split(b"\n") if line.startswith(b"Subject:")
    }
    assert all(
        re.fullmatch(rb"Subject: =\?utf-8\?[bq]\?[!->@-~]+\?=", line.strip(), re.I) for line in subjects
    )


def _text(mail: EmailMessage) -> str:
    body = mail.get_body()
    assert body is not None
    return str(body.get_content())


def test_no_message_of_a_cause_tells_a_division_of_commands(addresses: Addresses) -> None:
    assert (
        rows(
            "select cause from ops.cause where audience = 'division' and array_to_string(steps_ja, '') like '%%`%%'"
        )
        == []
    )


def test_a_wrong_day_of_a_meeting_is_named(addresses: Addresses) -> None:
    with pytest.raises(ValueError, match="meeting_days"):
        addresses("*=mailbox:///x", KPI_MEETING_DAYS="12/1")
        settings()


def test_the_office_is_asked_once_a_message_and_not_by_its_clock(
    addresses: Addresses, web: WebSink, at_night: Callable[[datetime], None]
) -> None:
    """A recovery of the night waits for the morning like its opening, and both arrive in order."""
    addresses(f"*=hmac+http://:k@{web.address}/", KPI_ALERT_QUIET_HOURS="true")
    at_night(datetime(2026, 11, 25, 22, 0, tzinfo=JAPAN))
    reject()
    publish(begin(MOVES, MAY), MAY)
    build("published")
    assert deliver().sent == 0
    at_night(datetime(2026, 11, 26, 9, 0, tzinfo=JAPAN))
    with connect() as connection:
        connection.execute("update ops.notification set next_try_at = clock_timestamp()")
    deliver()
    assert [key for key, _ in web.arrivals] == ["INC-1/open", "INC-1/resolve"]
