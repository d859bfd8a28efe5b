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
    """保留中の行を、理由と場所つきで並べる。"""
    from kpi_warehouse.holds import held_rows

    table = Table("番号", "フィード", "期間", "値", "場所", "理由")
    for held in held_rows(feed):
        value = held.row.get("value_text") or held.row.get("value") or ""
        table.add_row(
            str(held.held_id), held.feed, f"{held.period}", str(value), held.source_ref, held.reason_ja
        )
    out.print(table)


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
