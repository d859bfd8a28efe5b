-- A part (うち) is never more than what it is a part of: F11 of F10, F12-2 of F12-1, F18-3 of F18-4,
-- F27-4 of F27-3.
with

parts as (

    select *
    from (
        values
        ('uij_turn', 'supported_from_outside', 'supported_persons'),
        ('professional_matching', 'semiconductor_matches', 'matches'),
        ('internship_rate', 'experienced_students', 'enrolled_students'),
        ('expo', 'student_visitors', 'visitors')
    ) as listed (feed, part, whole)

),

figures as (

    select * from {{ ref('fct_programme_value') }}

)

select
    parts.feed,
    parts.part,
    inner_figures.period_start,
    inner_figures.value as part_value,
    whole_figures.value as whole_value
from parts
inner join figures as inner_figures
    on parts.feed = inner_figures.feed and parts.part = inner_figures.measure_code
inner join figures as whole_figures
    on
        parts.feed = whole_figures.feed
        and parts.whole = whole_figures.measure_code
        and inner_figures.period_start = whole_figures.period_start
        and inner_figures.period_end = whole_figures.period_end
        and inner_figures.breakdown = whole_figures.breakdown
where inner_figures.value > whole_figures.value
