"""When each load's source was read; which of its periods gave way to what was read later; and who set figures back.

What a load reads later than another is newer, whatever their numbers: a run that is cleared keeps its number, a replay reads what
was read long ago. A history table that vanished is an incident of its own.
"""

from alembic import op

revision = "0013"
down_revision = "0014"

TABLES = """
set role kpi_loader;

alter table ops.load add column read_at timestamptz not null default clock_timestamp();
alter table ops.load add column set_back_ja text check (set_back_ja <> '');
alter table ops.load_period add column overtaken boolean not null default false;
comment on column ops.load.read_at is '提供元を読んだ日時（ファイルは受領した日時、やり直しは元の取込のもの）。後に読んだものが新しい';
comment on column ops.load.set_back_ja is '後に読んだ値があるのに、この取込の値へ戻した理由';
comment on column ops.load_period.overtaken is '後に読んだ取込がすでに公表していたため、この期間は反映しなかった';

with recursive original (load_id, first_id) as (
    select l.load_id, l.load_id from ops.load as l where not exists (
        select from ops.step as s where s.load_id = l.load_id and s.detail ? 'replay_of')
    union all
    select s.load_id, o.first_id from ops.step as s join original as o on o.load_id = (s.detail ->> 'replay_of')::bigint
)
update ops.load as l set read_at = coalesce(
    (select max(d.received_at) from ops.load_page as p
        join ops.delivery as d on d.delivery_id = (p.params ->> 'delivery_id')::bigint where p.load_id = l.load_id),
    (select min(p.fetched_at) from original as o join ops.load_page as p on p.load_id = o.first_id
        where o.load_id = l.load_id),
    l.opened_at
);

insert into ops.cause (cause, title_ja, severity, audience, patience, shared, ends_with, guess_ja, steps_ja) values
('history_lost', '履歴の表が失われた', '重大', 'engineer', '0', false, 'watch',
 '受け付けたはずの履歴の表（raw）がないか、空です。誤って削除されたか、復元が途中です。',
 '{ほかの表も失われていないか確かめる,`kpi rebuild フィード名` で保存したバイト列から作り直す,landing も失われたときはバックアップから戻す}');
insert into ops.cause_code (code_pattern, cause) values ('history.lost', 'history_lost');
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
