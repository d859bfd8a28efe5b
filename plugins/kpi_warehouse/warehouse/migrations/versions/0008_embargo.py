"""Embargo: rows that are shown later than they are known, and the instants for which they wait."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = """
set role kpi_loader;

-- Empty columns rewrite nothing, however long the history is.
do $$
declare
    history record;
begin
    for history in
        select
            table_name,
            bool_or(column_name = 'source_cell') as is_file
        from information_schema.columns
        where table_schema = 'raw'
        group by table_name
    loop
        execute format('alter table raw.%I add column public_from timestamptz, add column public_to timestamptz', history.table_name);
        if history.is_file then
            execute format('alter table raw.%I add column public_on date', history.table_name);
        end if;
    end loop;
end
$$;

alter table ops.load add column embargoed boolean not null default false;
comment on column ops.load.embargoed is 'フィードの契約に公表日時（publicFrom）がある。値を含みうる文は BI に見せない';

create table ops.embargo (
    load_id bigint not null references ops.load,
    feed text not null,
    public_from timestamptz not null,
    rows bigint not null,
    primary key (load_id, public_from)
);
create index on ops.embargo (feed, public_from);
comment on table ops.embargo is '公表日時まで見せない行の件数（取込×公表日時）。過ぎたものがあれば、次の構築で見えるようになる';

grant select on ops.embargo to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
