-- What divisions delivered, without the counts of people that are too small to be shown.
--
-- Of a year, a month or an event only what reaches furthest is shown: the full year takes the place of its
-- first half, and what has happened that of what was planned. Sums that run on have a figure for every end.
--
-- A small count is hidden (1 … below − 1; 0 tells of nobody). Its group's total may be known, so larger
-- counts of the group are hidden with it, the smallest first, until the hidden ones sum up to what every
-- small value would allow: small counts × (below − 1) + below. Whoever subtracts what is shown from the
-- total then cannot rule out any small value.
with

accepted as (

    select
        *,
        row_number() over (
            partition by feed, measure_code, breakdown, period_kind, period_start
            order by
                value_status in ('planned', 'target') asc,
                case when period_kind <> 'イベント' then period_end end desc,
                loaded_at desc,
                period_end desc
        ) as nearer_than
    from {{ ref('stg_files__measures') }}

),

delivered as (

    select * from accepted
    where nearer_than = 1 or period_kind in ('累計', '時点')

),

small_cells as (

    select * from {{ ref('small_cells') }}

),

watched as (

    select
        delivered.*,
        small_cells.below,
        delivered.breakdown - small_cells.axis as group_breakdown,
        coalesce(delivered.value > 0 and delivered.value < small_cells.below, false) as is_small
    from delivered
    left join small_cells
        on delivered.feed = small_cells.feed and delivered.measure_code = small_cells.measure_code

),

counted as (

    select
        *,
        count(*) filter (where is_small) over in_group as small_count,
        coalesce(sum(value) filter (where is_small) over in_group, 0) as small_sum,
        coalesce(
            sum(value) filter (where value >= below) over (
                partition by
                    feed, measure_code, period_kind, period_start, period_end, group_breakdown
                order by value, source_cell
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as larger_before
    from watched
    window
        in_group as (
            partition by feed, measure_code, period_kind, period_start, period_end, group_breakdown
        )

),

judged as (

    select
        *,
        coalesce(
            small_count > 0 and (
                is_small
                or (
                    value >= below
                    and small_sum + larger_before < small_count * (below - 1) + below
                )
            ),
            false
        ) as is_suppressed
    from counted

)

select
    feed,
    measure_code,
    breakdown,
    period_kind,
    period_start,
    period_end,
    unit,
    source_cell,
    load_id,
    loaded_at,
    is_suppressed,
    case when not is_suppressed then value end as value,
    case when is_suppressed then '秘匿' else value_mark end as value_mark,
    case when not is_suppressed then value_text end as value_text,
    case when not is_suppressed then qualifier end as qualifier,
    case when is_suppressed then 'suppressed' else value_status end as value_status,
    case when not is_suppressed then note end as note
from judged
