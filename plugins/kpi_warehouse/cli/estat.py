"""`kpi estat`: look at e-Stat's tables as the loader sees them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.cli.application import out, reported

app = typer.Typer(help="e-Stat の統計表を調べる（要 ESTAT_APP_ID）", no_args_is_help=True)
SHOWN = 20


@app.command(epilog="例：`kpi estat tables --search 都道府県間移動者数`")
@reported
def tables(
    search: Annotated[str | None, typer.Option("--search", help="検索語（AND / OR / NOT）")] = None,
    stats_code: Annotated[str, typer.Option("--stats-code", help="政府統計コード")] = "00200523",
    updated: Annotated[
        str | None, typer.Option("--updated", help="更新日 yyyymmdd または yyyymmdd-yyyymmdd")
    ] = None,
) -> None:
    """統計表を探す。"""
    from kpi_warehouse.settings import settings
    from kpi_warehouse.sources.estat import EstatClient

    listing = Table("統計表ID", "表題", "更新日")
    for entry in EstatClient.from_settings(settings()).tables(
        stats_code=stats_code, search_word=search, updated_date=updated
    ):
        listing.add_row(entry.table_id, entry.title, str(entry.updated_on))
    out.print(listing)


@app.command(epilog="例：`kpi estat describe 0003420473`")
@reported
def describe(
    table: Annotated[str, typer.Argument(help="統計表ID")],
    all_codes: Annotated[bool, typer.Option("--all", help="すべてのコードを表示")] = False,
) -> None:
    """統計表の軸とコードを表示する。"""
    from kpi_warehouse.settings import settings
    from kpi_warehouse.sources.estat import EstatClient

    meta = EstatClient.from_settings(settings()).describe(table)
    out.print(
        f"[bold]{meta.table_id}[/bold] {meta.title}（{meta.stats_code} {meta.stats_name}、更新日 {meta.updated_on}）",
        highlight=False,
    )
    for name, axis in meta.axes.items():
        out.print(f"[bold]{name}[/bold] {axis.name}（{len(axis.codes)}）", highlight=False)
        shown = list(axis.codes.items()) if all_codes else list(axis.codes.items())[:SHOWN]
        out.print(
            "  " + "　".join(f"{code} {entry.name}" for code, entry in shown), highlight=False, markup=False
        )
        if len(shown) < len(axis.codes):
            out.print(f"  …ほか {len(axis.codes) - len(shown)}（--all で全部）", highlight=False)


@app.command(epilog="例：`kpi estat values 0003420473 tab=04 cat01=0 cat02=60000 area=43000 time=2024000909`")
@reported
def values(
    table: Annotated[str, typer.Argument(help="統計表ID")],
    conditions: Annotated[list[str], typer.Argument(help="軸=コード[,コード…]")],
) -> None:
    """値を取り出して JSON のまま表示する（1行に1件）。"""
    import json

    from kpi_warehouse.cli.application import wrong_usage
    from kpi_warehouse.settings import settings
    from kpi_warehouse.sources.estat import DataQuery, EstatClient, Page

    axes: dict[str, list[str]] = {}
    for condition in conditions:
        name, equals, codes = condition.partition("=")
        if not equals or not codes:
            wrong_usage(f"条件「{condition}」を読めません。例：area=43000,40000")
        axes[name] = codes.split(",")
    pages: list[Page] = []  # shown when all are there: a table that moves meanwhile is read anew
    for page in EstatClient.from_settings(settings()).pages(DataQuery(table, axes), on_restart=pages.clear):
        pages.append(page)
    for page in pages:
        data = json.loads(page.text())["GET_STATS_DATA"].get("STATISTICAL_DATA", {}).get("DATA_INF", {})
        found = data.get("VALUE", [])
        for cell in found if isinstance(found, list) else [found]:
            typer.echo(json.dumps(cell, ensure_ascii=False))
