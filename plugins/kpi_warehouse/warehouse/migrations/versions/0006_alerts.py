"""Incidents and the notifications that are owed for them, written by the database itself.

Triggers on the books of loads, builds, held rows and deliveries open, update and resolve incidents. So an incident and its
notification are part of the very transaction that records the failure, whoever writes it and wherever it is killed; no
caller can forget them. What a cause means (severity, who is told, how long it may pass by itself, what ends it) is data in
`ops.cause`; which error code means which cause is data in `ops.cause_code`, where a code that is nobody's trouble is named
as such.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = """
set role kpi_loader;

create table ops.feed (
    feed text primary key,
    title_ja text not null,
    owner_ja text not null,
    source text not null,
    kpis text[] not null,
    contract_version text not null
);
comment on table ops.feed is '取り込んだことのあるフィードの、契約による名称・所管課・提供元・関係するKPI';

create table ops.cause (
    cause text primary key,
    title_ja text not null,
    severity text not null check (severity in ('重大', '要対応', '注意', '情報')),
    audience text not null check (audience in ('division', 'engineer')),
    patience interval not null,
    shared boolean not null,
    ends_with text not null check (ends_with in ('fetch', 'run', 'load', 'held', 'build', 'file', 'watch')),
    guess_ja text not null,
    steps_ja text[] not null
);
comment on table ops.cause is '異常の種類：重大度、知らせる相手、自然に直るのを待つ時間、何をもって復旧とするか';
comment on column ops.cause.shared is '同じ提供元の複数フィードの異常を1件にまとめるか';
comment on column ops.cause.ends_with is '復旧とみなすもの：fetch 取得の成功、run 実行の成功、load 同じ対象期間の取込、held 確認待ちの解消、build マートの構築、file 同じ提出の受領、watch 監視の再確認';

create table ops.cause_code (
    code_pattern text primary key,
    cause text references ops.cause
);
comment on table ops.cause_code is '誤りの符号（LIKE の型、長いものを優先）と異常の種類。cause が空の符号は、その場の人への返事であり知らせない';

create table ops.incident (
    incident_id bigint generated always as identity primary key,
    dedup_key text not null,
    cause text not null references ops.cause,
    severity text not null check (severity in ('重大', '要対応', '注意', '情報')),
    feed text,
    period date,
    contract_version text,
    subject text,
    code text,
    summary_ja text not null,
    owner_ja text,
    kpis text[] not null default '{}',
    values_before jsonb,
    values_after jsonb,
    occurrences integer not null default 1,
    opened_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    resolution_ja text,
    resolved_load_id bigint references ops.load,
    closed_by_hand boolean not null default false
);
create unique index incident_open on ops.incident (dedup_key) where resolved_at is null;
create index on ops.incident (feed, cause);
comment on table ops.incident is '異常1件（フィード・原因・対象期間・契約の版ごと）。再発は回数と日時だけを改める';

create table ops.incident_load (
    incident_id bigint not null references ops.incident,
    load_id bigint not null references ops.load,
    feed text not null,
    bytes_sha256 text,
    recovered_at timestamptz,
    primary key (incident_id, load_id)
);
create index on ops.incident_load (feed) where recovered_at is null;
comment on table ops.incident_load is '異常に含まれる取込（まとめられたフィードを含む）と、そのフィードの復旧日時';

create table ops.notification (
    notification_id bigint generated always as identity primary key,
    incident_id bigint references ops.incident,
    kind text not null check (kind in ('open', 'update', 'escalate', 'resolve', 'digest')),
    audience text not null check (audience in ('division', 'engineer')),
    idempotency_key text not null unique,
    state text not null default 'waiting' check (state in ('waiting', 'sent', 'dead', 'cancelled', 'muted', 'digested')),
    after_build boolean not null default false,
    channel text,
    attempts integer not null default 0,
    next_try_at timestamptz not null default clock_timestamp(),
    leased_until timestamptz,
    subject_ja text,
    body_ja text,
    last_error text,
    created_at timestamptz not null default clock_timestamp(),
    sent_at timestamptz,
    dead_at timestamptz
);
create index on ops.notification (next_try_at) where state = 'waiting';
create index on ops.notification (incident_id);
comment on table ops.notification is '送るべき知らせ（異常と同じ取引で書き、別の処理が届ける）';
comment on column ops.notification.state is '状態：waiting 送信待ち、sent 送信済み、dead 届けられなかった、cancelled 知らせる前に直った、muted 停止中のため送らない、digested まとめの知らせに入れる';

