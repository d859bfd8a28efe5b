"""A period has a start and an end, and both belong to the key of a departmental value."""

from alembic import op

revision = "0011"
down_revision = "0015"

TABLES = """
set role kpi_loader;

-- Where a source says the start of a period alone (the months of e-Stat), the end is written down as the same day.
alter table ops.load_period add column period_end date;
update ops.load_period set period_end = period;
alter table ops.load_period alter column period_end set not null;
alter table ops.load_period drop constraint load_period_pkey, add primary key (load_id, period, period_end);

alter table ops.period_digest add column period_end date;
update ops.period_digest set period_end = period;
alter table ops.period_digest alter column period_end set not null;
alter table ops.period_digest drop constraint period_digest_pkey, add primary key (feed, period, period_end);

alter table ops.held_row add column period_end date;
update ops.held_row set period_end = coalesce((row ->> 'period_end')::date, period);
alter table ops.held_row alter column period_end set not null;
comment on column ops.held_row.period_end is '期間の末日（初日しか言わない提供元では初日と同じ）';

do $$
declare
    history record;
    definition text;
begin
    for history in
        select table_name from information_schema.columns where table_schema = 'raw' and column_name = 'source_cell'
    loop
        -- A reader always says the end; what was written without one ends as its kind does.
        execute format(
            $sql$
            update raw.%I set period_end = case
                when period_kind in ('年度', '暦年', '年') then (period + interval '1 year' - interval '1 day')::date
                when period_kind = '月' then (period + interval '1 month' - interval '1 day')::date
                else period
            end where period_end is null
            $sql$,
            history.table_name
        );
        execute format('alter table raw.%I alter column period_end set not null', history.table_name);
        definition := pg_get_indexdef(format('raw.%I', history.table_name || '_current')::regclass);
        if position('period_end' in definition) = 0 then
            execute format('drop index raw.%I', history.table_name || '_current');
            execute replace(definition, ') WHERE ', ', period_end) WHERE ');
        end if;
        -- An approved correction names the row it is for, by its key.
        execute format(
            $sql$
            update ops.correction as c set key = c.key || jsonb_build_object('period_end', coalesce(
                (select max(r.period_end)::text from raw.%I as r where to_jsonb(r) @> c.key),
                case
                    when c.key ->> 'period_kind' in ('年度', '暦年', '年')
                        then ((c.key ->> 'period')::date + interval '1 year' - interval '1 day')::date::text
                    when c.key ->> 'period_kind' = '月'
                        then ((c.key ->> 'period')::date + interval '1 month' - interval '1 day')::date::text
                    else c.key ->> 'period'
                end
            )) where c.feed = %L and c.key ? 'period' and not c.key ? 'period_end'
            $sql$,
            history.table_name, history.table_name
        );
        -- The digests of whole starts say nothing of the periods in them: what is accepted is counted anew, and looked at
        -- again when it is delivered next.
        delete from ops.period_digest where feed = history.table_name;
        execute format(
            'insert into ops.period_digest (feed, period, period_end, rows, digest, load_id)'
            ' select %L, period, period_end, count(*), '''', max(load_id) from raw.%I where known_to = ''infinity'''
            ' group by period, period_end',
            history.table_name, history.table_name
        );
    end loop;

    -- A delivery under way was judged by its starts: without its stage table it is read and judged again.
    for history in
        select table_name from information_schema.columns where table_schema = 'stage' and column_name = 'source_cell'
    loop
        execute format('drop table if exists stage.%I cascade', history.table_name);
    end loop;
end
$$;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
