"""Schemas, roles and the tables of `ops`.

Roles: kpi_loader writes ops, stage and raw; kpi_transformer reads them and owns staging and marts; kpi_reader reads
marts alone. The login that migrates (kpi_owner) may act as the first two.
"""

from alembic import op

revision = "0001"
down_revision = None

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
            null;  -- another database of this server is being migrated at the same moment
        end;
    end loop;
    execute format('grant kpi_loader, kpi_transformer to %I with inherit true, set true', current_user);
    execute format('grant create on database %I to kpi_transformer', current_database());
    execute format('revoke create, temporary on database %I from public', current_database());
    execute format('grant temporary on database %I to kpi_loader, kpi_transformer', current_database());
end
$$;

create schema ops authorization kpi_loader;
create schema stage authorization kpi_loader;
create schema raw authorization kpi_loader;
create schema staging authorization kpi_transformer;
create schema marts authorization kpi_transformer;
grant usage on schema ops, raw to kpi_transformer;
grant usage on schema marts to kpi_reader;
revoke all on schema public from public;

alter role kpi_reader set default_transaction_read_only = on;
alter role kpi_reader set statement_timeout = '60s';
alter role kpi_reader connection limit 50;

set role kpi_loader;
alter default privileges in schema raw grant select on tables to kpi_transformer;
alter default privileges in schema ops grant select on tables to kpi_transformer;
"""

TABLES = """
create table ops.landed (
    sha256 text primary key,
    bytes bigint not null,
    location text not null,
    media_type text not null,
    content_encoding text,
    landed_at timestamptz not null default clock_timestamp()
);
comment on table ops.landed is '取り込んだままのバイト列の台帳（内容のハッシュで一意）';

create table ops.load (
    load_id bigint generated always as identity primary key,
    feed text not null,
    contract_version text not null,
    contract_sha256 text not null,
    code_version text not null,
    requested_period date,
    period_from date,
    period_to date,
    trigger text not null,
    run_ref text,
    forced boolean not null,
    state text not null check (state in (
        'open', 'waiting', 'fetched', 'staged', 'gated', 'published', 'unchanged', 'rejected', 'failed', 'abandoned', 'superseded'
    )),
    verdict text check (verdict in ('passed', 'flagged', 'held', 'rejected', 'inherited')),
    source_updated_on date,
    declared_rows bigint,
    staged_rows bigint,
    opened_rows bigint,
    closed_rows bigint,
    held_rows bigint,
    error_code text,
    error_ja text,
    opened_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    published_at timestamptz,
    finished_at timestamptz
);
create index on ops.load (feed, state, load_id);
create unique index on ops.load (feed, run_ref) where run_ref is not null;
comment on table ops.load is '取込1回（フィード×対象月）の記録';

create table ops.load_page (
    load_id bigint not null references ops.load,
    page integer not null,
    part integer not null,
    sha256 text not null references ops.landed,
    url text not null,
    params jsonb not null,
    first_row bigint,
    last_row bigint,
    total_rows bigint,
    fetched_at timestamptz not null default clock_timestamp(),
    primary key (load_id, page)
);
comment on table ops.load_page is '取込に使ったページ（バイト列のハッシュ、鍵を除いたURL）';

create table ops.load_period (
    load_id bigint not null references ops.load,
    period date not null,
    rows bigint not null,
    digest text not null,
    changed boolean not null,
    primary key (load_id, period)
);
comment on table ops.load_period is '取込に含まれた月ごとの行数と、順序によらない要約値';

create table ops.period_digest (
    feed text not null,
    period date not null,
    rows bigint not null,
    digest text not null,
    load_id bigint not null references ops.load,
    accepted_at timestamptz not null default clock_timestamp(),
    primary key (feed, period)
);
comment on table ops.period_digest is '受け入れ済みの月ごとの要約値（変わっていない月を見分ける）';

create table ops.step (
    step_id bigint generated always as identity primary key,
    load_id bigint references ops.load,
    build_id bigint,
    verb text not null check (verb in ('fetch', 'stage', 'gate', 'publish', 'build')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    outcome text,
    detail jsonb not null default '{}'
);
create index on ops.step (load_id);
comment on table ops.step is '5つの動作（fetch・stage・gate・publish・build）の実行記録';

create table ops.gate_result (
    load_id bigint not null references ops.load,
    expectation text not null,
    severity text not null,
    scope text not null,
    success boolean not null,
    unexpected_count bigint not null,
    observed jsonb not null default '[]',
    reason_ja text not null,
    checked_at timestamptz not null default clock_timestamp(),
    primary key (load_id, expectation)
);
comment on table ops.gate_result is '検査（Great Expectations）の結果。不合格のものは例を observed に残す';

create table ops.held_row (
    held_id bigint generated always as identity primary key,
    load_id bigint not null references ops.load,
    feed text not null,
    period date not null,
    row jsonb not null,
    expectation text not null,
    reason_ja text not null,
    source_ref text not null,
    state text not null default 'held' check (state in ('held', 'released', 'superseded')),
    held_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);
create index on ops.held_row (feed, state);
comment on table ops.held_row is '公表を保留している行（理由と出所つき）';

create table ops.build (
    build_id bigint generated always as identity primary key,
    as_of timestamptz,
    state text not null check (state in ('building', 'published', 'failed')),
    schema_name text not null,
    code_version text not null,
    history_load_id bigint,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    error text
);
comment on table ops.build is 'マート構築1回の記録';

create table ops.build_node (
    build_id bigint not null references ops.build,
    node text not null,
    kind text not null,
    status text not null,
    seconds numeric not null,
    message text,
    primary key (build_id, node)
);
comment on table ops.build_node is 'マート構築のモデル・テストごとの結果';

grant select on all tables in schema ops to kpi_transformer;
grant insert, update on ops.build, ops.build_node, ops.step to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(ROLES)
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
