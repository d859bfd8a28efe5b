"""A delivery whose only new values wait for their owner's word is told, although it publishes nothing; a file is named once."""

from alembic import op

revision = "0007"
down_revision = "0006"

FUNCTIONS = """
set role kpi_loader;

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
    op.execute(FUNCTIONS)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
