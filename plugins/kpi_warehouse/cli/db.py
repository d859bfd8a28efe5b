"""`kpi db`: the embedded server, the schema, and the way in."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from kpi_warehouse.cli.application import out, reported, wrong_usage

app = typer.Typer(
    help="データベース（埋め込み PostgreSQL 18、または KPI_DATABASE_URL の先）", no_args_is_help=True
)


@app.command(epilog="例：`kpi db start`")
@reported
def start() -> None:
    """埋め込みの PostgreSQL を起動する（動いていればそのまま使う）。"""
    from kpi_warehouse.settings import settings
    from kpi_warehouse.warehouse.server import EmbeddedServer

    if settings().database_url is not None:
        wrong_usage("KPI_DATABASE_URL が設定されているため、埋め込みサーバーは使いません。")
    running = EmbeddedServer(settings()).start()
    out.print(f"起動しました：{running.host}:{running.port}", highlight=False)


@app.command(epilog="例：`kpi db stop`")
@reported
def stop() -> None:
    """埋め込みの PostgreSQL を止める。"""
    from kpi_warehouse.settings import settings
    from kpi_warehouse.warehouse.server import EmbeddedServer

    EmbeddedServer(settings()).stop()
    out.print("停止しました")


@app.command(epilog="例：`kpi db migrate`")
@reported
def migrate() -> None:
    """スキーマを最新の版にする。"""
    from kpi_warehouse.warehouse.connection import migrate as upgrade

    out.print(f"スキーマの版：{upgrade()}", highlight=False)


@app.command(
    epilog='例：`kpi db prepare`　そのあと `pg_restore --exclude-schema=pg_catalog --exit-on-error -d "$(kpi db url)" kpi.dump`　`kpi db migrate`'
)
@reported
def prepare() -> None:
    """バックアップを新しいサーバーへ復元する前に、役割（kpi_loader など）を作る。表は作らない。"""
    from kpi_warehouse.warehouse.roles import prepare as make

    make()
    out.print("役割を用意しました。復元したあと `kpi db migrate` を実行してください。")


@app.command(epilog="例：`kpi db roles`　そのあと `kpi db psql -- -c 'grant kpi_draft_kodomo to bi_kodomo'`")
@reported
def roles() -> None:
    """所管ごとの役割（未公表の値を読む権限）を作り、一覧を表示する。"""
    from kpi_warehouse.draft_roles import draft_roles

    for role in draft_roles():
        granted = f"　与えた先：{'、'.join(role.members)}" if role.members else ""
        out.print(f"{role.name:<40}{role.owner_ja}{granted}", highlight=False, markup=False)


@app.command(epilog="例：`psql $(kpi db url --reader)`")
@reported
def url(
    reader: Annotated[bool, typer.Option("--reader", help="BI 用（マートの読み取りだけ）の接続先")] = False,
) -> None:
    """接続先の URL を表示する（パスワードを含むので取り扱いに注意）。"""
    from kpi_warehouse.settings import settings
    from kpi_warehouse.warehouse.connection import warehouse_url
    from kpi_warehouse.warehouse.server import EmbeddedServer

    if not reader:
        typer.echo(warehouse_url())
        return
    running = EmbeddedServer(settings()).running() if settings().database_url is None else None
    if running is None:
        wrong_usage("--reader は、動いている埋め込みサーバーでだけ使えます。")
    typer.echo(running.url(role="kpi_reader"))


@app.command(
    epilog="例：`kpi db psql`　`kpi db psql -- -c 'select * from marts.mart_kpi_board'`",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
@reported
def psql(context: typer.Context) -> None:
    """psql を開く（埋め込みサーバーに付属のもの）。"""
    from kpi_warehouse.settings import settings
    from kpi_warehouse.warehouse.connection import warehouse_url
    from kpi_warehouse.warehouse.server import EmbeddedServer

    program, environment = EmbeddedServer(settings()).psql_program(warehouse_url())
    os.execve(program, [program, *context.args], {**os.environ, **environment})  # noqa: S606 - the user's own session
