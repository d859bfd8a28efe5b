"""The signed link of a message: it acknowledges by a button, for those who have it, as long as it runs."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import parse_qsl, urlsplit

import pytest
from books import MOVES, begin, fail, failed, rows
from fastapi.testclient import TestClient
from sinks import Addresses, MailSink

from kpi_warehouse.airflow.acknowledge import app
from kpi_warehouse.alerts import links
from kpi_warehouse.alerts.incidents import close, incidents
from kpi_warehouse.alerts.sender import deliver
from kpi_warehouse.contract import contracts
from kpi_warehouse.settings import settings

web = TestClient(app)


@pytest.fixture
def link(addresses: Addresses, mail: MailSink) -> str:
    """The link as it stands in the mail."""
    addresses(f"engineer={mail.url}", KPI_WEB_URL="https://kpi.example.jp/", KPI_LINK_SECRET="s3cret")
    fail(begin(MOVES, date(2024, 5, 1)), failed("gate.rejected"), "gate")
    deliver()
    body = str(mail.mails[0].get_content())
    (found,) = [word for word in body.split() if "/kpi/acknowledge?" in word]
    return found[found.index("https://") :]


def test_opening_the_link_changes_nothing_and_the_button_does(link: str) -> None:
    parts = urlsplit(link)
    shown = web.get(f"/acknowledge?{parts.query}")
    assert shown.status_code == 200 and "INC-1" in shown.text
    assert incidents()[0].acknowledged_by is None
    done = web.post("/acknowledge", data={**dict(parse_qsl(parts.query)), "who": "地域振興課"})
    assert "確認済み" in done.text and incidents()[0].acknowledged_by == "地域振興課"
    assert "確認済み" in web.get(f"/acknowledge?{parts.query}").text
    close(1, "直った")
    assert "復旧済み" in web.get(f"/acknowledge?{parts.query}").text


@pytest.mark.parametrize(
    "changed", [{"incident": "2"}, {"until": "9999999999"}, {"signature": "0"}, {"signature": "あ"}]
)
def test_a_link_that_was_changed_opens_nothing(link: str, changed: dict[str, str]) -> None:
    query = {**dict(parse_qsl(urlsplit(link).query)), **changed}
    assert web.get("/acknowledge", params=query).status_code == 403
    assert web.post("/acknowledge", data={**query, "who": "課"}).status_code == 403
    assert incidents()[0].acknowledged_by is None


def test_a_link_runs_out(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links.time, "time", lambda: 4_000_000_000)
    assert web.get(f"/acknowledge?{urlsplit(link).query}").status_code == 403


def test_what_somebody_writes_is_shown_as_text(link: str) -> None:
    query = dict(parse_qsl(urlsplit(link).query))
    done = web.post("/acknowledge", data={**query, "who": "<b>課</b>"})
    assert "<b>課" not in done.text


def test_the_runbook_that_messages_link_to_has_every_cause_and_every_feed(warehouse: str) -> None:
    shown = web.get("/runbook").text
    anchors = set(re.findall(r'<h2 id="(\w+)">', shown))
    causes = {cause for (cause,) in rows("select cause from ops.cause")}
    assert anchors == causes | {contract.feed for contract in contracts(settings().contracts)}
    assert "kpi replay expo --since" in shown


def test_the_link_of_a_message_is_a_page_that_is_served(link: str, mail: MailSink) -> None:
    (served,) = re.findall(r"手引き：https://kpi.example.jp/kpi(/\S+)", str(mail.mails[0].get_content()))
    page, _, anchor = served.partition("#")
    assert f'id="{anchor}"' in web.get(page).text
