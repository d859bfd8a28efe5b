"""Published figures that no revision explains, told to the feed they came from: data, never a failing build."""

from __future__ import annotations

import psycopg
from psycopg import sql


def note_differences(connection: psycopg.Connection, schema: str) -> None:
    """Open an incident for each feed with a figure that differs in `<schema>.mart_published_figure`, and settle those that are over.

    Runs inside the transaction that swaps.
    """
    connection.execute(
        sql.SQL(
            "select ops.note_published_figures(coalesce(jsonb_agg(jsonb_build_object('feed', feed, 'summary', said)), '[]'))"
            " from (select feed, '公表した数値と、取り込んだ値が合いません。表示は続けています。' || E'\\n'"
            " || string_agg('・' || statement_ja || '：' || note_ja || '（' || source || '）', E'\\n' order by figure_id) as said"
            " from {} where figure_status = 'differs' group by feed) as differing"
        ).format(sql.Identifier(schema, "mart_published_figure"))
    )
