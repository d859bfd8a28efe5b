"""A figure of the prefecture that differs from the accepted history without a revision that explains it: trouble of its feed alone."""

from alembic import op

revision = "0017"
down_revision = "0013"

TABLES = """
set role kpi_loader;

insert into ops.cause (cause, title_ja, severity, audience, patience, shared, ends_with, guess_ja, steps_ja) values
('published_figure_differs', '公表した数値との不一致', '要対応', 'division', '0', false, 'watch',
 '公表した資料の転記誤りか、この取込より前に提供元が改定した値です。',
 '{公表した資料と原本を照らす,取り込んだ値が誤りなら直したファイルを入れ直す,資料の誤りまたは取込前の改定ならデータ担当へ問い合わせ番号を連絡する}');

-- Opens and settles these incidents: `p_differing` has one object with feed and summary for each feed concerned.
create function ops.note_published_figures(p_differing jsonb) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    one record;
begin
    for one in select d ->> 'feed' as feed, d ->> 'summary' as summary from jsonb_array_elements(p_differing) as d loop
        perform ops.report_trouble('published_figure_differs', one.feed, null, 'marts.published_figure', one.summary);
    end loop;
    for one in
        select i.incident_id from ops.incident as i
        where i.resolved_at is null and i.cause = 'published_figure_differs'
            and not exists (select from jsonb_array_elements(p_differing) as d where d ->> 'feed' = i.feed)
        order by i.incident_id for update
    loop
        perform ops.settle_trouble(one.incident_id, '公表した数値と一致するか、改定として説明できるようになりました。');
    end loop;
exception when others then
    perform ops.note_untold(sqlerrm);
end
$$;
revoke execute on function ops.note_published_figures(jsonb) from public;
grant execute on function ops.note_published_figures(jsonb) to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
