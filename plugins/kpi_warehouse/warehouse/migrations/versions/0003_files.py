"""What a division's file says beside its values: faulty cells, stated totals, and proposals to repair them."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
set role kpi_loader;

create table ops.cell_fault (
    load_id bigint not null references ops.load,
    position integer not null,
    place text not null,
    label text not null,
    found text not null,
    expected_ja text not null,
    code text not null,
    primary key (load_id, position)
);
comment on table ops.cell_fault is '読み取れなかったセル（場所、見つかったもの、期待）。差し戻し票のもと';

create table ops.stated_total (
    load_id bigint not null references ops.load,
    name text not null,
    place text not null,
    label text not null,
    measure_code text,
    stated numeric not null,
    members text[] not null,
    unique nulls not distinct (load_id, place, name, measure_code)
);
comment on table ops.stated_total is 'ファイルに書かれた計と、それが足し合わせるはずのセル';

create table ops.repair_proposal (
    proposal_id bigint generated always as identity primary key,
    load_id bigint not null references ops.load,
    feed text not null,
    kind text not null check (kind in ('one', 'none', 'ambiguous')),
    place text,
    label text,
    found text,
    proposed numeric,
    slip text,
    message_ja text not null,
    state text not null default 'proposed' check (state in ('proposed', 'approved', 'superseded')),
    reason_ja text,
    proposed_at timestamptz not null default clock_timestamp(),
    decided_at timestamptz
);
create index on ops.repair_proposal (load_id);
comment on table ops.repair_proposal is '合わない計を直す案（根拠つき）。承認されるまで何も変えない';

create table ops.release (
    release_id bigint generated always as identity primary key,
    held_id bigint not null references ops.held_row,
    reason_ja text not null,
    released_at timestamptz not null default clock_timestamp()
);
comment on table ops.release is '保留した行の公表を認めた記録（理由つき）';

grant select on ops.cell_fault, ops.stated_total, ops.repair_proposal, ops.release to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
