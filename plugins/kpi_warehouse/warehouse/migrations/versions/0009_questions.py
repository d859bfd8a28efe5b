"""Deliveries that wait for a person's word, what was answered, and publications that were taken back.

A load that is asked about is `asked` until it is answered: released (published, by whom it may concern, with the reason), rejected,
or overtaken by a delivery that settles it. A load that is taken back is `undone`: its rows stay in history with the span in which
they were current. Both are told like any trouble, by the database, in the transaction that does it.
"""

from alembic import op

revision = "0009"
down_revision = "0017"

TABLES = """
set role kpi_loader;

alter table ops.load drop constraint load_state_check, add check (state in (
    'open', 'waiting', 'fetched', 'staged', 'gated', 'asked', 'published', 'unchanged', 'rejected', 'failed', 'abandoned',
    'superseded', 'undone'
));
alter table ops.load drop constraint load_verdict_check, add check (verdict in (
    'passed', 'flagged', 'held', 'asked', 'released', 'rejected', 'inherited'
));
alter table ops.step drop constraint step_verb_check, add check (verb in (
    'fetch', 'stage', 'gate', 'publish', 'build', 'undo'
));

alter table ops.delivery drop constraint delivery_state_check, add check (state in (
    'settling', 'received', 'duplicate', 'unmatched', 'refused_personal', 'unreadable',
    'loaded', 'rejected', 'held', 'asked', 'unchanged', 'undone'
));
alter table ops.delivery drop constraint delivery_check, add check (
    state not in ('received', 'loaded', 'rejected', 'held', 'asked', 'unchanged', 'undone')
    or (feed is not null and sha256 is not null)
);
drop index ops.delivery_accepted;
create unique index delivery_accepted on ops.delivery (feed, sha256)
    where state in ('received', 'loaded', 'held', 'asked', 'unchanged');
comment on column ops.delivery.state is '状態：settling 書き込み中、received 受領、duplicate 受領済みと同じ内容、unmatched 対象不明、refused_personal 個人情報のため受け取らない、unreadable 読めない、loaded 反映、rejected 差戻し、held 確認待ち、asked 問い合わせ中、unchanged 値に変更なし、undone 反映を取り消した';

alter table ops.gate_result add column evidence_ja text not null default '';
alter table ops.gate_result add column periods date[] not null default '{}';
comment on column ops.gate_result.evidence_ja is '問い合わせの根拠（何が、どの期間と比べて、どれだけ違い、何が考えられるか）';
comment on column ops.gate_result.periods is 'その結果が関わる期間の初日。空なら提供全体';

create table ops.answer (
    load_id bigint primary key references ops.load,
    answer text not null check (answer in ('released', 'rejected', 'superseded')),
    reason_ja text,
    later_load_id bigint references ops.load,
    answered_at timestamptz not null default clock_timestamp(),
    check (case answer when 'superseded' then later_load_id is not null else coalesce(reason_ja, '') <> '' end)
);
comment on table ops.answer is '問い合わせへの答え（公表を認めた・受け入れない・後の提供で解消）と理由。1つの取込に1つ、変えない';

create table ops.undo (
    load_id bigint primary key references ops.load,
    feed text not null,
    reason_ja text not null check (reason_ja <> ''),
    closed_rows bigint not null,
    restored_rows bigint not null,
    undone_at timestamptz not null
);
create index on ops.undo (feed, undone_at);
comment on table ops.undo is '公表を取り消した取込と理由（閉じた行、前の値に戻した行の数）';

alter table ops.cause drop constraint cause_ends_with_check, add check (ends_with in (
    'fetch', 'run', 'load', 'held', 'build', 'file', 'watch', 'set_aside', 'answer'
));
comment on column ops.cause.ends_with is '復旧とみなすもの：fetch 取得の成功、run 実行の成功、load 同じ対象期間の取込、held 確認待ちの解消、build マートの構築、file 同じ提出の受領、watch 監視の再確認、set_aside 除いていた取込を含む構築、answer 問い合わせへの答え又は同じ対象期間の取込';

insert into ops.cause (cause, title_ja, severity, audience, patience, shared, ends_with, guess_ja, steps_ja) values
('asked', '公表前の問い合わせ', '要対応', 'division', '0', false, 'answer',
 '実際に大きく動いた（災害、制度の変更、大きな事業など）か、提供された値の誤り（期間・単位・地域の取り違え、途中までの値、前の期間の再送）です。',
 '{いつもと違う点を、原本または提供元の公表資料と見比べる,正しいときは、確かめた資料と問い合わせ番号をデータ担当へ連絡する（データ担当が公表します）,誤りのときは、正しい値を提出する（届けばこの問い合わせは終わります）}'),
('undone', '公表の取消し', '要対応', 'division', '0', false, 'load',
 '受け入れるべきでなかった提供を公表していました。',
 '{取り消した理由を読む,取り消した値を資料などに使っていないか確かめる,正しい値を提出する（前の値のままでよいときは、データ担当へ連絡する）}');
insert into ops.cause_code (code_pattern, cause) values ('gate.asked', 'asked');
"""