create table ops.channel_state (
    channel text primary key,
    failures integer not null default 0,
    open_until timestamptz,
    last_error text,
    last_sent_at timestamptz
);
comment on table ops.channel_state is '通知経路ごとの連続失敗と、送信を休む期限（遮断器）';

create table ops.mute (
    mute_id bigint generated always as identity primary key,
    feed text,
    cause text references ops.cause,
    until timestamptz not null,
    reason_ja text not null check (reason_ja <> ''),
    created_at timestamptz not null default clock_timestamp()
);
comment on table ops.mute is '知らせを止める期間と理由（復旧の知らせは止めない）';

create table ops.watch (
    name text primary key,
    beat_at timestamptz not null,
    detail jsonb not null default '{}'
);
comment on table ops.watch is '監視の心拍（最後に一巡した日時）と、覚えておく値';

create table ops.drill (
    drill_id bigint generated always as identity primary key,
    load_id bigint not null references ops.load,
    started_at timestamptz not null default clock_timestamp(),
    told_at timestamptz,
    recovered_at timestamptz
);
comment on table ops.drill is '通知訓練：異常の発生から、知らせの到達、復旧の知らせまで';

grant select on ops.feed, ops.cause, ops.cause_code, ops.incident, ops.incident_load, ops.notification, ops.drill to kpi_transformer;
"""

CAUSES = """
insert into ops.cause (cause, title_ja, severity, audience, patience, shared, ends_with, guess_ja, steps_ja) values
('gate_rejected', '検査で差し戻し', '要対応', 'division', '0', false, 'load',
 'ファイルの値に誤りがあるか、集計がそろっていません。',
 '{原本を確認する,返却票の赤いセルを直す（計は直さない）,直したファイルを同じ受付フォルダへ入れ直す}'),
('rows_held', '確認待ちの行', '要対応', 'division', '0', false, 'held',
 '以前に受け付けた実績値が変わったか、確かめの要る値があります。',
 '{確認待ちの値が正しいかを原本で確かめる,正しければデータ担当へ理由とともに連絡する（`kpi hold release`）,誤りなら直したファイルを入れ直す}'),
('file_refused', '受け取れないファイル', '要対応', 'division', '0', false, 'file',
 'ファイルの名前・形式が契約と合わないか、受け取ってはならない内容があります。',
 '{知らせの理由を読む,名前または中身を直す,受付フォルダへ入れ直す}'),
('not_delivered', '未着', '要対応', 'division', '0', false, 'watch',
 '期限までに提出がありません。',
 '{提出するファイルを確かめる,受付フォルダへ入れる,提出するものがない場合はデータ担当へ連絡する}'),
('not_published', '公表の遅れ', '注意', 'engineer', '0', false, 'load',
 '提供元の公表が予定より遅れています。',
 '{提供元の公表予定を確かめる,公表されれば自動で取り込むので待つ}'),
('source_down', '提供元に接続できない', '注意', 'engineer', '15 minutes', true, 'fetch',
 '提供元の停止・メンテナンス、または通信の障害です。',
 '{提供元のお知らせを確かめる,復旧後は自動でやり直すので待つ,急ぐときは失敗したタスクを Clear する}'),
('wrong_key', 'アプリケーションIDの誤り', '要対応', 'engineer', '0', true, 'fetch',
 'ESTAT_APP_ID が未設定・失効・誤りです。',
 '{e-Stat のマイページでアプリケーションIDを確かめる,ESTAT_APP_ID を設定する,失敗したタスクを Clear する}'),
