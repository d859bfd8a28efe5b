"""The Typer application and how its errors reach the reader."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console

from kpi_warehouse.errors import GateAsked, GateRejected, KpiError

FAILED, WRONG_USAGE, REFUSED = 1, 2, 3
P = ParamSpec("P")
R = TypeVar("R")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

# Local variables of a traceback could hold a key or a password, so they are never shown.
app = typer.Typer(
    help="熊本県KPIウェアハウス：取込・検査・公表・盤面（終了コード 0 完了・1 失敗・2 使い方の誤り・3 検査で不合格・問い合わせ）",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)


def stop(error: KpiError) -> NoReturn:
    """Show the error and end with the exit code of its kind."""
    err.print(f"[red]✗[/red] {error.code}")
    err.print(error.message_ja, highlight=False, markup=False)
    sys.exit(REFUSED if isinstance(error, GateRejected | GateAsked) else FAILED)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors meant for people into a message and an exit code; a defect keeps its traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> R:
        try:
            return command(*args, **kwargs)
        except KpiError as error:
            stop(error)

    return run


def wrong_usage(message: str) -> NoReturn:
    """End with exit code 2."""
    raise typer.BadParameter(message)
