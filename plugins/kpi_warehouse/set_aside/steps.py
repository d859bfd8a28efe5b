"""Steps of accepted history: what one transaction made known of one feed, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

ALWAYS = datetime.min.replace(tzinfo=UTC)
# For a build that did not note what it saw: longer than any publication takes.
LONGEST_PUBLICATION = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Step:
    """Rows of `raw.<feed>` that were opened, or closed, at `known_from`: a published load, a released row, an undone load.

    Ordered by time. `load_id` is the load whose rows they are.
    """

    known_from: datetime
    feed: str
    load_id: int


def seen_now(connection: psycopg.Connection) -> dict[str, str]:
    """Per feed, the newest publication that is visible now (ISO 8601): what is known from later on, a build may not have seen."""
    rows = connection.execute(
        "select feed, max(published_at) from ops.load where published_at is not null group by feed"
    ).fetchall()
    return {feed: instant.isoformat() for feed, instant in rows}


def steps_since_good_build(connection: psycopg.Connection, feeds: Iterable[str]) -> list[Step]:
    """Steps of these feeds that the marts in use may not hold, oldest first; all of them when nothing was built yet.

    A step too many costs a trial; a step too few would leave a failure unexplained.
    """
    row = connection.execute(
        "select step.detail -> 'seen', build.started_at from ops.build as build join ops.step as step using (build_id)"
        " where build.state = 'published' and build.as_of is null order by build.build_id desc limit 1"
    ).fetchone()
    seen: Mapping[str, str] | None = row[0] if row else None
    found: list[Step] = []
    for feed in sorted(set(feeds)):
        since = ALWAYS
        if seen is not None:
            since = datetime.fromisoformat(seen[feed]) if feed in seen else ALWAYS
        elif row is not None:
            since = row[1] - LONGEST_PUBLICATION
        found += _steps(connection, feed, since)
    return sorted(found)


def newest_instants(
    connection: psycopg.Connection, feeds: Iterable[str], until: datetime | None = None
) -> dict[str, str]:
    """Per feed, the instant of its newest step (ISO 8601), whatever made it; `until`: of those up to then."""
    newest = {}
    for feed in sorted(set(feeds)):
        row = connection.execute(
            sql.SQL(
                "select greatest(max(known_from) filter (where known_from <= {until}),"
                " max(known_to) filter (where known_to < 'infinity' and known_to <= {until})) from {raw}"
            ).format(raw=sql.Identifier("raw", feed), until=sql.Literal(until or "infinity"))
        ).fetchone()
        if row and row[0]:
            newest[feed] = row[0].isoformat()
    return newest


def _steps(connection: psycopg.Connection, feed: str, since: datetime) -> list[Step]:
    rows = connection.execute(
        sql.SQL(
            "with opened as (select known_from as instant, max(load_id) as load_id from {raw} where known_from > {since} group by 1)"
            " select instant, load_id from opened union all"
            # Rows taken back without successors.
            " select known_to, max(load_id) from {raw} where known_to > {since} and known_to < 'infinity'"
            " and not exists (select from opened where opened.instant = known_to) group by 1"
        ).format(raw=sql.Identifier("raw", feed), since=sql.Literal(since))
    ).fetchall()
    return [Step(instant, feed, load_id) for instant, load_id in rows]