('request_refused', '提供元が要求を拒んだ', '要対応', 'engineer', '0', false, 'fetch',
 '統計表IDや絞り込み条件が提供元と合っていません。',
 '{`kpi estat describe` で統計表を確かめる,契約ファイルを直す,失敗したタスクを Clear する}'),
('schema_drift', '提供元の様式・定義の変化', '要対応', 'engineer', '0', false, 'load',
 '提供元の題名・分類・符号・様式が契約と違います。',
 '{メッセージの位置を確かめる,変化が正しければ契約ファイルを直し `kpi feed check --write`,`kpi replay` で取り込み直す}'),
('contract_wrong', '契約ファイルの誤り', '要対応', 'engineer', '0', false, 'run',
 '契約ファイルの記述に誤りがあります。',
 '{メッセージのファイル・行・項目を直す,`kpi feed check` で確かめる}'),
('storage_failed', '保存先・データベースの異常', '要対応', 'engineer', '5 minutes', true, 'run',
 'ディスクの空き不足、権限、またはサーバーの停止です。',
 '{サーバーとディスクの空きを確かめる,直ったら失敗したタスクを Clear する}'),
('task_failed', '処理の失敗', '要対応', 'engineer', '0', false, 'run',
 'プログラムの不具合、または想定外の入力です。',
 '{タスクのログを読む,直してから失敗したタスクを Clear する}'),
('task_killed', '処理の強制終了', '要対応', 'engineer', '0', false, 'run',
 'メモリ不足、または外からの終了です。',
 '{`dmesg` とメモリの使用量を確かめる,失敗したタスクを Clear する（途中からやり直せる）}'),
('worker_lost', '実行役の消失', '要対応', 'engineer', '0', false, 'watch',
 'タスクを動かしていたプロセスまたは計算機が止まりました。',
 '{実行役の計算機・コンテナーを確かめる,失敗したタスクを Clear する}'),
('dag_broken', 'DAG ファイルを読み込めない', '要対応', 'engineer', '0', false, 'watch',
 'DAG または契約ファイルの変更に誤りがあります。',
 '{Airflow の Import Errors を読む,直したファイルを配置する}'),
('marts_failed', 'マートの構築が不合格', '要対応', 'engineer', '0', false, 'build',
 'dbt のモデルまたは検査が不合格です。公開中の marts は変わっていません。',
 '{`ops.build_node` で不合格の名前を確かめる,原因の取込またはモデルを直す,`kpi build` で作り直す}'),
('marts_stale', 'マートが古い', '要対応', 'engineer', '0', false, 'build',
 '新しい取込が公表されたのに、マートが作られていません。',
 '{Airflow の marts DAG を確かめる,`kpi build` で作る}'),
('disk_nearly_full', 'ディスクの空きが少ない', '要対応', 'engineer', '0', false, 'watch',
 '保存先の空きが残りわずかです。',
 '{不要なファイルを移す,容量を増やす}'),
('sender_failing', '通知を届けられない', '要対応', 'engineer', '0', false, 'watch',
 '通知経路（メールサーバー、Webhook）が応答しないか、拒んでいます。',
 '{`kpi incident channels` で経路の誤りを読む,KPI_ALERT_URLS と相手側の設定を確かめる}'),
('scheduler_dead', 'スケジューラーの停止', '重大', 'engineer', '0', false, 'watch',
 'Airflow のスケジューラーが心拍を打っていません。どのフィードも取り込まれません。',
 '{スケジューラーのプロセスとログを確かめる,起動し直す}'),
('drill', '通知訓練', '情報', 'engineer', '0', false, 'load',
 '定期の訓練です。実際の異常ではありません。',
 '{対応は不要}'),
('drill_missed', '通知訓練が届かない', '要対応', 'engineer', '0', false, 'watch',
 '訓練の知らせが時間内に届きませんでした。実際の異常も届かないおそれがあります。',
 '{`kpi incident channels` で経路を確かめる,`kpi incident drill` をやり直す}');

