"""Database roles of the owners, to whom `mart_draft_value` shows their own figures before everyone else.

A role per body that owns KPIs (seed `owners`) and per feed (the division that hands it in). They cannot log in; an
administrator grants one to the login of the owner's BI tool. Each reads the marts as `kpi_reader` does.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

from psycopg import sql

from kpi_warehouse.contract import contracts
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect

PREFIX = "kpi_draft_"


@dataclass(frozen=True)
class DraftRole:
    """A role, whose figures it shows, and the logins it was granted to."""

    name: str
    owner_ja: str
    members: tuple[str, ...]


def draft_roles() -> tuple[DraftRole, ...]:
    """Make the roles that are missing; returns all of them, in the order of seed and contracts."""
    project = settings().project
    with (project / "dbt_project/seeds/owners.csv").open(encoding="utf-8", newline="") as lines:
        owners = {f"{PREFIX}{row['owner_id']}": row["owner_name"] for row in csv.DictReader(lines)}
    owners |= {
        f"{PREFIX}{contract.feed}": f"{contract.owner}（{contract.title_ja}）"
        for contract in contracts(settings().contracts)
    }
    with connect(role=None) as connection:
        # Two at once would both find a role missing.
        connection.execute("select pg_advisory_xact_lock(hashtextextended('draft roles', 0))")
        there = {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}
        for name in owners:
            role = sql.Identifier(name)
            if name not in there:
                connection.execute(sql.SQL("create role {} nologin").format(role))
            connection.execute(sql.SQL("grant kpi_reader to {} with inherit true, set false").format(role))
        members: dict[str, list[str]] = dict(
            connection.execute(
                "select role.rolname, array_agg(member.rolname::text order by member.rolname) from pg_auth_members as m"
                " join pg_roles as role on role.oid = m.roleid join pg_roles as member on member.oid = m.member"
                " where role.rolname like %s and m.inherit_option group by role.rolname",
                [PREFIX.replace("_", r"\_") + "%"],
            ).fetchall()
        )
    return tuple(DraftRole(name, owner, tuple(members.get(name, ()))) for name, owner in owners.items())
