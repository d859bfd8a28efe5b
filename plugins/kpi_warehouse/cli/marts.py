"""`kpi load`, `kpi replay`, `kpi build`, `kpi board`: from a feed to the board."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from kpi_warehouse.cli.application import app, out, reported, wrong_usage
from kpi_warehouse.errors import GateAsked, KpiError, LoadConflict

if TYPE_CHECKING:
    from kpi_warehouse.load import Published
    from kpi_warehouse.replay import Change, Replayed
    from kpi_warehouse.warehouse.deliveries import Delivery

# The word in the place of a feed that takes a publication back; no feed may have this name.
UNDO = "undo"
# The judgements that are one; every other code is a state, shown without colour.
COLOURS = {"maintained": "green", "achieved": "green", "on_track": "green", "behind": "red", "missed": "red"}


class BoardFormat(StrEnum):
    """How the board is printed."""

    table = "table"
    json = "json"
    csv = "csv"


def instant(text: str | None) -> datetime | None:
    """An instant written as ISO 8601; without a zone it is Japan's."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        wrong_usage(f"時点「{text}」を読めません。例：2024-12-31 または 2024-12-31T17:00")


@app.command(
    epilog="例：`kpi load estat_migration_monthly --period 2024-09`　`kpi load estat_migration_monthly --since 2018-01 --force`　"
    "`kpi load undo 12 --reason '10月分が11月分として届いていた（地域振興課に確認）'`"
)
@reported
def load(
    feed: Annotated[str, typer.Argument(help="フィード名（`kpi feed list`）。公表を取り消すときは `undo`")],
    taken_back: Annotated[
        int | None, typer.Argument(metavar="[LOAD]", help="`undo` のとき、取り消す取込番号")
    ] = None,
    period: Annotated[
        str | None, typer.Option(help="対象期間（月は YYYY-MM、年は YYYY）。省くと提供元の最新")
    ] = None,
    since: Annotated[str | None, typer.Option(help="この期間までさかのぼって読み直す")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="提供元の更新日が変わっていなくても取り直す")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="課のファイル。受付フォルダーに入れてから取り込む")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="`undo` のとき、取り消す理由。記録に残る")
    ] = None,
    build: Annotated[bool, typer.Option("--build/--no-build", help="`undo` のあと、マートを作り直す")] = True,
) -> None:
    """フィードを取り込む（fetch → stage → gate → publish）。`kpi load undo LOAD --reason` は公表した取込を取り消す。"""
    from kpi_warehouse import load as verbs

    if feed == UNDO:
        if taken_back is None or reason is None or period or since or file or force:
            wrong_usage("取消しは `kpi load undo 取込番号 --reason '理由'` です。")
        _undo(taken_back, reason, build=build)
        return
    if taken_back is not None or reason is not None:
        wrong_usage("取込番号と --reason は `kpi load undo 取込番号 --reason '理由'` のときだけです。")
    for named in (period, since):
        if named is not None and verbs.period_of(feed, named) is None:
            wrong_usage(f"対象期間「{named}」を読めません。例：2024-09、年次の表なら 2024")
    if file is not None:
        if not file.is_file():
            wrong_usage(f"{file} はありません。")
        _load_file(feed, file)
        return
    _load_next(feed, period, since=since, force=force)


def _undo(load_id: int, reason: str, *, build: bool) -> None:
    from kpi_warehouse.decisions.undo import undo

    done = undo(load_id, reason)
    if not done.is_new:
        out.print(f"取込番号 {load_id} の公表は、すでに取り消されています。", highlight=False)
        return
    out.print(
        f"undo     取込番号 {load_id} の公表を取り消しました：閉じた行 {done.closed_rows:,}、前の値に戻した行 {done.restored_rows:,}",
        highlight=False,
    )
    if done.kept_loads:
        kept = "、".join(str(number) for number in done.kept_loads)
        out.print(f"         後の取込が置き換えた値はそのままです（取込番号 {kept}）。", highlight=False)
    if build:
        follow()


