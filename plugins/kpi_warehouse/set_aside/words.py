"""What people read about a load that is left out: on the board, in the load's health, in the incident."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from kpi_warehouse.clock import JAPAN
from kpi_warehouse.marts_dbt import Node
from kpi_warehouse.set_aside.book import Shown
from kpi_warehouse.set_aside.steps import Step

EXAMPLES, COLUMNS = 3, 8


def shown(
    connection: psycopg.Connection, left_out: Iterable[Step], newest: Mapping[str, datetime | None]
) -> dict[str, Shown]:
    """Per feed, the sentence that says what is left out and since when its figures are unchanged.

    Args:
        newest: per feed the newest instant of what is kept, as `make_history` returns it.
    """
    by_feed: dict[str, list[Step]] = {}
    for step in sorted(left_out):
        by_feed.setdefault(step.feed, []).append(step)
    said = {}
    for feed, steps in by_feed.items():
        until = newest.get(feed)
        missing = "、".join(dict.fromkeys(name_of(connection, step) for step in steps))
        value = f"{_time(until)} 時点の値を表示しています。" if until else "表示できる値はまだありません。"
        said[feed] = Shown(f"{title_of(connection, feed)}は、{missing}を除いて、{value}", until)
    return said


def summary(
    connection: psycopg.Connection,
    step: Step,
    checks: Sequence[Mapping[str, Any]],
    beside: Sequence[Step],
    *,
    narrowed: bool,
) -> str:
    """What the owner of the feed reads: the load, the checks in words, and the rows that fail."""
    name = name_of(connection, step)
    first = f"{name}を含めるとマートの検査に合わないため、この取込を除いて構築しました。ほかの取込は反映しています。"
    if not narrowed:
        first = (
            f"マートの検査に合わない取込を時間内に絞り込めなかったため、{name}を含む新しい取込を除いて構築しました。"
            "この取込に誤りがあるとは限りません。"
        )
    lines = [first]
    for check in checks:
        lines.append(f"・{check['words_ja'] or check['name']}")
        lines += [f"・　合わない行：{row}" for row in check["rows"]]
    if beside:
        others = "、".join(
            f"{title_of(connection, other.feed)}の{name_of(connection, other)}" for other in beside
        )
        lines.append(
            f"・単独では合います。次の取込とあわせると合わないため、どちらが正しいかを確かめてください：{others}"
        )
    return "\n".join(lines)


def failing_checks(connection: psycopg.Connection, failed: Iterable[Node]) -> list[dict[str, Any]]:
    """Name, words and some failing rows of each failed node, as long as what it was made of is still there."""
    return [
        {
            "name": node.name,
            "words_ja": node.words_ja.split("\n", 1)[0] or node.message.split("\n", 1)[0],
            "rows": _rows(connection, node.query) if node.query else node.message.splitlines()[-1:],
        }
        for node in failed
    ]


def title_of(connection: psycopg.Connection, feed: str) -> str:
    """The feed's Japanese title."""
    row = connection.execute("select title_ja from ops.feed where feed = %s", [feed]).fetchone()
    return str(row[0]) if row else feed


def name_of(connection: psycopg.Connection, step: Step) -> str:
    """A load as people know it: its number, its file or months, and when it was taken in."""
    row = connection.execute(
        "select l.period_from, l.period_to, l.published_at = %s,"
        " (select p.params ->> 'file_name' from ops.load_page as p where p.load_id = l.load_id order by page limit 1)"
        " from ops.load as l where l.load_id = %s",
        [step.known_from, step.load_id],
    ).fetchone()
    if row is None:
        return f"取込番号{step.load_id}"
    first, last, is_whole, file_name = row
    about = f"「{file_name}」" if file_name else _months(first, last)
    part = "" if is_whole else "の後からの変更"
    return f"取込番号{step.load_id}{part}（{about}、{_time(step.known_from)} 反映）"


def _rows(connection: psycopg.Connection, query: str) -> list[str]:
    try:
        with connection.transaction():
            # The statement is dbt's own, of a test of this project.
            found = connection.execute(
                sql.SQL("select to_jsonb(failing) from ({}) as failing limit {}").format(
                    sql.SQL(query),
                    sql.Literal(EXAMPLES),
                )
            ).fetchall()
    except psycopg.Error as error:
        return [f"（行を読めませんでした：{error.sqlstate}）"]
    return [
        "、".join(f"{name} {value}" for name, value in list(row.items())[:COLUMNS] if value is not None)
        for (row,) in found
    ]


def _months(first: Any, last: Any) -> str:
    if first is None or last is None:
        return "期間の記載なし"
    if first == last:
        return f"{first:%Y年%-m月}分"
    return f"{first:%Y年%-m月}〜{last:%Y年%-m月}分"


def _time(instant: datetime) -> str:
    return f"{instant.astimezone(JAPAN):%Y-%m-%d %H:%M}"
