"""`kpi receipt`: from a published number back to its source, on the screen, as JSON, or as a page to print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.cli.application import app, out, reported
from kpi_warehouse.cli.marts import plain_json


@app.command(
    epilog="例：`kpi receipt K12 2024`　`kpi receipt D08 2024年度 --verify`　`kpi receipt K12 2023年度 --verify --print 由来.html`"
)
@reported
def receipt(
    kpi: Annotated[str, typer.Argument(help="KPI番号（K12 など）")],
    period: Annotated[
        str, typer.Argument(help="期間：2024（暦年）・R6年・2023年度・R5年度・2024-09（月）・CUM2024-2027")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="JSON で出力")] = False,
    check: Annotated[bool, typer.Option("--verify", help="保存した原本のセルまで読み直して確かめる")] = False,
    page: Annotated[
        Path | None, typer.Option("--print", help="答弁資料に添える 1 枚（HTML）を書き出す")
    ] = None,
) -> None:
    """公表した数値ひとつの由来を示す：値 → 行 → ページ・セル → sha256、契約の版、検査の結果。"""
    from kpi_warehouse.receipt import trail
    from kpi_warehouse.receipt_page import receipt_page
    from kpi_warehouse.receipt_proof import verify

    found = trail(kpi, period)
    compared = verify(found) if check else None
    if page is not None:
        page.write_text(receipt_page(found, compared), encoding="utf-8")
        out.print(f"書き出しました：{page}", highlight=False, markup=False)
        return
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=2, default=plain_json))
        return
    out.print(
        f"[bold]{found.kpi_id} {found.kpi_name}[/bold]　{found.period_label}（{found.period_kind}）",
        highlight=False,
    )
    out.print(f"値　　{found.value_text}　{found.coverage}", highlight=False)
    out.print(f"計算　{found.method_ja}", highlight=False)
    table = Table("期間", "値", "取込", title="もとの行")
    for heading in ("場所", "sha256", "知った時点"):
        table.add_column(heading, overflow="fold")
    for row in found.rows:
        table.add_row(
            f"{row.period:%Y-%m}",
            row.value_text,
            str(row.load_id),
            row.place_ja,
            row.sha256[:16] + "…",
            f"{row.known_from:%Y-%m-%d %H:%M}",
        )
    out.print(table)
    for note in dict.fromkeys(row.note for row in found.rows if row.note):
        out.print(f"注記　{note}", highlight=False, markup=False)
    for source in found.loads:
        out.print(
            f"取込 {source.load_id}　{source.feed} 契約 {source.contract_version}（{source.contract_sha256[:12]}）　"
            f"検査 {source.verdict_ja}　コード {source.code_version}",
            highlight=False,
        )
        if source.answer_ja:
            out.print(f"  公表を認めた理由　{source.answer_ja}", highlight=False, markup=False)
        for part in source.pages:
            out.print(f"  {part.name_ja}　{part.sha256}\n  {part.url}", highlight=False, markup=False)
    if compared is not None:
        out.print(f"[green]✓[/green] 保存した原本の {compared} セルと一致しました。", highlight=False)
