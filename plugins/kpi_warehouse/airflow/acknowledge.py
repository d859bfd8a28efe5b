"""The pages that messages link to, served by Airflow's API server: the runbook, and the page behind a signed link, where whoever
got a notification says that somebody has it in hand.

Opening the link changes nothing, because mail filters open links; the button does. The runbook is the text of the tree and names
no data, so it needs no signature.
"""

from __future__ import annotations

import re
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form
from fastapi.responses import HTMLResponse

from kpi_warehouse.alerts.incidents import acknowledge, find
from kpi_warehouse.alerts.links import is_valid
from kpi_warehouse.alerts.messages import FEEDS, RUNBOOK, headline
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

PAGE = """<!doctype html><html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>異常の通知</title>
<style>body{{font-family:sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;line-height:1.7}}
input,button{{font:inherit;padding:.4rem .8rem}}pre{{font:inherit;white-space:pre-wrap}}</style>{body}</html>"""
FORM = """<h1>{reference} の確認</h1><p>{headline}</p><p>対応を引き受ける課・担当を書いて押してください（個人名は書かないでください）。</p>
<form method="post"><input type="hidden" name="incident" value="{incident}"><input type="hidden" name="until" value="{until}">
<input type="hidden" name="signature" value="{signature}"><label>課・担当 <input name="who" required maxlength="40"></label>
<button>確認した</button></form>"""

app = FastAPI(title="KPI warehouse", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/acknowledge")
def ask(incident: int, until: int, signature: str) -> HTMLResponse:
    """The page with the button."""
    if not is_valid(incident, until, signature):
        return _page("<h1>使えないリンクです</h1><p>期限が切れたか、リンクが途中で切れています。</p>", 403)
    try:
        with connect() as connection:
            found = find(connection, incident)
    except KpiError as error:
        return _page(f"<p>{escape(error.message_ja)}</p>", 404)
    if found.resolved_at is not None:
        return _page(f"<h1>{found.reference} は復旧済みです</h1><p>{escape(found.resolution_ja or '')}</p>")
    if found.acknowledged_by is not None:
        return _page(f"<h1>{found.reference} は確認済みです</h1><p>{escape(found.acknowledged_by)}</p>")
    return _page(
        FORM.format(
            reference=found.reference,
            headline=escape(headline(found)),
            incident=incident,
            until=until,
            signature=escape(signature),
        )
    )


@app.post("/acknowledge")
def confirm(
    incident: Annotated[int, Form()],
    until: Annotated[int, Form()],
    signature: Annotated[str, Form()],
    who: Annotated[str, Form(max_length=40)],
) -> HTMLResponse:
    """The button was pressed."""
    if not is_valid(incident, until, signature):
        return _page("<h1>使えないリンクです</h1><p>期限が切れたか、リンクが途中で切れています。</p>", 403)
    try:
        found = acknowledge(incident, who)
    except KpiError as error:
        return _page(f"<p>{escape(error.message_ja)}</p>", 409)
    return _page(
        f"<h1>{found.reference} を確認済みにしました</h1><p>{escape(found.acknowledged_by or '')}</p>"
    )


@app.get("/runbook")
def runbook() -> HTMLResponse:
    """The runbooks, a section for each cause and each feed, under the anchors that messages name."""
    shown = []
    for text in (RUNBOOK, FEEDS):
        head, *sections = re.split(
            r"^## ", (settings().project / text).read_text("utf-8"), flags=re.MULTILINE
        )
        shown.append(f"<pre>{escape(head)}</pre>")
        for section in sections:
            name, _, said = section.partition("\n")
            shown.append(f'<h2 id="{escape(name)}">{escape(name)}</h2><pre>{escape(said.strip())}</pre>')
    return _page("".join(shown))


def _page(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(PAGE.format(body=body), status)
