"""Steps of history that the marts leave out: what was set aside, why, and what ended it.

A row is `proposed` while a build tries it out, `in_force` from the swap that left it out, `retrying` while a build tries to do
without it, `ended` when one could. The trigger opens and settles the incident of its feed in the same transaction.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES = """
set role kpi_loader;

create table ops.set_aside (
    set_aside_id bigint generated always as identity primary key,
    feed text not null,
    load_id bigint not null references ops.load,
    known_from timestamptz not null,
    state text not null check (state in ('proposed', 'in_force', 'retrying', 'ended')),
    shown_until timestamptz,
    shown_ja text,
    summary_ja text,
    checks jsonb not null default '[]',
    feeds text[] not null default '{}',
    tried_code text,
    tried_history jsonb,
    build_id bigint references ops.build,
    since timestamptz not null default clock_timestamp(),
    asked_ja text,
    ended_at timestamptz,
    ended_build_id bigint references ops.build,
    ended_ja text
);
create unique index on ops.set_aside (feed, known_from) where state <> 'ended';
comment on table ops.set_aside is 'マートから除いている取込（フィード×履歴に反映した日時）。検査に合わない1件のために、ほかの表示を止めない';
comment on column ops.set_aside.known_from is 'その取込を履歴に反映した日時。この日時に開閉した行を、なかったものとしてマートを作る';
comment on column ops.set_aside.shown_until is 'そのフィードで表示している値が、いつの時点のものか。空なら表示できる値がない';
comment on column ops.set_aside.checks is '合わなかった検査：名前、説明、件数、行の例';
comment on column ops.set_aside.feeds is '合わなかった検査が読むフィード。どれかに新しい取込があれば、除かずに作り直してみる';
comment on column ops.set_aside.asked_ja is '除かずに作り直すよう求めた人の理由';

grant select, insert, update, delete on ops.set_aside to kpi_transformer;

alter table ops.cause drop constraint cause_ends_with_check;
alter table ops.cause add constraint cause_ends_with_check
check (ends_with in ('fetch', 'run', 'load', 'held', 'build', 'file', 'watch', 'set_aside'));
comment on column ops.cause.ends_with is '復旧とみなすもの：fetch 取得の成功、run 実行の成功、load 同じ対象期間の取込、held 確認待ちの解消、build マートの構築、file 同じ提出の受領、watch 監視の再確認、set_aside 除いていた取込を含む構築';

insert into ops.cause (cause, title_ja, severity, audience, patience, shared, ends_with, guess_ja, steps_ja) values
('load_set_aside', '取込を除いて構築', '要対応', 'division', '0', false, 'set_aside',
 'この取込の値が、前回までの値かほかの表の値と両立しません。',
 '{「どれだけ」にある検査と行を原本で確かめる,誤りがあれば直したファイルを同じ受付フォルダへ入れ直す（次の構築で自動的に表示に戻る）,値が正しければデータ担当へ問い合わせ番号を連絡する}');

create function ops.set_aside_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
    healing bigint;
begin
    if new.state = 'in_force' and (tg_op = 'INSERT' or old.state = 'proposed') then
        perform ops.report_trouble('load_set_aside', new.feed, null, 'marts.set_aside', coalesce(new.summary_ja, ''), new.load_id);
    elsif new.state = 'ended' and old.state <> 'ended' and not exists (
        select from ops.set_aside as other where other.feed = new.feed and other.state in ('in_force', 'retrying')
    ) then
        select max(load_id) into healing from ops.load
        where feed = new.feed and load_id > new.load_id and published_at > new.known_from;
        for one in
            select i.incident_id from ops.incident as i
            where i.resolved_at is null and i.cause = 'load_set_aside' and i.feed = new.feed
            order by i.incident_id for update
        loop
            perform ops.settle_trouble(one.incident_id, new.ended_ja, healing);
            -- The build that shows it is the one that ends it.
            update ops.notification set after_build = false
            where incident_id = one.incident_id and kind = 'resolve' and state = 'waiting';
        end loop;
    end if;
    return null;
exception when others then
    perform ops.note_untold(sqlerrm);
    return null;
end
$$;
create trigger set_aside_changed after insert or update of state on ops.set_aside
for each row execute function ops.set_aside_changed();
revoke execute on function ops.set_aside_changed() from public;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
