"""`kpi incident`: what is wrong, who knows, and what is done about it. `kpi watch`: the watcher."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.alerts.office_hours import JAPAN
from kpi_warehouse.cli.application import app as kpi
from kpi_warehouse.cli.application import out, reported, wrong_usage

app = typer.Typer(help="異常を見る・確認済みにする・通知を止める・訓練する", no_args_is_help=True)

STATES = {
    "waiting": "送信待ち",
    "sent": "送信済み",
    "dead": "未達",
    "cancelled": "知らせる前に復旧",
    "muted": "停止中",
    "digested": "まとめへ",
}
KINDS = {"open": "発生", "update": "再発", "escalate": "督促", "resolve": "復旧", "digest": "まとめ"}


def _number(written: str) -> int:
    """The number of an incident, as messages write it (`INC-12`) or bare."""
    digits = written.upper().removeprefix("INC-")
    if not (digits.isascii() and digits.isdigit()):
        raise typer.BadParameter(f"「{written}」は問い合わせ番号ではありません（例：INC-12、12）。")
    return int(digits)


Number = Annotated[
    int, typer.Argument(parser=_number, metavar="番号", help="問い合わせ番号（INC-12 または 12）")
]


@app.command("list", epilog="例：`kpi incident list`　`kpi incident list --all`")
@reported
def listed(
    everything: Annotated[bool, typer.Option("--all", help="復旧したものも")] = False,
    limit: Annotated[int, typer.Option(help="件数")] = 50,
) -> None:
    """異常を、重いものから並べる。"""
    from kpi_warehouse.alerts.incidents import incidents
    from kpi_warehouse.alerts.messages import headline

    found = incidents(resolved=everything, limit=limit)
    if not found:
        out.print("異常はありません。")
        return
    table = Table("番号", "重大度", "内容", "回数", "発生", "確認", "復旧")
    for incident in found:
        table.add_row(
            incident.reference,
            incident.severity,
            headline(incident),
            str(incident.occurrences),
            _time(incident.opened_at),
            incident.acknowledged_by or "",
            _time(incident.resolved_at),
        )
    out.print(table)


@app.command(epilog="例：`kpi incident show INC-12`")
@reported
def show(incident_id: Number) -> None:
    """異常1件と、送った（送る）知らせの本文を見る。"""
    from kpi_warehouse.alerts.incidents import find, notifications
    from kpi_warehouse.alerts.messages import headline, message_of
    from kpi_warehouse.alerts.report import feed_facts
    from kpi_warehouse.warehouse.connection import connect

    with connect() as connection:
        incident = find(connection, incident_id)
        out.print(f"{incident.reference}　{incident.severity}　{headline(incident)}", highlight=False)
        for line in feed_facts(connection, incident):
            out.print(line, highlight=False, markup=False)
        for owed in notifications(incident_id):
            where = f"　{owed['channel']}" if owed["channel"] else ""
            when = _time(owed["sent_at"] or owed["next_try_at"])
            out.print(
                f"\n── {KINDS[owed['kind']]}：{STATES[owed['state']]}{where}　{when}"
                + (f"　{owed['last_error']}" if owed["last_error"] else ""),
                highlight=False,
            )
            if owed["state"] in ("waiting", "sent", "dead"):
                message = message_of(connection, incident, owed)
                out.print(owed["subject_ja"] or message.subject, highlight=False, markup=False)
                out.print(owed["body_ja"] or message.body, highlight=False, markup=False)


@app.command(epilog="例：`kpi incident ack 12 --by 地域振興課`")
@reported
def ack(
    incident_id: Number,
    by: Annotated[str, typer.Option("--by", help="確認した課・担当（個人名は書かない）")],
) -> None:
    """確認済みにする（督促を止める）。"""
    from kpi_warehouse.alerts.incidents import acknowledge

    incident = acknowledge(incident_id, by)
    out.print(f"{incident.reference} は {incident.acknowledged_by} が確認済みです。", highlight=False)


@app.command(epilog="例：`kpi incident close 12 --reason '提出対象外の年度のため'`")
@reported
def close(
    incident_id: Number,
    reason: Annotated[str, typer.Option("--reason", help="終わりとする理由。記録に残り、復旧の知らせに載る")],
) -> None:
    """ほかに終わるきっかけのない異常を、理由を付けて終わりにする。"""
    from kpi_warehouse.alerts import incidents

    out.print(f"{incidents.close(incident_id, reason).reference} を終わりにしました。", highlight=False)


@app.command(epilog="例：`kpi incident mute --feed expo --until 2027-01-04T08:30 --reason '年末年始の保守'`")
@reported
def mute(
    until: Annotated[datetime, typer.Option("--until", help="この日時まで（日本時間）")],
    reason: Annotated[str, typer.Option("--reason", help="止める理由。記録に残る")],
    feed: Annotated[str | None, typer.Option(help="このフィードの知らせ")] = None,
    cause: Annotated[str | None, typer.Option(help="この原因の知らせ")] = None,
) -> None:
    """知らせを止める（復旧の知らせは止めない）。"""
    from kpi_warehouse.alerts import incidents

    incidents.mute(feed, cause, until.replace(tzinfo=JAPAN), reason)
    out.print(f"{until:%Y-%m-%d %H:%M} まで知らせを止めます。", highlight=False)


@app.command(epilog="例：`kpi incident drill`（監視が動いていないときは `--send`）")
@reported
def drill(
    send: Annotated[
        bool, typer.Option("--send", help="この場で送信もする（監視が動いていないとき）")
    ] = False,
    minutes: Annotated[float, typer.Option(help="待つ長さ（分）")] = 5.0,
) -> None:
    """訓練：架空のフィードを失敗させ、知らせと復旧の知らせが届くまでの時間を測る。"""
    from kpi_warehouse.alerts import drill as drills
    from kpi_warehouse.alerts.sender import deliver

    done = drills.drill(deliver if send else drills.watcher_sends, minutes * 60)
    out.print(
        f"訓練 {done.drill_id}：知らせ {done.told_seconds:.1f} 秒、復旧の知らせ {done.recovered_seconds:.1f} 秒",
        highlight=False,
    )


@app.command(epilog="例：`kpi incident channels`")
@reported
def channels() -> None:
    """通知経路の状態と、この7日間の通数（目安は週30通）を見る。"""
    from kpi_warehouse.alerts.channels import every_channel, names_without_owner
    from kpi_warehouse.alerts.report import channel_use
    from kpi_warehouse.alerts.sender import BUDGET_A_WEEK

    table = Table("経路", "7日間の通数", "最後に届いた", "連続失敗", "休止の期限", "最後の誤り")
    used = channel_use()
    configured = [channel.name for channel in every_channel(datetime.now(JAPAN).date())]
    for name in dict.fromkeys([*configured, *used]):
        row = used.get(name, {})
        table.add_row(
            name,
            f"{row.get('week', 0)}/{BUDGET_A_WEEK}",
            _time(row.get("last_sent_at")),
            str(row.get("failures") or 0),
            _time(row.get("open_until")),
            row.get("last_error") or "",
        )
    out.print(table)
    for name in names_without_owner():
        out.print(
            f"「{name}」を所管とする契約はありません。KPI_ALERT_URLS の名前を確かめてください。",
            style="yellow",
        )


@app.command(epilog="例：`kpi incident report 2026-11`")
@reported
def report(month: Annotated[str, typer.Argument(help="年月 YYYY-MM")]) -> None:
    """月次報告：異常の件数、届くまでと直るまでの時間（中央値）、重複と未達。"""
    from kpi_warehouse.alerts.report import monthly_report

    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=JAPAN)
    except ValueError:
        wrong_usage(f"年月は YYYY-MM で書いてください（{month}）")
    out.print(monthly_report(first), highlight=False, markup=False)


@kpi.command(epilog="例：`kpi watch`　`kpi watch --once`")
@reported
def watch(
    once: Annotated[bool, typer.Option("--once", help="一巡だけ")] = False,
) -> None:
    """監視：起きるべきことと起きたことを比べ、異常を開き、知らせを送る（Airflow の外で動かす）。"""
    from kpi_warehouse.alerts import watch as watcher

    if once:
        done = watcher.watch_once()
        out.print(
            f"異常 {done.troubles} 件　送信 {done.delivered.sent}　失敗 {done.delivered.failed}"
            f"　後で {done.delivered.put_off}",
            highlight=False,
        )
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watcher.watch(stop)


def _time(instant: datetime | None) -> str:
    return f"{instant.astimezone(JAPAN):%m-%d %H:%M}" if instant else ""