def follow() -> None:
    """Make the marts follow a decision, and say so; should that fail, the decision stands and the next build follows it."""
    from kpi_warehouse import marts

    built = marts.build()
    out.print(
        f"build    盤面に反映しました（構築番号 {built.build_id}、{built.seconds:.1f} 秒）", highlight=False
    )


def _load_file(feed: str, file: Path) -> None:
    """Hand a file in and load what waits of its feed, in the order of arrival, until the file's turn has been."""
    from kpi_warehouse import load as verbs
    from kpi_warehouse.sources.inbox_receive import hand_in
    from kpi_warehouse.warehouse.deliveries import next_delivery, read_delivery

    delivery = hand_in(verbs.contract_of(feed), file)
    if delivery.state != "received":
        _load_again(feed, delivery)
        return
    out.print(
        f"受付     「{delivery.file_name}」を受け付けました（受付番号 {delivery.delivery_id}）。",
        highlight=False,
        markup=False,
    )
    while delivery.state == "received":
        turn = next_delivery(feed)
        try:
            moved = _load_next(feed)
        except KpiError as error:
            delivery = read_delivery(delivery.delivery_id)
            if (
                delivery.state != "received"
                or error.retryable
                or _number(next_delivery(feed)) == _number(turn)
            ):
                raise
            # A file that came before this one was sent back; that is told, and is none of this one's business.
            moved = True
            out.print(error.message_ja, highlight=False, markup=False)
        delivery = read_delivery(delivery.delivery_id)
        if not moved and delivery.state == "received":
            raise LoadConflict(
                f"受付番号 {delivery.delivery_id} は別の取込が処理しています。終わってから、もう一度実行してください。",
                "load.in_hand",
            )


def _number(delivery: Delivery | None) -> int | None:
    """What a turn is known by: the load that took it changes with every try."""
    return delivery.delivery_id if delivery is not None else None


def _load_again(feed: str, delivery: Delivery) -> None:
    """Bytes that were taken before: nothing, unless the contract has changed since they were read."""
    from kpi_warehouse import load as verbs
    from kpi_warehouse import replay
    from kpi_warehouse.warehouse.ledger import read_load

    out.print(
        f"受付     受付番号 {delivery.delivery_id}（「{delivery.file_name}」）と同じ内容です。{delivery.message_ja or ''}",
        highlight=False,
        markup=False,
    )
    if (
        delivery.load_id is None
        or read_load(delivery.load_id)["contract_sha256"] == verbs.contract_of(feed).sha256
    ):
        if delivery.state == "asked":
            raise GateAsked("上の問い合わせに答えがあるまで公表しません。", "gate.asked")
        return
    out.print("         そのときから取り込み方の定義が変わっているため、読み直します。")
    published = replay.replay(delivery.load_id)
    out.print(
        f"publish  {published.state}：新しい行 {published.opened_rows:,}、閉じた行 {published.closed_rows:,}（取込番号 {published.load_id}）"
    )


def _load_next(
    feed: str, period: str | None = None, *, since: str | None = None, force: bool = False
) -> bool:
    """All verbs on what is new of a feed, each told as it ends; False when nothing is."""
    from kpi_warehouse import load as verbs

    with verbs.by_hand(feed) as left:
        fetched = verbs.fetch(feed, period, since=since, force=force, go_on=left)
        gone_on = "途中で止まっていた取込の続きです。" if left else ""
        out.print(f"fetch    {gone_on}{fetched.message_ja}（取込番号 {fetched.load_id}）")
        if fetched.state != "fetched":
            return False
        out.print(f"stage    {verbs.stage(fetched.load_id):,} 行")
        verdict = verbs.gate(fetched.load_id)
        out.print(
            f"gate     {verdict.outcome}"
            + (f"（保留 {verdict.held_rows:,} 行）" if verdict.held_rows else "")
        )
        for finding in verdict.broken:
            out.print(f"         ・{finding.reason_ja} → {finding.unexpected_count:,} 件", markup=False)
        published = verbs.publish(fetched.load_id)
    out.print(
        f"publish  {published.state}：新しい行 {published.opened_rows:,}、閉じた行 {published.closed_rows:,}"
        + _given_way(published)
    )
    return True


