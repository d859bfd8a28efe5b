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
