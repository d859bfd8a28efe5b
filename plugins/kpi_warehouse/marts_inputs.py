"""What a build of the marts is made from; the same inputs again need no build."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg

from kpi_warehouse.settings import settings

SOURCE_SUFFIXES = {".sql", ".yml", ".csv", ".md"}


@dataclass(frozen=True)
class Inputs:
    """What a build is made from: the code with the KPI catalogue, and the state of history and gate.

    `newest_load_id` is the load that was published last; a load with a smaller number may be published after one with a larger.
    """

    code_version: str
    history: str
    newest_load_id: int | None


def inputs_now(connection: psycopg.Connection) -> Inputs:
    """Taken before dbt reads: what happens meanwhile (a load, the end of an embargo) makes the next build run, at worst in vain."""
    row = connection.execute(
        """
        with decisions as (
            select
                feed,
                count(published_at) as published,
                max(published_at) as published_at,
                max(source_updated_on) as source_updated_on,
                (array_agg(state = 'rejected' order by load_id desc))[1] as newest_rejected,
                array_agg(load_id order by load_id) filter (where state = 'asked') as asked
            from ops.load
            where published_at is not null or state in ('unchanged', 'rejected', 'asked')
            group by feed
        ),
        held as (
            select feed, period, count(*) as rows from ops.held_row where state = 'held' group by feed, period
        ),
        shown as (
            select max(public_from) as since from ops.embargo where public_from <= clock_timestamp()
        )
        select
            (select load_id from ops.load where published_at is not null order by published_at desc limit 1),
            (select jsonb_agg(decisions order by feed) from decisions)::text,
            (select jsonb_agg(held order by feed, period) from held)::text,
            (select since from shown)::text,
            (select max(settled_at) from ops.held_row where state = 'released')::text,
            (select max(undone_at) from ops.undo)::text
        """
    ).fetchone()
    assert row is not None
    history = hashlib.sha256(repr(row).encode()).hexdigest()
    return Inputs(_code_version(settings().project / "dbt_project"), history, row[0])


def _code_version(project: Path) -> str:
    """Version of this package and a digest of the dbt project, whose seeds hold the KPI catalogue."""
    digest = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        if path.suffix in SOURCE_SUFFIXES and not {"target", "logs"} & set(path.relative_to(project).parts):
            digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{version('kumamoto-kpi-warehouse')}+{digest.hexdigest()[:12]}"


def published_from(connection: psycopg.Connection, inputs: Inputs) -> int | None:
    """The build behind the marts in use, if it was made from the same inputs."""
    row = connection.execute(
        """
        select build.build_id, build.code_version, step.detail ->> 'history'
        from ops.build as build
        join ops.step as step using (build_id)
        where
            build.state = 'published'
            and build.as_of is null
            and to_regclass('marts.mart_kpi_board') is not null
        order by build.build_id desc
        limit 1
        """
    ).fetchone()
    if row is None or (row[1], row[2]) != (inputs.code_version, inputs.history):
        return None
    return int(row[0])