insert into ops.cause_code (code_pattern, cause) values
('gate.%', 'gate_rejected'),
('reader.%', 'schema_drift'),
('file.%', 'gate_rejected'),
('estat.connection', 'source_down'),
('estat.timeout', 'source_down'),
('estat.server', 'source_down'),
('estat.status', 'source_down'),
('estat.not_json', 'source_down'),
('estat.truncated', 'source_down'),
('estat.incomplete', 'source_down'),
('estat.moving', 'source_down'),
('estat.too_often', 'source_down'),
('estat.no_key', 'wrong_key'),
('estat.auth', 'wrong_key'),
('estat.%', 'request_refused'),
('estat.definition', 'schema_drift'),
('estat.changed', 'schema_drift'),
('inbox.%', 'source_down'),
('http.%', 'source_down'),
('http.refused', 'request_refused'),
('http.redirect', 'request_refused'),
('http.too_large', 'request_refused'),
('contract.%', 'contract_wrong'),
('landing.%', 'storage_failed'),
('database.%', 'storage_failed'),
('server.%', 'storage_failed'),
('marts.database_lost', 'storage_failed'),
('marts.%', 'marts_failed'),
('drill.%', 'drill'),
('load.overdue', 'not_published'),
-- Whoever asked reads the answer; nothing of a feed is late or wrong.
('load.busy', null),
('marts.busy', null),
('load.before_first', null),
('load.unknown', null),
('load.no_pages', null),
('load.no_file', null),
('load.not_gated', null),
('%', 'task_failed');
"""

FUNCTIONS = """
create function ops.report_trouble(
    p_cause text, p_feed text, p_period date, p_code text, p_summary_ja text,
    p_load_id bigint default null, p_subject text default null
) returns bigint language plpgsql security definer set search_path = pg_catalog as $$
declare
    known ops.cause;
    about ops.feed;
    sent_bytes text;
    opened boolean;
    seen boolean := true;
    tells text;
    dedup text;
    number bigint;
begin
    select * into strict known from ops.cause where cause = p_cause;
    select * into about from ops.feed where feed = p_feed;
    tells := case when known.audience = 'division' and coalesce(about.source, '') <> 'e-Stat' and p_feed is not null
        then 'division' else 'engineer' end;
    dedup := concat_ws('|', p_cause,
        case when known.shared then coalesce(about.source, 'system') else coalesce(p_feed, 'system') end,
        case when not known.shared then p_period::text end, p_subject,
        case when not known.shared then about.contract_version end);
    update ops.incident set last_seen_at = clock_timestamp(), code = coalesce(p_code, code), summary_ja = p_summary_ja,
        kpis = array(select distinct kpi from unnest(kpis || coalesce(about.kpis, '{}')) as kpi order by kpi)
    where dedup_key = dedup and resolved_at is null returning incident_id into number;
    opened := number is null;
    if opened then
        insert into ops.incident (
            dedup_key, cause, severity, feed, period, contract_version, subject, code, summary_ja, owner_ja, kpis, values_before
        ) values (
            dedup, p_cause, known.severity, case when not known.shared then p_feed end,
            case when not known.shared then p_period end, case when not known.shared then about.contract_version end,
            coalesce(p_subject, case when known.shared then about.source end), p_code, p_summary_ja,
            case when not known.shared then about.owner_ja end, coalesce(about.kpis, '{}'), ops.kpi_values(about.kpis)
        )
        -- Another transaction opened it between the two statements.
        on conflict (dedup_key) where resolved_at is null do update set
            last_seen_at = clock_timestamp(), summary_ja = excluded.summary_ja
        returning incident_id, xmax = 0 into number, opened;
    end if;

    if p_load_id is not null then
        select encode(sha256(string_agg(sha256, ' ' order by page)::bytea), 'hex') into sent_bytes
        from ops.load_page where load_id = p_load_id;
        seen := exists (
            select from ops.incident_load where incident_id = number and bytes_sha256 is not distinct from sent_bytes
        );
        insert into ops.incident_load (incident_id, load_id, feed, bytes_sha256)
        values (number, p_load_id, p_feed, sent_bytes) on conflict do nothing;
        update ops.incident set occurrences = (
            select count(*) from ops.incident_load where incident_id = number
        ) where incident_id = number;
    end if;

    if opened then
        insert into ops.notification (incident_id, kind, audience, idempotency_key, next_try_at)
        values (number, 'open', tells, format('INC-%s/open', number), clock_timestamp() + known.patience);
    elsif tells = 'division' and not seen and sent_bytes is not null then
        -- A file handed in again that is still wrong is news to who handed it in; the same bytes tried again are none.
        insert into ops.notification (incident_id, kind, audience, idempotency_key)
        values (number, 'update', tells, format('INC-%s/update/%s', number, sent_bytes)) on conflict do nothing;
    end if;
    return number;
