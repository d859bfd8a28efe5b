-- A statement about each figure, whatever became of it: a difference is no failure of a build, it is said.
select
    stated.figure_id,
    compared.figure_status,
    compared.difference
from {{ ref('published_figures') }} as stated
left join {{ ref('mart_published_figure') }} as compared on stated.figure_id = compared.figure_id
where
    compared.figure_id is null
    or (compared.figure_status = 'met') is distinct from coalesce(compared.difference = 0, false)
    or (compared.figure_status = 'not_comparable') <> (compared.value_now is null)
    or (compared.figure_status = 'revised') <> (compared.revised_at is not null)