def _given_way(published: Published) -> str:
    """The periods that were left as they are, in words."""
    if not published.overtaken:
        return ""
    first, last = published.overtaken[0], published.overtaken[-1]
    return (
        f"。{first:%Y-%m}〜{last:%Y-%m} のうち {len(published.overtaken)} 期間は、"
        "後から読んだ値を公表しているため、そのままにしました"
    )


@app.command(
    epilog="例：`kpi replay 12`　`kpi replay uij_turn --since 2026-04-01`（下見）　`… --since 2026-04-01 --publish`"
)
@reported
def replay(
    what: Annotated[str, typer.Argument(help="取込番号、またはフィード（--since とともに）")],
    since: Annotated[
        str | None, typer.Option(help="この日からの取込をすべて（YYYY-MM-DD、日本時間）")
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="下見ではなく、履歴に反映する")] = False,
    set_back: Annotated[
        str | None,
        typer.Option("--set-back", help="後から読んだ値があっても、この取込の値に戻す。その理由を書く"),
    ] = None,
    changes: Annotated[int, typer.Option(help="取込ごとに並べる変更の数")] = 20,
) -> None:
    """過去の取込を、保存したバイト列から（通信なしで）いまの契約でやり直す。"""
    from kpi_warehouse import replay as again

    if set_back is not None and not set_back.strip():
        wrong_usage("--set-back には、値を戻す理由を書いてください。")
    if what.isdecimal() and since is None:
        one = again.replayed(int(what), set_back)
        if one.error is not None:
            raise one.error
        _print_replayed(one, changes)
        return
    if since is None:
        wrong_usage("フィードをやり直すときは --since YYYY-MM-DD が要ります。")
    try:
        day = date.fromisoformat(since)
    except ValueError:
        wrong_usage(f"--since は YYYY-MM-DD で書いてください（{since}）")
    done = again.publish_since(what, day, set_back) if publish else again.preview_since(what, day, set_back)
    for one in done:
        _print_replayed(one, changes)
    if not publish:
        out.print("下見です。何も変えていません。反映するには --publish を付けてください。")


def _print_replayed(one: Replayed, most: int) -> None:
    """What became of a replayed load; and what it leaves as it is, because it was read again since."""
    name = f"「{one.file_name}」" if one.file_name else ""
    out.print(f"取込番号 {one.load_id}{name}：{one.state}　{one.message_ja}", highlight=False, markup=False)
    if one.opened_rows or one.closed_rows or one.held_rows:
        out.print(
            f"  新しい行 {one.opened_rows:,}、閉じる行 {one.closed_rows:,}、保留 {one.held_rows:,}",
            highlight=False,
        )
    _print_changes(one.changes, most)
    if one.older:
        out.print(
            f"  後から読んだ値を公表しているため、次の {len(one.older):,} 件は変えません。"
            "この取込の値（→ の右）に戻すときは、--set-back 理由 を付けてください。",
            highlight=False,
        )
        _print_changes(one.older, most)


def _print_changes(changes: list[Change], most: int) -> None:
    for change in changes[:most]:
        before, after = change.before or "なし", change.after or "なし"
        out.print(f"  {change.period} {change.label}：{before} → {after}", highlight=False, markup=False)
    if len(changes) > most:
        out.print(f"  ほか {len(changes) - most:,} 件", highlight=False)


