"""`kpi hold`: deliveries and rows that wait for a decision. `kpi inbox`: the files that divisions handed in."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.cli.application import out, reported
from kpi_warehouse.cli.marts import follow
from kpi_warehouse.errors import KpiError

app = typer.Typer(help="問い合わせと保留を見る・公表を認める・受け入れない", no_args_is_help=True)
inbox = typer.Typer(help="届いたファイルを見る・受け取る", no_args_is_help=True)


@app.command("list", epilog="例：`kpi hold list`　`kpi hold list --feed uij_turn`")
@reported
def listed(
    feed: Annotated[str | None, typer.Option(help="このフィードだけ")] = None,
) -> None:
    """公表前の問い合わせ、保留中の行、打ち間違いを直す提案を、理由と場所つきで並べる。"""
    from kpi_warehouse.approvals import open_proposals
    from kpi_warehouse.decisions.questions import open_questions
    from kpi_warehouse.holds import held_rows

    questions = open_questions(feed)
    if questions:
        out.print(
            f"公表前の問い合わせ {len(questions)} 件（答えがあるまで、提供全体を公表しません）",
            highlight=False,
        )
    for one in questions:
        months = (
            f"{one.period_from:%Y-%m}〜{one.period_to:%Y-%m}" if one.period_from and one.period_to else ""
        )
        out.print(
            f"取込番号 {one.load_id}　{one.feed}　{months}　{one.asked_at:%Y-%m-%d %H:%M}",
            highlight=False,
            markup=False,
        )
        for line in one.question_ja.splitlines():
            out.print(f"  {line}", highlight=False, markup=False)
    table = Table("番号", "フィード", "期間", "値", "場所", "理由")
    for held in held_rows(feed):
        value = held.row.get("value_text") or held.row.get("value") or ""
        table.add_row(
            str(held.held_id), held.feed, f"{held.period}", str(value), held.source_ref, held.reason_ja
        )
    out.print(table)
    waiting = open_proposals(feed)
    if not waiting:
        return
    proposals = Table(
        "提案番号",
        "フィード",
        "セル",
        "元の値 → 提案",
        "根拠",
        title="直す提案（`kpi hold approve 提案番号`）",
    )
    for proposal in waiting:
        change = f"{proposal.found} → {proposal.proposed}"
        proposals.add_row(
            str(proposal.proposal_id), proposal.feed, proposal.place, change, proposal.message_ja
        )
    out.print(proposals)


@app.command(epilog="例：`kpi hold approve 2 --reason '地域振興課に確認。165 が正しい（R6.12.3）'`")
@reported
def approve(
    proposal_id: Annotated[int, typer.Argument(help="提案番号（`kpi hold list`）")],
    reason: Annotated[str, typer.Option("--reason", help="修正を認める理由。記録に残る")],
) -> None:
    """所管課が認めた提案を修正として記録し、同じファイルを取り込み直す。"""
    from kpi_warehouse import approvals

    approved = approvals.approve(proposal_id, reason)
    proposal, published = approved.proposal, approved.published
    out.print(
        f"修正承認済み：{proposal.label}（{proposal.place}）{proposal.found} → {proposal.proposed}。"
        f"取込番号 {published.load_id}：{published.state}（新しい行 {published.opened_rows:,}）。"
        "`kpi build` で盤面に反映します。",
        markup=False,
    )


@app.command(
    epilog="例：`kpi hold release 12 --reason '4月の地震による転出。危機管理課に確認（R7.1.15）'`　"
    "`kpi hold release 3 --row --reason '商工政策課に確認。訂正後の値で正しい（R6.12.3）'`"
)
@reported
def release(
    number: Annotated[
        int, typer.Argument(help="問い合わせ中の取込番号、または保留行の番号（`kpi hold list`）")
    ],
    reason: Annotated[str, typer.Option("--reason", help="公表を認める理由。記録に残る")],
    row: Annotated[
        bool | None,
        typer.Option(
            "--row/--load", help="番号が行のもの（--row）か、取込のもの（--load）か。まぎれるときだけ要る"
        ),
    ] = None,
    build: Annotated[
        bool, typer.Option("--build/--no-build", help="問い合わせた提供を公表したあと、マートを作り直す")
    ] = True,
) -> None:
    """所管課に確かめた提供（問い合わせ）または行（保留）の公表を認める。理由は記録に残る。"""
    from kpi_warehouse import holds
    from kpi_warehouse.decisions import questions

    if row if row is not None else _is_row(number, reason):
        held = holds.release(number, reason)
        out.print(
            f"保留番号 {held.held_id}（{held.source_ref}）を公表しました。`kpi build` で盤面に反映します。",
            highlight=False,
            markup=False,
        )
        return
    done = questions.release(number, reason)
    if not done.is_new:
        out.print(
            f"取込番号 {number} は、すでに公表を認められています。何も変えていません。", highlight=False
        )
        return
    published = done.published
    out.print(
        f"取込番号 {number} を公表しました：新しい行 {published.opened_rows:,}、閉じた行 {published.closed_rows:,}",
        highlight=False,
    )
    if published.held_rows:
        out.print(
            f"このうち {published.held_rows:,} 行は、行ごとの確認待ちです（`kpi hold list`）。",
            highlight=False,
        )
    if build:
        follow()


def _is_row(number: int, reason: str) -> bool:
    """Whether a number means a row that waits and not a delivery that is asked about; both wait: neither is taken."""
    from kpi_warehouse.decisions import questions
    from kpi_warehouse.holds import held_rows

    is_row = any(held.held_id == number for held in held_rows())
    is_load = any(question.load_id == number for question in questions.open_questions())
    if is_row and is_load:
        said = reason.replace("'", "’")
        raise KpiError(
            f"番号 {number} は、問い合わせ中の取込と、保留中の行の両方にあります。どちらかを指定してください。\n"
            f"取込全体：kpi hold release {number} --load --reason '{said}'\n"
            f"行だけ　：kpi hold release {number} --row --reason '{said}'",
            "hold.ambiguous",
        )
    # Of what waits no more, what was asked about is told as such; any other number is one of rows, as it always was.
    return is_row or not (is_load or questions.waits(number))


@app.command(epilog="例：`kpi hold reject 12 --reason '10月分の再送だった（地域振興課に確認、R7.1.15）'`")
@reported
def reject(
    load_id: Annotated[int, typer.Argument(help="問い合わせ中の取込番号（`kpi hold list`）")],
    reason: Annotated[str, typer.Option("--reason", help="受け入れない理由。記録に残る")],
) -> None:
    """問い合わせた提供を、誤りとして受け入れない。提出した課には知らせが届く。"""
    from kpi_warehouse.decisions import questions

    questions.reject(load_id, reason)
    out.print(
        f"取込番号 {load_id} は受け入れないと記録しました。前回の値を表示したままです。正しい値が届けば取り込みます。",
        highlight=False,
    )


@inbox.command("list", epilog="例：`kpi inbox list --feed vacant_house_support`")
@reported
def deliveries(
    feed: Annotated[str | None, typer.Option(help="このフィードだけ")] = None,
    limit: Annotated[int, typer.Option(help="件数")] = 30,
) -> None:
    """届いたファイルと、その結果を新しい順に並べる。"""
    from kpi_warehouse.warehouse.deliveries import receipts_for_inbox

    table = Table("受付番号", "ファイル", "フィード", "状態", "結果")
    for receipt in receipts_for_inbox(feed=feed, limit=limit):
        said = (receipt["message_ja"] or "").splitlines()
        table.add_row(
            str(receipt["delivery_id"]),
            receipt["file_name"],
            receipt["feed"] or "",
            receipt["state"],
            said[0] if said else "",
        )
    out.print(table)


@inbox.command(epilog="例：`kpi inbox receive`")
@reported
def receive() -> None:
    """受付フォルダーを今見て、そろったファイルを受け取る。"""
    from kpi_warehouse.sources.inbox_receive import receive_all

    for delivery in receive_all(wait=True):
        out.print(f"受付番号 {delivery.delivery_id}　{delivery.state}　{delivery.file_name}", highlight=False)
        if delivery.message_ja:
            out.print(f"  {delivery.message_ja}", highlight=False, markup=False)