end
$$;

create function ops.kpi_values(p_kpis text[]) returns jsonb
language sql stable security definer set search_path = pg_catalog as $$
    select jsonb_object_agg(
        concat_ws(' ', row ->> 'kpi_id', row ->> 'kpi_name', row ->> 'period_label'), (row ->> 'value') || (row ->> 'unit')
    )
    from ops.published_row
    where relation = 'mart_kpi_history' and published_to = 'infinity'
        and row ->> 'kpi_id' = any(p_kpis) and row ->> 'value' is not null
$$;

create function ops.settle_trouble(p_incident_id bigint, p_resolution_ja text, p_load_id bigint default null)
returns boolean language plpgsql security definer set search_path = pg_catalog as $$
declare
    told boolean;
    tells text;
    waits boolean;
begin
    update ops.incident set resolved_at = clock_timestamp(), resolution_ja = p_resolution_ja,
        resolved_load_id = p_load_id where incident_id = p_incident_id and resolved_at is null;
    if not found then
        return false;
    end if;
    -- Trouble that passed before anybody was to be told of it is told to nobody.
    update ops.notification as n set state = 'cancelled'
    from ops.incident as i join ops.cause as c using (cause)
    where n.incident_id = p_incident_id and i.incident_id = p_incident_id and n.state = 'waiting' and n.attempts = 0
        and n.kind = 'open' and clock_timestamp() < n.created_at + c.patience;
    update ops.notification set state = 'cancelled'
    where incident_id = p_incident_id and state = 'waiting' and attempts = 0 and kind = 'escalate';
    select bool_or(state <> 'cancelled'), min(audience) into told, tells
    from ops.notification where incident_id = p_incident_id and kind = 'open';
    if told then
        -- What a load changed is seen in the marts after the next build.
        select kpis <> '{}' and exists (select from ops.load where load_id = p_load_id and state = 'published')
        into waits from ops.incident where incident_id = p_incident_id;
        insert into ops.notification (incident_id, kind, audience, idempotency_key, after_build)
        values (p_incident_id, 'resolve', tells, format('INC-%s/resolve', p_incident_id), waits)
        on conflict do nothing;
    end if;
    return true;
end
$$;

create function ops.recover(p_feed text, p_ends text[], p_from date, p_to date, p_load_id bigint)
returns void language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    update ops.incident_load as l set recovered_at = clock_timestamp()
    from ops.incident as i join ops.cause as c using (cause)
    where i.incident_id = l.incident_id and i.resolved_at is null and l.feed = p_feed and l.recovered_at is null
        and c.ends_with = any(p_ends)
        and (i.period is null or p_from is null or i.period between p_from and p_to);
    for one in
        select i.incident_id from ops.incident as i join ops.cause as c using (cause)
        where i.resolved_at is null and c.ends_with = any(p_ends)
            and (i.feed = p_feed or (c.shared and exists (
                select from ops.incident_load as l where l.incident_id = i.incident_id and l.feed = p_feed)))
            and (i.period is null or p_from is null or i.period between p_from and p_to)
            and not exists (select from ops.incident_load as l
                where l.incident_id = i.incident_id and l.recovered_at is null)
    loop
        perform ops.settle_trouble(one.incident_id, '正しく取り込みました。', p_load_id);
    end loop;
