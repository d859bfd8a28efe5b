"""`kpi feed`: the feeds there are, whether their contracts hold, and a draft for a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kpi_warehouse.cli.application import out, reported, wrong_usage
from kpi_warehouse.contract import Contract
from kpi_warehouse.errors import GateRejected

SHOWN = 10

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
    from kpi_warehouse.ledger_check import check_known_failures
    from kpi_warehouse.load import feeds

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
    if samples is not None:
        _check_samples(checked[0], samples)
    if path is None:
        if write:
            for written in write_derived():
                out.print(f"書き直しました：{written}", highlight=False)
        check_derived()
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
    "`kpi feed new estat_population_monthly --table 0003448237 --title 人口推計`"
)
@reported
def new(
    feed: Annotated[str, typer.Argument(help="新しいフィード名（小文字の英数字と _）")],
    title: Annotated[str, typer.Option("--title", help="フィードの日本語の名称")],
    sample: Annotated[Path | None, typer.Option("--sample", help="課のファイルの見本（Excel・CSV）")] = None,
    table: Annotated[str | None, typer.Option("--table", help="e-Stat の統計表ID")] = None,
    owner: Annotated[str, typer.Option("--owner", help="所管課")] = "（所管課）",
) -> None:
    """見本のファイル、または e-Stat の統計表のメタ情報から、契約ファイルの下書きを作る。"""
    from kpi_warehouse.contract import load_contract
    from kpi_warehouse.contract_draft import draft
    from kpi_warehouse.contract_draft_file import draft_from_sample
    from kpi_warehouse.settings import settings
    from kpi_warehouse.sources.estat import EstatClient

    if (sample is None) == (table is None):
        wrong_usage("--sample（課のファイル）か --table（e-Stat の統計表ID）のどちらかを指定してください。")
    path = settings().contracts / f"{feed}.odcs.yaml"
    if path.exists():
        wrong_usage(f"{path} はすでにあります。")
    if sample is not None:
        if not sample.is_file():
            wrong_usage(f"{sample} はありません。")
        text = draft_from_sample(feed, title, owner, sample)
    else:
        meta = EstatClient.from_settings(settings()).describe(str(table))
        text = draft(feed, title, owner, str(table), meta)
    path.write_text(text, encoding="utf-8")
    out.print(
        f"{path} に下書きを作りました。（要確認）の箇所を直し、`kpi feed check` で確かめてください。",
        highlight=False,
    )
    if sample is not None:
        _show_reading(load_contract(path), sample)


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


def _show_reading(contract: Contract, sample: Path) -> None:
    """What the draft reads of its sample, and which cells it does not account for yet."""
    from kpi_warehouse.feed_samples import read_sample

    reading = read_sample(contract, sample)
    out.print(f"見本から {len(reading.rows)} 個の値を読みました。", highlight=False)
    for row in reading.rows[:SHOWN]:
        value = row.value if row.value is not None else row.value_mark
        codes = "／".join([*row.axes.values(), row.measure_code])
        out.print(
            f"  {row.source_cell}　{row.period_kind} {row.period}　{codes}　{value}{row.unit or ''}",
            highlight=False,
        )
    if len(reading.rows) > SHOWN:
        out.print(f"  ほか {len(reading.rows) - SHOWN} 個", highlight=False)
    for fault in reading.faults:
        out.print(
            f"[yellow]残り[/yellow] {fault.place}（{fault.label}）：「{fault.found}」、期待：{fault.expected_ja}",
            highlight=False,
        )
