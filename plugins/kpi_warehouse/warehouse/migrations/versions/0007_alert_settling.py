"""What ends an incident, decided under its lock; a delivery that brings only a question is told; nothing here costs a publication.

Should a trigger fail, what it was to write is left out with a warning in `ops.watch`, and the watcher, which looks for failures
without an incident, says so.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = """
set role kpi_loader;

alter table ops.notification add column digest_id bigint references ops.notification;
alter table ops.notification add column lapses integer not null default 0;
comment on column ops.notification.digest_id is 'この知らせを載せたまとめ（state が digested のとき）';
comment on column ops.notification.lapses is '送る途中で送信処理が消えた回数。その数だけ、同じ鍵の知らせが重ねて届いているおそれがある';

update ops.cause set steps_ja = '{原本を確認する,差し戻し票の赤いセルを直す（計は直さない）,直したファイルを同じ受付フォルダへ入れ直す}'
where cause = 'gate_rejected';
update ops.cause set steps_ja = '{確認待ちの値が正しいかを原本で確かめる,正しければデータ担当へ理由と問い合わせ番号を連絡する,誤りなら直したファイルを入れ直す}'
where cause = 'rows_held';
"""

FUNCTIONS = """
create or replace function ops.report_trouble(
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
        kpis = array(select distinct kpi from unnest(kpis || coalesce(about.kpis, '{}')) as kpi order by kpi),
        -- Of a KPI that joins later, what was shown when it joined; what is known already stays.
        values_before = case when coalesce(about.kpis, '{}') <@ kpis then values_before
            else coalesce(ops.kpi_values(about.kpis), '{}') || coalesce(values_before, '{}') end
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

create or replace function ops.settle_trouble(p_incident_id bigint, p_resolution_ja text, p_load_id bigint default null)
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
    where incident_id = p_incident_id and state = 'waiting' and attempts = 0 and kind in ('update', 'escalate');
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

-- Settles what a good load ends. An incident is locked before its loads are counted: of two feeds that recover at the same moment,
-- the second then sees that the first has.
create or replace function ops.recover(p_feed text, p_ends text[], p_from date, p_to date, p_load_id bigint)
returns void language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
    good_bytes text;
begin
    select encode(sha256(string_agg(sha256, ' ' order by page)::bytea), 'hex') into good_bytes
    from ops.load_page where load_id = p_load_id;
    for one in
        select i.incident_id, i.period, c.ends_with from ops.incident as i join ops.cause as c using (cause)
        where i.resolved_at is null and c.ends_with = any(p_ends)
            and (i.feed = p_feed or exists (
                select from ops.incident_load as l where l.incident_id = i.incident_id and l.feed = p_feed))
            and (i.period is null or p_from is null or i.period between p_from and p_to)
        order by i.incident_id for update of i
    loop
        update ops.incident_load as l set recovered_at = clock_timestamp()
        where l.incident_id = one.incident_id and l.feed = p_feed and l.recovered_at is null
            -- What broke on certain bytes, and not because of them, works again when these bytes or their period went through, and
            -- what was wrong with bytes is over when others come: a look that found nothing new says nothing of either.
            and (l.bytes_sha256 is null or l.bytes_sha256 = good_bytes
                or case one.ends_with when 'run' then one.period is not null and p_from is not null
                    when 'load' then good_bytes is not null else true end);
        if not exists (
            select from ops.incident_load as l where l.incident_id = one.incident_id and l.recovered_at is null
        ) then
            perform ops.settle_trouble(one.incident_id, '正しく取り込みました。', p_load_id);
        end if;
    end loop;
end
$$;

-- Whether a later load made good what this one did not do: then nobody needs to hear of it.
create or replace function ops.overtaken(p_feed text, p_load_id bigint, p_period date) returns boolean
language sql stable set search_path = pg_catalog as $$
    select exists (
        select from ops.load as later where later.feed = p_feed and later.load_id > p_load_id
            and later.state in ('published', 'unchanged')
            and (
                p_period between later.period_from and later.period_to
                or (p_period is null and not exists (select from ops.load_page as p where p.load_id = p_load_id))
                or exists (
                    select from ops.load_page as p join ops.load_page as q using (sha256)
                    where p.load_id = p_load_id and q.load_id = later.load_id)
            )
    )
$$;

-- A trigger of this file failed: what happened is recorded all the same, and the watcher looks after the rest.
create or replace function ops.note_untold(p_error text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
    raise warning 'alerts: %', p_error;
    insert into ops.watch (name, beat_at, detail) values ('untold', clock_timestamp(), jsonb_build_object('error', p_error))
    on conflict (name) do update set beat_at = excluded.beat_at, detail = excluded.detail;
end
$$;

-- The cause of a failed load, null when its code is an answer to whoever asked.
create or replace function ops.cause_of(p_state text, p_code text) returns text
language sql stable set search_path = pg_catalog as $$
    select cause from ops.cause_code
    where coalesce(p_code, case when p_state = 'rejected' then 'gate.rejected' else '' end) like code_pattern
    order by length(code_pattern) desc limit 1
$$;

create or replace function ops.load_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    known text;
    period date := coalesce(new.requested_period, new.period_from);
begin
    if new.state in ('failed', 'rejected') then
        known := ops.cause_of(new.state, new.error_code);
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
        elsif new.state = 'unchanged' and exists (
            select from ops.held_row where load_id = new.load_id and state = 'held') then
            perform ops.report_trouble('rows_held', new.feed, null, 'load.held',
                format('%s 行が確認待ちです。ほかに新しい値はありません。', new.held_rows), new.load_id);
        end if;
        perform ops.recover(new.feed, '{fetch,run,load}', coalesce(new.period_from, new.requested_period),
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

create or replace function ops.held_settled() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    for one in
        select i.incident_id, i.feed from ops.incident as i
        where i.resolved_at is null and i.cause = 'rows_held' and i.feed in (select feed from changed)
        order by i.incident_id for update
    loop
        -- Counted under the incident's lock: of two people who decide the last two rows at once, the second sees none left.
        if not exists (select from ops.held_row as h where h.feed = one.feed and h.state = 'held') then
            perform ops.settle_trouble(one.incident_id, '確認待ちの行がなくなりました。',
                (select max(load_id) from ops.load where feed = one.feed and state = 'published'));
        end if;
    end loop;
    return null;
exception when others then
    perform ops.note_untold(sqlerrm);
    return null;
end
$$;

create or replace function ops.build_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    if new.as_of is not null or new.state is not distinct from old.state then
        return null;
    end if;
    -- One that was killed is closed by the next, which is its second try: that says nothing; a last try that is killed the watcher tells.
    if new.state = 'failed' and new.error is distinct from '途中で止まりました。' then
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
exception when others then
    perform ops.note_untold(sqlerrm);
    return null;
end
$$;

create or replace function ops.delivery_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    if new.state in ('unmatched', 'refused_personal', 'unreadable') then
        perform ops.report_trouble('file_refused', new.feed, null, 'delivery.' || new.state,
            case when new.message_ja like '「' || new.file_name || '」%' then new.message_ja
                else format('「%s」：%s', new.file_name, coalesce(new.message_ja, '')) end, null, new.location);
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
exception when others then
    perform ops.note_untold(sqlerrm);
    return null;
end
$$;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