FUNCTIONS = """
-- The period that a question is about: the first of those its findings name, else the one that the load is about.
create function ops.questioned(p_load_id bigint, p_period date) returns date
language sql stable security definer set search_path = pg_catalog as $$
    select coalesce(min(period), p_period)
    from ops.gate_result cross join unnest(periods) as period
    where load_id = p_load_id and severity = 'question' and not success
$$;

-- Ends the questions that a load answers: it was released, or it brought their periods in another way. One that is about
-- several deliveries ends with the last of them.
create function ops.answered(p_feed text, p_from date, p_to date, p_load_id bigint)
returns void language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
    said text;
begin
    select '正しい値と確かめ、公表しました（理由：' || reason_ja || '）。' into said
    from ops.answer where load_id = p_load_id and answer = 'released';
    for one in
        select i.incident_id from ops.incident as i join ops.cause as c using (cause)
        where i.resolved_at is null and c.ends_with = 'answer' and i.feed = p_feed
            and (i.period is null or p_from is null or i.period between p_from and p_to)
        order by i.incident_id for update of i
    loop
        if not exists (
            select from ops.incident_load as l join ops.load using (load_id)
            where l.incident_id = one.incident_id and ops.load.state = 'asked'
        ) then
            update ops.incident_load set recovered_at = clock_timestamp()
            where incident_id = one.incident_id and recovered_at is null;
            perform ops.settle_trouble(one.incident_id, coalesce(said, '正しく取り込みました。'), p_load_id);
        end if;
    end loop;
end
$$;

create or replace function ops.load_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    known text;
    number bigint;
    period date := coalesce(new.requested_period, new.period_from);
begin
    if new.state in ('failed', 'rejected') then
        known := ops.cause_of(new.state, new.error_code);
        if known = 'asked' then
            -- The answer was no: the question stays until a good delivery comes, and who handed this one in is told.
            number := ops.report_trouble(known, new.feed, ops.questioned(new.load_id, period), new.error_code, new.error_ja,
                new.load_id);
            insert into ops.notification (incident_id, kind, audience, idempotency_key)
            select number, 'update', 'division', format('INC-%s/answer/%s', number, new.load_id)
            where exists (
                select from ops.notification as n where n.incident_id = number and n.kind = 'open' and n.audience = 'division'
            ) on conflict do nothing;
        elsif known is not null then
            perform ops.report_trouble(known, new.feed, period, new.error_code,
                coalesce(new.error_ja, '検査に合わないため受け入れませんでした。'), new.load_id);
        end if;
    elsif new.state = 'asked' then
        perform ops.report_trouble('asked', new.feed, ops.questioned(new.load_id, period), new.error_code, new.error_ja,
            new.load_id);
    elsif new.state = 'undone' then
        number := ops.report_trouble('undone', new.feed, period, 'load.undone', new.error_ja, new.load_id);
        -- What it changed is seen in the marts after the next build.
        update ops.notification set after_build = true
        where incident_id = number and kind = 'open' and state = 'waiting' and attempts = 0
            and exists (select from ops.incident where incident_id = number and kpis <> '{}');
    elsif new.state = 'abandoned' and not ops.overtaken(new.feed, new.load_id, period) then
        perform ops.report_trouble('task_killed', new.feed, period, 'load.abandoned',
            '処理が途中で止まったままのため、取込を取りやめました。', new.load_id);
    elsif new.state = 'waiting' and new.error_code = 'load.overdue' then
        perform ops.report_trouble('not_published', new.feed, period, new.error_code, new.error_ja, new.load_id);
    elsif new.state = 'published' or (new.state = 'unchanged' and exists (
        select from ops.load_page where load_id = new.load_id)) then
        if new.state = 'published' and new.held_rows > 0 then
            perform ops.report_trouble('rows_held', new.feed, null, 'load.held',
                format('%s 行が確認待ちです。残りの行は公表しました。', new.held_rows), new.load_id);
        elsif new.state = 'unchanged' and exists (
            select from ops.held_row where load_id = new.load_id and state = 'held') then
            perform ops.report_trouble('rows_held', new.feed, null, 'load.held',
                format('%s 行が確認待ちです。ほかに新しい値はありません。', new.held_rows), new.load_id);
        end if;
        perform ops.recover(new.feed, '{fetch,run,load}', coalesce(new.period_from, new.requested_period),
            coalesce(new.period_to, new.requested_period), new.load_id);
        perform ops.answered(new.feed, coalesce(new.period_from, new.requested_period),
            coalesce(new.period_to, new.requested_period), new.load_id);
    elsif new.state = 'unchanged' then
        perform ops.recover(new.feed, '{fetch}', null, null, new.load_id);
        perform ops.recover(new.feed, '{run,load}', coalesce(new.period_from, new.requested_period),
            coalesce(new.period_to, new.requested_period), new.load_id);
    elsif new.state in ('waiting', 'fetched') then
        perform ops.recover(new.feed, '{fetch}', null, null, new.load_id);
    end if;
    return null;
exception when others then
    perform ops.note_untold(sqlerrm);
    return null;
end
$$;
revoke execute on function ops.questioned(bigint, date), ops.answered(text, date, date, bigint) from public;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