@app.command(epilog="例：`kpi rebuild uij_turn`")
@reported
def rebuild(
    feed: Annotated[str, typer.Argument(help="フィード名（`kpi feed list`）")],
    replace: Annotated[
        bool, typer.Option("--replace", help="今ある表や記録と違っていても、作り直した表に置き換える")
    ] = False,
) -> None:
    """履歴の表（raw）を、保存したバイト列から、受け付けた順と日時のまま作り直す。今ある表と同じなら何も変えない。"""
    from kpi_warehouse.rebuild.from_landing import rebuild as from_landing

    done = from_landing(feed, replace=replace)
    said = {
        "rebuilt": "作り直しました",
        "equal": "今ある表と同じです。何も変えていません",
        "differs": "今ある表と違います。何も変えていません（置き換えるときは --replace）",
    }[done.state]
    out.print(
        f"raw.{feed}：{said}（取込 {done.loads:,} 件、保留の公表 {done.releases:,} 件、{done.rows:,} 行）",
        highlight=False,
    )
    for line in done.differing:
        out.print(f"  ・{line}", highlight=False, markup=False)
    if done.unproven:
        out.print(
            f"  以前の契約で読んだ取込 {done.unproven:,} 件は、行数だけを確かめました。", highlight=False
        )
    if done.state == "differs":
        sys.exit(1)


@app.command(epilog="例：`kpi build`　`kpi build --as-of 2024-12-31T17:00`")
@reported
def build(
    as_of: Annotated[str | None, typer.Option("--as-of", help="この時点で分かっていたことから作る")] = None,
    force: Annotated[bool, typer.Option("--force", help="変更がなくても作り直す")] = False,
) -> None:
    """マートを作り、検査し、入れ替える。"""
    from kpi_warehouse import marts

    built = marts.build(instant(as_of), force=force)
    done = (
        "変更がないため作り直していません"
        if built.state == "unchanged"
        else f"{len(built.nodes)} 件のモデルと検査"
    )
    out.print(f"{built.schema_name}：{done}（{built.seconds:.1f} 秒、構築番号 {built.build_id}）")
    if built.left_out:
        loads = "、".join(str(step.load_id) for step in built.left_out)
        out.print(
            f"検査に合わない取込を除いて構築しました：取込番号 {loads}（`kpi marts aside` で理由を表示）",
            highlight=False,
        )


@app.command(epilog="例：`kpi board`　`kpi board --format csv > board.csv`　`kpi board --as-of 2024-12-31`")
@reported
def board(
    as_of: Annotated[str | None, typer.Option("--as-of", help="この時点で分かっていた盤面")] = None,
    format: Annotated[BoardFormat, typer.Option("--format", help="出力の形")] = BoardFormat.table,
) -> None:
    """KPI の盤面を表示する（全KPI。値のないものは理由を示す）。"""
    from kpi_warehouse import marts

    rows = marts.board(instant(as_of))
    if format is BoardFormat.json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2, default=plain_json))
    elif format is BoardFormat.csv:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        typer.echo(text.getvalue(), nl=False)
    else:
        print_board(rows)
        if as_of is None:
            print_outlook(marts.outlook(), simulated=marts.has_simulated_flows())
            print_programmes(marts.programme_values())


