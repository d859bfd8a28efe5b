"""`kpi feed`: the feeds there are, whether their contracts hold, and a draft for a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kpi_warehouse.cli.application import out, reported, wrong_usage
from kpi_warehouse.contract import Contract
from kpi_warehouse.errors import GateRejected, KpiError

if TYPE_CHECKING:
    from kpi_warehouse.readers.cell_uses import SheetUses

SHOWN_SHEETS = 3
DRAFTS = "drafts"

app = typer.Typer(help="フィードの一覧・契約の検査・新しい契約の下書き", no_args_is_help=True)


@app.command("list", epilog="例：`kpi feed list`")
@reported
def list_() -> None:
    """フィードと、最後の取込の結果を表示する。"""
    from kpi_warehouse.load import feeds
    from kpi_warehouse.warehouse.connection import connect

    with connect() as connection:
        latest = {
            row[0]: row[1:]
            for row in connection.execute(
                "select distinct on (feed) feed, load_id, state, coalesce(verdict, ''), period_to, opened_at"
                " from ops.load order by feed, load_id desc"
            ).fetchall()
        }
    table = Table("フィード", "名称", "版", "所管", "最後の取込", "状態", "対象月")
    for contract in feeds():
        load_id, state, verdict, period, opened = latest.get(contract.feed, (None, "未取込", "", None, None))
        table.add_row(
            contract.feed,
            contract.title_ja,
            contract.version,
            contract.owner,
            f"{load_id}（{opened:%Y-%m-%d %H:%M}）" if opened else "",
            f"{state} {verdict}".strip(),
            f"{period:%Y-%m}" if period else "",
        )
    out.print(table)


@app.command(
    epilog="例：`kpi feed check`　`kpi feed check expectations/estat_migration_monthly.odcs.yaml`　`kpi feed check --write`"
)
@reported
def check(
    path: Annotated[Path | None, typer.Argument(help="契約ファイル。省くとすべて")] = None,
    samples: Annotated[
        Path | None,
        typer.Option("--samples", help="この契約で試す見本（good…・revised…・broken… など）のフォルダ"),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="契約から作るファイルを書き直す")] = False,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="既知の不一致の台帳に、もう要らない項目がないか実績と照らす")
    ] = False,
) -> None:
    """契約が標準（ODCS）と決まりに合うか、契約から作ったファイルが最新かを確かめる。"""
    from kpi_warehouse.contract import load_contract
    from kpi_warehouse.derived import check_derived, write_derived
    from kpi_warehouse.gate.suite import compile_contract
    from kpi_warehouse.kpi_catalogue import check_goals
    from kpi_warehouse.ledger_check import check_known_failures
    from kpi_warehouse.load import feeds
    from kpi_warehouse.settings import settings

    if samples is not None and path is None:
        wrong_usage("--samples には契約ファイルの指定が要ります。")
    checked = (load_contract(path),) if path else feeds()
    for contract in checked:
        compiled = compile_contract(contract)
        count = len(compiled.rules) + len(compiled.schema_expectations)
        out.print(
            f"[green]✓[/green] {contract.feed} {contract.version}：列 {len(contract.columns)}、検査 {count}",
            highlight=False,
        )
    if path is not None and checked[0].status == "draft":
        _show_open(path)
        if path.parent.name == DRAFTS:
            out.print(
                f"契約のフォルダーに移してください：mv {path} {path.parent.parent / path.name}",
                highlight=False,
                markup=False,
            )
    if samples is not None:
        _check_samples(checked[0], samples)
    if path is None:
        if write:
            for written in write_derived():
                out.print(f"書き直しました：{written}", highlight=False)
        check_derived()
        out.print(
            f"[green]✓[/green] 目標 {check_goals(settings().project)} 件（基準値は目標を超えていません）",
            highlight=False,
        )
        count = check_known_failures(against_loads=ledger)
        out.print(f"[green]✓[/green] 既知の不一致 {count} 件（expectations/ledger.yaml）", highlight=False)
        out.print("[green]✓[/green] 契約から作ったファイルは最新です")


@app.command(
    epilog="例：`kpi feed template kpi_progress --owner 移住定住推進本部`　`kpi feed template vacant_house_support --periods R5年度,R6年度`"
)
@reported
def template(
    feed: Annotated[str, typer.Argument(help="フィード名（kpi feed list）")],
    owner: Annotated[str | None, typer.Option("--owner", help="この所管のKPIだけ。省くとすべて")] = None,
    periods: Annotated[str, typer.Option("--periods", help="期間の列の見出し（コンマ区切り）")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="書き出すファイル（.xlsx）")] = None,
) -> None:
    """課へ配る記入様式（Excel）を契約から作る。返ってきたファイルはそのまま読める。"""
    from kpi_warehouse import feed_template
    from kpi_warehouse.contract import find_contract
    from kpi_warehouse.settings import settings

    contract = find_contract(settings().contracts, feed)
    headings = [text.strip() for text in periods.split(",") if text.strip()]
    body = feed_template.template(contract, owner=owner, periods=headings)
    path = output or Path(f"{contract.title_ja}{f'（{owner}）' if owner else ''}.xlsx")
    if path.exists():
        wrong_usage(f"{path} はすでにあります。--output で別の名前を指定してください。")
    path.write_bytes(body)
    out.print(f"{path} を作りました。", highlight=False, markup=False)


@app.command(
    epilog="例：`kpi feed new my_feed --sample 実績.xlsx --title 〇〇の実績 --owner 〇〇課`　"
    "`kpi feed new my_feed --sample R5.xlsx --sample R6.xlsx --title 〇〇`　"
    "`kpi feed new estat_population_monthly --table 0003448237 --title 人口推計`"
)
@reported
def new(
    feed: Annotated[str, typer.Argument(help="新しいフィード名（小文字の英数字と _）")],
    title: Annotated[str, typer.Option("--title", help="フィードの日本語の名称")],
    sample: Annotated[
        list[Path] | None,
        typer.Option(
            "--sample", help="課のファイルの見本（Excel・CSV・ODS）。年度の違うものを続けて指定してよい"
        ),
    ] = None,
    sheet: Annotated[
        str | None, typer.Option("--sheet", help="読むシートの名前（一部でよい）。省くと値の最も多いシート")
    ] = None,
    table: Annotated[str | None, typer.Option("--table", help="e-Stat の統計表ID")] = None,
    owner: Annotated[str, typer.Option("--owner", help="所管課")] = "（所管課）",
) -> None:
    """見本のファイル、または e-Stat の統計表のメタ情報から、契約ファイルの下書きを作る。"""
    from kpi_warehouse.drafting import place
    from kpi_warehouse.drafting.estat import draft
    from kpi_warehouse.drafting.make import make
    from kpi_warehouse.settings import settings
    from kpi_warehouse.sources.estat import EstatClient

    if bool(sample) == (table is not None):
        wrong_usage("--sample（課のファイル）か --table（e-Stat の統計表ID）のどちらかを指定してください。")
    if fault := place.check_name(feed):
        wrong_usage(fault)
    contracts = settings().contracts
    if there := place.taken(contracts, feed):
        wrong_usage(f"{there} はすでにあります。")
    if sample:
        if lacking := [str(path) for path in sample if not path.is_file()]:
            wrong_usage(f"{'、'.join(lacking)} はありません。")
        made = make(contracts, feed, title, owner, sample, sheet=sheet)
        _show_preview(made.sheets)
        if made.page is not None:
            out.print(f"下見　　{made.page}（ブラウザーで開く）", highlight=False, markup=False)
            told = f"、まだ読めないセル {made.unread:,} 個" if made.unread else ""
            out.print(f"見本から {made.values:,} 個の値を読みました{told}。", highlight=False)
        landed = made.landed
    else:
        meta = EstatClient.from_settings(settings()).describe(str(table))
        landed = place.put(contracts, feed, draft(feed, title, owner, str(table), meta))
    if landed.wrong_ja is not None:
        raise KpiError(
            f"下書きは {landed.path} にあります。このままでは使えないため、契約のフォルダーには入れていません。\n"
            f"{landed.wrong_ja}\n直したら `kpi feed check {landed.path}` で確かめてください。",
            "draft.does_not_check",
        )
    out.print(f"{landed.path} に下書きを作りました。", highlight=False, markup=False)
    _show_open(landed.path)


@app.command(epilog="例：`kpi feed preview expectations/my_feed.odcs.yaml 実績.xlsx`")
@reported
def preview(
    path: Annotated[Path, typer.Argument(help="契約ファイル（下書きでもよい）")],
    file: Annotated[Path, typer.Argument(help="見本のファイル")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="書き出すページ（.html）")] = None,
) -> None:
    """この契約がファイルのどのセルを何として読むかを、色分けして見せる。"""
    from kpi_warehouse.contract import load_contract
    from kpi_warehouse.drafting.make import preview as made

    if not file.is_file():
        wrong_usage(f"{file} はありません。")
    page, sheets = made(load_contract(path), file)
    _show_preview(sheets)
    place = output or Path(f"{file.stem}の下見.html")
    place.write_text(page, encoding="utf-8")
    out.print(f"下見　　{place}（ブラウザーで開く）", highlight=False, markup=False)


def _show_preview(sheets: list[tuple[str, SheetUses]]) -> None:
    """The sheets that are read, in the terminal, and every cell that is not accounted for."""
    from kpi_warehouse.drafting.preview_terminal import legend, preview_table
    from kpi_warehouse.readers.places import places_in_words

    read = [(name, uses) for name, uses in sheets if uses.read]
    if not read:
        return
    out.print(legend())
    for _, uses in read[:SHOWN_SHEETS]:
        out.print(preview_table(uses))
    for _, uses in read:
        for faults in uses.faults.values():
            for fault in faults:
                out.print(
                    f"[yellow]残り[/yellow] {places_in_words(fault.place)}（{escape(fault.label)}）：「{escape(fault.found)}」、"
                    f"期待：{escape(fault.expected_ja)}",
                    highlight=False,
                )


def _show_open(path: Path) -> None:
    """Every place of a draft that somebody must look at, and what comes then."""
    from kpi_warehouse.drafting.open_points import open_points

    points = open_points(path)
    out.print(
        f"確かめるところが {len(points)} か所あります（（要確認）の印）："
        if points
        else "（要確認）の印は残っていません。"
    )
    for point in points:
        asked = f"：{point.asked_ja}" if point.asked_ja else ""
        out.print(f"  {point.line} 行目　{point.part_ja}{asked}", highlight=False, markup=False)
    out.print(
        f"確かめて印を消し、status を active にしたら、`kpi feed check {path}` に通してください。",
        highlight=False,
        markup=False,
    )


def _check_samples(contract: Contract, folder: Path) -> None:
    from kpi_warehouse.feed_samples import check_samples

    outcomes = check_samples(contract, folder)
    for one in outcomes:
        sign = "[red]✗[/red]" if one.expected_ja else "[green]✓[/green]"
        out.print(
            f"{sign} {one.name}：{one.state}　{one.rows} 行、保留 {one.held}、注意 {one.marked}",
            highlight=False,
        )
        if one.message_ja:
            out.print(f"    {one.message_ja}", highlight=False, markup=False)
    missed = [f"{one.name}：{one.expected_ja}" for one in outcomes if one.expected_ja]
    if missed:
        raise GateRejected("見本が名前のとおりになりませんでした。\n" + "\n".join(missed), "samples.surprise")