end
$$;

-- Whether a later load made good what this one did not do: then nobody needs to hear of it.
create function ops.overtaken(p_feed text, p_load_id bigint, p_period date) returns boolean
language sql stable set search_path = pg_catalog as $$
    select exists (
        select from ops.load where feed = p_feed and load_id > p_load_id and state in ('published', 'unchanged')
            and (p_period is null or period_from is null or p_period between period_from and period_to)
    )
$$;

create function ops.load_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    known text;
    period date := coalesce(new.requested_period, new.period_from);
begin
    if new.state in ('failed', 'rejected') then
        select cause into known from ops.cause_code
        where coalesce(new.error_code, case when new.state = 'rejected' then 'gate.rejected' else '' end) like code_pattern
        order by length(code_pattern) desc limit 1;
        if known is not null then
            perform ops.report_trouble(known, new.feed, period, new.error_code,
                coalesce(new.error_ja, '検査に合わないため受け入れませんでした。'), new.load_id);
        end if;
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
        end if;
        perform ops.recover(new.feed, '{fetch,run,load}', coalesce(new.period_from, new.requested_period),
            coalesce(new.period_to, new.requested_period), new.load_id);
    elsif new.state = 'unchanged' then
        perform ops.recover(new.feed, '{fetch,run}', null, null, new.load_id);
    elsif new.state in ('waiting', 'fetched') then
        perform ops.recover(new.feed, '{fetch}', null, null, new.load_id);
    end if;
    return null;
end
$$;
create trigger load_changed after insert or update of state, error_code, error_ja on ops.load
for each row execute function ops.load_changed();

create function ops.held_settled() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    for one in
        select i.incident_id, i.feed from ops.incident as i
        where i.resolved_at is null and i.cause = 'rows_held' and i.feed in (select feed from changed)
            and not exists (select from ops.held_row as h where h.feed = i.feed and h.state = 'held')
    loop
        perform ops.settle_trouble(one.incident_id, '確認待ちの行がなくなりました。',
            (select max(load_id) from ops.load where feed = one.feed and state = 'published'));
    end loop;
    return null;
end
$$;
create trigger held_settled after update on ops.held_row referencing new table as changed
for each statement execute function ops.held_settled();

create function ops.build_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    if new.as_of is not null or new.state is not distinct from old.state then
        return null;
    end if;
    if new.state = 'failed' then
        perform ops.report_trouble('marts_failed', null, null, 'marts.failed', coalesce(new.error, ''));
    elsif new.state = 'published' then
        for one in
            select i.incident_id from ops.incident as i join ops.cause as c using (cause)
            where i.resolved_at is null and c.ends_with = 'build'
        loop
            perform ops.settle_trouble(one.incident_id, 'マートを作り直しました。');
        end loop;
    end if;
    return null;
end
$$;
create trigger build_changed after update of state on ops.build
for each row execute function ops.build_changed();

create function ops.delivery_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    if new.state in ('unmatched', 'refused_personal', 'unreadable') then
        perform ops.report_trouble('file_refused', new.feed, null, 'delivery.' || new.state,
            format('「%s」：%s', new.file_name, coalesce(new.message_ja, '')), null, new.location);
    elsif new.state in ('received', 'duplicate') then
        for one in
            select i.incident_id from ops.incident as i
            where i.resolved_at is null and i.cause = 'file_refused'
                and (i.subject = new.location or i.feed = new.feed)
        loop
            perform ops.settle_trouble(one.incident_id, format('「%s」を受け取りました。', new.file_name));
        end loop;
    end if;
    return null;
end
$$;
create trigger delivery_changed after insert or update of state on ops.delivery
for each row execute function ops.delivery_changed();

revoke execute on all functions in schema ops from public;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(CAUSES)
    op.execute(FUNCTIONS)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
