"""`kpi claims check`: the numbers of a text against the marts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.cli.application import FAILED, out, reported

app = typer.Typer(help="文章の中の数値をマートと照合する", no_args_is_help=True)


@app.callback()
def claims() -> None:
    """文章の中の数値をマートと照合する。"""


@app.command(epilog="例：`kpi claims check demo/claims/slides.yaml`")
@reported
def check(file: Annotated[Path, typer.Argument(help="数値とクエリを結び付けた YAML")]) -> None:
    """数値ごとに ✓・✗（正しい値）・要確認 を示す。✗ があれば終了コード 1。"""
    from kpi_warehouse.claims import check as check_claims

    checked = check_claims(file)
    table = Table("番号", "文", "数値", "", "マートの値・足りないもの")
    colours = {"✓": "green", "✗": "red", "要確認": "yellow"}
    for one in checked:
        table.add_row(
            one.claim.claim_id,
            one.claim.quote,
            one.claim.number,
            f"[{colours[one.verdict]}]{one.verdict}[/]",
            one.found_ja,
        )
    out.print(table)
    counts = {verdict: sum(one.verdict == verdict for one in checked) for verdict in colours}
    out.print(f"{len(checked)} 件：" + "　".join(f"{verdict} {count}" for verdict, count in counts.items()))
    if counts["✗"]:
        raise typer.Exit(FAILED)
