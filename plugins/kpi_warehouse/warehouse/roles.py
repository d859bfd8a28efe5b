"""The roles of the warehouse: they belong to the server and not to its database, so a dump of the database does not carry them.

`prepare` makes them before a dump is restored into a new server; `kpi db migrate` makes what is missing of them.
"""

from __future__ import annotations

import psycopg

from kpi_warehouse.errors import KpiError
from kpi_warehouse.warehouse.connection import connect

# The same as migration 0001 makes for an empty database.
ROLES = """
do $$
declare
    wanted text;
begin
    foreach wanted in array array['kpi_loader', 'kpi_transformer', 'kpi_reader'] loop
        begin
            if not exists (select 1 from pg_roles where rolname = wanted) then
                execute format('create role %I nologin', wanted);
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this server is being prepared at the same moment
        end;
    end loop;
    execute format('grant kpi_loader, kpi_transformer to %I with inherit true, set true', current_user);
    execute format('grant create on database %I to kpi_transformer', current_database());
    execute format('revoke create, temporary on database %I from public', current_database());
    execute format('grant temporary on database %I to kpi_loader, kpi_transformer', current_database());
end
$$;
alter role kpi_reader set default_transaction_read_only = on;
alter role kpi_reader set statement_timeout = '60s';
alter role kpi_reader connection limit 50;
"""
COMPLETE = """
select coalesce((
    select bool_and(has_database_privilege(oid, current_database(), 'temporary') and pg_has_role(current_user, oid, 'set'))
        and bool_or(rolname = 'kpi_transformer' and has_database_privilege(oid, current_database(), 'create'))
        and count(*) = 2
    from pg_roles where rolname in ('kpi_loader', 'kpi_transformer')
), false) and exists (select from pg_roles where rolname = 'kpi_reader')
"""


def prepare() -> None:
    """Make the roles of the warehouse on this server, and what they may do in this database. Idempotent; makes no schema."""
    with connect(role=None) as connection:
        make_missing(connection)


def make_missing(connection: psycopg.Connection) -> None:
    """The same on a connection at hand, of the owner.

    Raises:
        KpiError: a dump was restored while the roles were missing, so that its tables belong to nobody they should.
    """
    if connection.execute(COMPLETE).fetchone() != (True,):
        connection.execute(ROLES)
    owners: dict[str, str] = dict(
        connection.execute(
            "select nspname, nspowner::regrole::text from pg_namespace where nspname in ('ops', 'raw', 'stage', 'marts')"
        ).fetchall()
    )
    wrong = {
        schema: owner
        for schema, owner in owners.items()
        if owner != ("kpi_transformer" if schema == "marts" else "kpi_loader")
    }
    missing = {"ops", "raw", "stage"} - owners.keys()
    if wrong or (owners and missing):
        shown = "、".join(
            [f"{schema}（{owner}）" for schema, owner in sorted(wrong.items())]
            + [f"{schema}（なし）" for schema in sorted(missing)]
        )
        raise KpiError(
            f"このデータベースは、役割がないサーバーに復元されています（スキーマの所有者：{shown}）。"
            "空のデータベースを作り、`kpi db prepare` のあとで復元し直してください（docs/operations.md）。",
            "database.restored_bare",
        )
