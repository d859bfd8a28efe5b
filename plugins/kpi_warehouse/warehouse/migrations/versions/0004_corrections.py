"""Corrections that an owner approved, what each delivery said to them, and changes of a file's form."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
set role kpi_loader;

create table ops.correction (
    correction_id bigint generated always as identity primary key,
    proposal_id bigint not null unique references ops.repair_proposal,
    feed text not null,
    key jsonb not null,
    place text not null,
    label text not null,
    sha256 text not null,
    expect numeric not null,
    value numeric not null,
    owner_ja text not null,
    reason_ja text not null check (reason_ja <> ''),
    state text not null default 'active' check (state in ('active', 'retired', 'refuted')),
    message_ja text,
    approved_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);
create unique index on ops.correction (feed, key) where state = 'active';
comment on table ops.correction is '所管課が認めた修正（どのセルの、どの値を、どの値に、なぜ）。元の値が変われば失効する';

create table ops.correction_use (
    load_id bigint not null references ops.load,
    correction_id bigint not null references ops.correction,
    outcome text not null check (outcome in ('applied', 'fixed', 'differs')),
    found numeric,
    primary key (load_id, correction_id)
);
comment on table ops.correction_use is '取込ごとに、認められた修正を当てたか、元が直っていたか、別の値だったか';

create table ops.drift (
    load_id bigint not null references ops.load,
    position integer not null,
    place text not null,
    label text not null,
    found text not null,
    expected_ja text not null,
    code text not null,
    policy text not null check (policy in ('hold', 'flag')),
    primary key (load_id, position)
);
comment on table ops.drift is '様式の変化（列の増減、単位）。契約の drift により保留または注意';

grant select on ops.correction, ops.correction_use, ops.drift to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
