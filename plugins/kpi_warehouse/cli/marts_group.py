"""`kpi marts`: what the marts promise their readers, and the page that explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpi_warehouse.cli.application import out, reported

app = typer.Typer(help="マートの列の約束と、説明ページ", no_args_is_help=True)


@app.command(epilog="例：`kpi marts columns`　`kpi marts columns --write`")
@reported
def columns(
    write: Annotated[
        bool, typer.Option("--write", help="一覧を書き直す（読み手を壊す変更は、旧版を残さないかぎり断る）")
    ] = False,
) -> None:
    """公開している列（順・型・見出し・説明）が、一覧 dbt_project/published_columns.csv と同じか確かめる。"""
    from kpi_warehouse.marts_columns import check_columns, write_columns
    from kpi_warehouse.marts_dbt import parse

    project = parse()
    if write and write_columns(project):
        out.print("書き直しました：dbt_project/published_columns.csv", highlight=False)
    out.print(
        f"[green]✓[/green] 公開している表 {check_columns(project)} 件の列は一覧のとおりです", highlight=False
    )


@app.command(epilog="例：`kpi marts docs`　`kpi marts docs --to /srv/www/kpi-docs`")
@reported
def docs(
    to: Annotated[Path, typer.Option("--to", help="書き出すフォルダ")] = Path("marts-docs"),
) -> None:
    """マートの説明（表・列・計算式・つながり）を、通信の要らない1つの HTML に書き出す。"""
    from kpi_warehouse.marts_docs import write_docs

    path = write_docs(to)
    out.print(f"{path}（{path.stat().st_size:,} バイト）", highlight=False, markup=False)


@app.command(epilog="例：`kpi marts aside`")
@reported
def aside() -> None:
    """検査に合わないためマートから除いている取込と、その理由を並べる。"""
    from kpi_warehouse.set_aside.book import set_aside_loads

    found = set_aside_loads()
    if not found:
        out.print("マートから除いている取込はありません。")
    for row in found:
        out.print(f"取込番号 {row['load_id']}　{row['shown_ja']}", highlight=False, markup=False)
        out.print(f"{row['summary_ja']}", highlight=False, markup=False)


@app.command(epilog="例：`kpi marts readmit 12 --reason 原本を確認し、正しい値であった`")
@reported
def readmit(
    load_id: Annotated[int, typer.Argument(help="除いている取込の番号（`kpi marts aside`）")],
    reason: Annotated[str, typer.Option(help="理由。個人名は書かない")],
) -> None:
    """除いている取込を含めて作り直す。検査に合わなければ、除いたまま公開する。"""
    from kpi_warehouse import marts
    from kpi_warehouse.set_aside.book import ask_again

    ask_again(load_id, reason)
    built = marts.build(force=True)
    if any(step.load_id == load_id for step in built.left_out):
        out.print(
            f"取込番号 {load_id} はまだ検査に合いません。除いたまま公開しました（構築番号 {built.build_id}）。"
        )
        raise typer.Exit(3)
    out.print(f"取込番号 {load_id} を含めて公開しました（構築番号 {built.build_id}）。")
