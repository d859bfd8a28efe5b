-- Per feed and month: what the gate says about a delivery as a whole. What it says of single cells is in
-- `int_cell_gate`.
with

loads as (

    select * from {{ ref('stg_ops__load') }}

),

-- A warning of which not every row is known may be about any.
unplaced_warnings as (

    select distinct load_id
    from {{ ref('stg_ops__warning') }}
    where found_rows is null

),

load_months as (

    select
        loads.feed,
        months.month::date as month,
        loads.load_id,
        loads.published_at,
        loads.state,
        loads.verdict
    from loads
    cross join generate_series(loads.period_from, loads.period_to, interval '1 month') as months (month)

),

-- Until it is answered, a question is about the months that were shown before,
-- whatever came of other deliveries.
open_question as (

    select distinct
        feed,
        month
    from load_months
    where state = 'asked'

),

-- A refused delivery, and one that is set aside, leave the last good figures in place; the next accepted one
-- takes the warning away.
newest_decision as (

    select distinct on (feed, month)
        feed,
        month,
        state
    from load_months
    where published_at is not null or state in ('unchanged', 'rejected', 'set_aside', 'asked')
    order by feed asc, month asc, load_id desc

),

-- An unchanged delivery inherits the verdict of the published one before it.
verdict_in_force as (

    select distinct on (feed, month)
        feed,
        month,
        load_id,
        verdict
    from load_months
    where published_at is not null and verdict in ('passed', 'released', 'flagged', 'held')
    order by feed asc, month asc, load_id desc

)

select
    newest_decision.feed,
    newest_decision.month,
    case
        when newest_decision.state in ('rejected', 'set_aside') then newest_decision.state
        when open_question.feed is not null then 'asked'
        when verdict_in_force.verdict = 'released' then 'released'
        when unplaced_warnings.load_id is not null then 'flagged'
        else 'passed'
    end as gate_status
from newest_decision
left join verdict_in_force
    on newest_decision.feed = verdict_in_force.feed and newest_decision.month = verdict_in_force.month
left join unplaced_warnings on verdict_in_force.load_id = unplaced_warnings.load_id
left join open_question
    on newest_decision.feed = open_question.feed and newest_decision.month = open_question.month
