"""What the KPI marts showed, and from when to when: the memory behind board_as_of and mart_kpi_change."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
set role kpi_loader;

create table ops.published_row (
    relation text not null,
    row_key text not null,
    published_from timestamptz not null,
    published_to timestamptz not null default 'infinity',
    build_id bigint not null references ops.build,
    row jsonb not null,
    primary key (relation, row_key, published_from)
);
create index on ops.published_row (relation, published_from, published_to);
comment on table ops.published_row is '公表した行と、公表していた期間（構築の入れ替えと同じ取引で書く）';

grant select, insert, update (published_to) on ops.published_row to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
