-- Plan → pillar → 施策. A pillar whose plan names no 施策 is one row without one.
with

plans as (

    select * from {{ ref('plans') }}

),

pillars as (

    select * from {{ ref('pillars') }}

),

measures as (

    select * from {{ ref('measures') }}

)

select
    coalesce(measures.measure_id, pillars.pillar_id) as policy_id,
    plans.plan,
    plans.first_year as plan_first_year,
    plans.last_year as plan_last_year,
    plans.years_assumed,
    pillars.pillar_id,
    pillars.pillar_number,
    pillars.pillar,
    pillars.other_wording,
    measures.measure_id,
    measures.measure_number,
    measures.measure
from pillars
inner join plans on pillars.plan = plans.plan
left join measures on pillars.pillar_id = measures.pillar_id
