"""What `kpi_reader` can do: read `marts` and `marts_ja`. The catalogue is asked for everything else there is, and it is tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from what_bi_reads import FUNCTIONS, functions, relations

from kpi_warehouse.warehouse.server import Running

SCHEMAS = ("marts", "marts_ja")
OUTSIDE_THE_SYSTEM = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"


@pytest.fixture(scope="module")
def reader(loader: psycopg.Connection, built: tuple[Running, Path]) -> Iterator[psycopg.Connection]:
    """A session of the real login, with a large object and a foreign server of others in the database."""
    with psycopg.connect(built[0].url("kpi_marts", "postgres"), autocommit=True) as admin:
        admin.execute("select lo_from_bytea(424242, 'secret')")
        admin.execute("create extension dblink; create extension postgres_fdw; create extension file_fdw")
        admin.execute("create server elsewhere foreign data wrapper postgres_fdw options (host '127.0.0.1')")
    with psycopg.connect(built[0].url("kpi_marts", "kpi_reader"), autocommit=True) as connection:
        yield connection


def ask(reader: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return reader.execute(query.encode()).fetchall()


def test_it_can_enter_two_schemas_and_create_in_none(reader: psycopg.Connection) -> None:
    assert ask(
        reader,
        "select n.nspname from pg_namespace as n where has_schema_privilege(n.oid, 'usage')"
        f" and {OUTSIDE_THE_SYSTEM} order by 1",
    ) == [(schema,) for schema in SCHEMAS]
    assert ask(reader, "select nspname from pg_namespace where has_schema_privilege(oid, 'create')") == []


def test_it_can_select_from_every_relation_there_and_from_no_other(
    reader: psycopg.Connection, loader: psycopg.Connection
) -> None:
    there = loader.execute(
        "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname = any(%s) and c.relkind not in ('i', 't', 'c') order by 1, 2",
        [list(SCHEMAS)],
    ).fetchall()
    assert relations(reader) == there and len(there) > 25
    assert (
        ask(
            reader,
            "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
            f" where {OUTSIDE_THE_SYSTEM} and c.relkind in ('r', 'v', 'm', 'f', 'p', 'S') and case"
            " when c.relkind = 'S' then has_sequence_privilege(c.oid, 'select, usage, update')"
            " else has_table_privilege(c.oid, 'insert, update, delete, truncate, references, trigger, maintain')"
            " or has_any_column_privilege(c.oid, 'insert, update, references')"
            " or n.nspname not in ('marts', 'marts_ja') and has_any_column_privilege(c.oid, 'select') end",
        )
        == []
    )


def test_it_can_call_two_functions(reader: psycopg.Connection) -> None:
    assert functions(reader) == sorted(FUNCTIONS)


def test_it_owns_nothing_belongs_to_no_role_and_has_no_rights_of_its_own(reader: psycopg.Connection) -> None:
    assert ask(reader, "select current_user, session_user") == [("kpi_reader", "kpi_reader")]
    assert ask(reader, "select from pg_auth_members where member = 'kpi_reader'::regrole") == []
    assert (
        ask(reader, "select from pg_shdepend where refobjid = 'kpi_reader'::regrole and deptype = 'o'") == []
    )
    assert ask(
        reader,
        "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls from pg_roles"
        " where rolname = 'kpi_reader'",
    ) == [(False,) * 5]


def test_other_kinds_of_objects_are_closed(reader: psycopg.Connection) -> None:
    assert (
        ask(
            reader,
            "select fdwname from pg_foreign_data_wrapper where has_foreign_data_wrapper_privilege(oid, 'usage')",
        )
        == []
    )
    assert ask(reader, "select srvname from pg_foreign_server where has_server_privilege(oid, 'usage')") == []
    assert ask(reader, "select count(*) from pg_largeobject_metadata") == [(1,)]
    assert (
        ask(
            reader,
            "select oid from pg_largeobject_metadata where has_largeobject_privilege(oid, 'select, update')",
        )
        == []
    )
    assert (
        ask(
            reader,
            "select proname from pg_proc where proname ~ '^(lo_|loread$|lowrite$)' and has_function_privilege(oid, 'execute')",
        )
        == []
    )


def test_the_migrated_database_itself_lets_it_connect_and_no_more(loader: psycopg.Connection) -> None:
    assert loader.execute(
        "select has_database_privilege('kpi_reader', 'kpi_template', 'connect'),"
        " has_database_privilege('kpi_reader', 'kpi_template', 'create, temporary')"
    ).fetchone() == (True, False)


def test_its_sessions_are_read_only_and_bounded(reader: psycopg.Connection) -> None:
    assert ask(
        reader,
        "select current_setting('default_transaction_read_only'), current_setting('statement_timeout')",
    ) == [("on", "1min")]
    assert ask(reader, "select rolconnlimit from pg_roles where rolname = 'kpi_reader'") == [(50,)]


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from ops.load",
        "select * from raw.estat_migration_monthly",
        "select * from pg_authid",
        "select * from pg_largeobject",
        "insert into marts.dim_owner select * from marts.dim_owner",
        "update marts.mart_kpi_board set judgement = 'achieved'",
        "delete from marts_ja.\"KPIボード\"",
        "truncate marts.mart_kpi_board",
        "alter table marts.mart_draft_value disable row level security",
        "drop table marts.mart_kpi_board",
        "comment on table marts.mart_kpi_board is ''",
        "create table marts.mine (a integer)",
        "create view marts_ja.mine as select 1",
        "create temporary table mine (a integer)",
        "create schema mine",
        "create function marts.mine() returns integer language sql as 'select 1'",
        "create server mine foreign data wrapper postgres_fdw",
        "select public.dblink('dbname=postgres', 'select 1')",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select lo_get(424242)",
        "select pg_read_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "select pg_stat_file('/etc/passwd')",
        "copy marts.mart_kpi_board to '/tmp/board.csv'",
        "copy (select 1) to program 'true'",
        "copy marts.mart_kpi_board from program 'true'",
        "set role kpi_loader",
        "set role kpi_transformer",
        "set role kpi_owner",
        "set session authorization kpi_owner",
        "set session_replication_role = replica",
        "alter role kpi_reader superuser",
        "alter role kpi_reader connection limit -1",
        "alter system set statement_timeout = 0",
        "create role mine",
        "grant kpi_loader to kpi_reader",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'kpi_owner'",
        "select pg_reload_conf()",
    ],
)  # fmt: skip
def test_what_it_may_not_do_is_refused_even_when_its_session_says_it_may_write(
    reader: psycopg.Connection, attempt: str
) -> None:
    reader.execute("set default_transaction_read_only = off")
    try:
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)) as refused:
            reader.execute(attempt.encode())
        assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege), refused.value
    finally:
        reader.execute("reset default_transaction_read_only")


def test_a_right_too_many_would_be_seen(reader: psycopg.Connection, loader: psycopg.Connection) -> None:
    loader.execute("grant usage on schema ops to kpi_reader; grant select (feed) on ops.load to kpi_reader")
    try:
        assert ("ops", "load") in relations(reader)
    finally:
        loader.execute("revoke all on schema ops from kpi_reader; revoke all on ops.load from kpi_reader")
        loader.execute("revoke select (feed) on ops.load from kpi_reader")
    assert ("ops", "load") not in relations(reader)