def print_board(rows: list[dict[str, Any]]) -> None:
    """The board as a table, with the years in progress below it."""
    table = Table(title="KPI ボード", title_style="bold", show_lines=False, expand=True)
    table.add_column("KPI", no_wrap=True)
    table.add_column("名称", ratio=5, overflow="fold")
    table.add_column("目標", ratio=2, overflow="fold", justify="right")
    table.add_column("実績", ratio=2, overflow="fold", justify="right")
    table.add_column("判定", no_wrap=True)
    table.add_column("状態", ratio=4, overflow="fold")
    for row in rows:
        actual = row["actual_ja"]
        if row["actual_period_label"]:
            actual = f"{actual}\n{row['actual_period_label']}"
        colour = COLOURS.get(row["judgement"], "dim")
        table.add_row(
            row["kpi_id"],
            row["kpi_name"],
            row["target_ja"],
            actual,
            f"[{colour}]{row['judgement_ja']}[/{colour}]",
            row["conditions_ja"],
        )
    out.print(table)
    for row in rows:
        if row["in_progress_value"] is not None:
            before = row["in_progress_same_months_year_before"]
            compared = f"（前年同期 {before:,.0f}）" if before is not None else ""
            out.print(
                f"{row['kpi_id']} {row['in_progress_period_label']} 途中 {row['in_progress_coverage']}："
                f"{row['in_progress_ja']}{compared}　取込 {row['gate_status_ja']}",
                highlight=False,
            )
    judged = sum(row["judgement"] in COLOURS for row in rows)
    as_of = max(row["data_as_of"] for row in rows if row["data_as_of"] is not None)
    out.print(f"{len(rows)} 件（判定 {judged} 件）　データ基準時点 {as_of:%Y-%m-%d %H:%M}", highlight=False)


def print_outlook(rows: list[dict[str, Any]], *, simulated: bool) -> None:
    """Where K12 ends its year by two methods, and how far both were off from every month before. `simulated`: the moves by partner
    are not to be quoted."""
    if rows:
        newest = rows[-1]
        out.print(
            f"K12 {newest['calendar_year']}年の見込み（{newest['month_label']}末）：例年の季節 {newest['seasonal_estimate']:,.0f}人"
            f"（{newest['seasonal_low']:,.0f}〜{newest['seasonal_high']:,.0f}）、直線 {newest['straight_line_estimate']:,.0f}人"
            f"　{newest['required_pace_ja']}",
            highlight=False,
        )
        past = [row for row in rows if row["year_actual"] is not None and row["months_left"] > 0]
        if past:
            seasonal, straight = (
                sum(abs(row[name]) for row in past) / len(past)
                for name in ("seasonal_error", "straight_line_error")
            )
            inside = sum(row["is_actual_in_range"] for row in past)
            out.print(
                f"　検証（過去 {len(past)} か月の末から）：実績との差の平均 例年の季節 {seasonal:,.0f}人、直線 {straight:,.0f}人。"
                f"実績が範囲の中 {inside} 回",
                highlight=False,
            )
        for row in past:
            if row["month_number"] == newest["month_number"]:
                out.print(
                    f"　{row['month_label']}末：例年の季節 {row['seasonal_estimate']:,.0f}、直線 {row['straight_line_estimate']:,.0f}、"
                    f"実績 {row['year_actual']:,.0f}",
                    highlight=False,
                )
    if simulated:
        out.print(
            "相手先別（東京圏・大阪圏・福岡県・その他）の移動者数は模擬データです。引用しないでください。"
        )


def print_programmes(rows: list[dict[str, Any]]) -> None:
    """The newest figures of the departmental feeds as a table, each with its period and what kind of value it is."""
    table = Table(title="部署から届いた指標", title_style="bold", show_lines=False, expand=True)
    table.add_column("フィード", ratio=4, overflow="fold")
    table.add_column("指標", ratio=5, overflow="fold")
    table.add_column("期間", ratio=4, overflow="fold")
    table.add_column("値", ratio=3, justify="right", overflow="fold")
    table.add_column("種類", no_wrap=True)
    table.add_column("取込", no_wrap=True)
    before = None
    for row in rows:
        name = "／".join(part for part in (row["breakdown_ja"], row["measure_name"]) if part)
        figure = row["value_mark"] if row["value"] is None else f"{row['value']:,}{row['unit'] or ''}"
        if row["qualifier"]:
            figure = f"{figure}（{row['qualifier']}）"
        feed = row["feed_name"] if row["feed"] != before else ""
        before = row["feed"]
        table.add_row(feed, name, row["period_label"], figure, row["value_status_ja"], row["gate_status_ja"])
    out.print(table)


def plain_json(value: Any) -> Any:
    """A value that JSON does not know, in one that it does."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
