"""`kpi hold`: rows that wait for a decision. `kpi inbox`: the files that divisions handed in."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.cli.application import out, reported

app = typer.Typer(help="保留中の行を見る・公表を認める", no_args_is_help=True)
inbox = typer.Typer(help="届いたファイルを見る・受け取る", no_args_is_help=True)


@app.command("list", epilog="例：`kpi hold list`　`kpi hold list --feed uij_turn`")
@reported
def listed(
    feed: Annotated[str | None, typer.Option(help="このフィードだけ")] = None,
) -> None:
    """保留中の行と、打ち間違いを直す提案を、理由と場所つきで並べる。"""
    from kpi_warehouse.approvals import open_proposals
    from kpi_warehouse.holds import held_rows

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


@app.command(epilog="例：`kpi hold release 3 --reason '商工政策課に確認。訂正後の値で正しい（R6.12.3）'`")
@reported
def release(
    held_id: Annotated[int, typer.Argument(help="保留番号（`kpi hold list`）")],
    reason: Annotated[str, typer.Option("--reason", help="公表を認める理由。記録に残る")],
) -> None:
    """所管課に確かめた行の公表を認める（理由を記録し、次の `kpi build` で反映）。"""
    from kpi_warehouse import holds

    held = holds.release(held_id, reason)
    out.print(f"保留番号 {held.held_id}（{held.source_ref}）を公表しました。`kpi build` で盤面に反映します。")


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
