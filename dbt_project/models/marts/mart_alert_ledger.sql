-- A view on purpose: what is owed now is shown also when the marts could not be built since.
with

loads as (

    select * from {{ source('ops', 'load') }}
    where {{ happened_by_as_of('opened_at') }}

),

incidents as (

    select * from {{ source('ops', 'incident') }}
    where {{ happened_by_as_of('opened_at') }}

),

failed as (

    select
        date_trunc('month', loads.opened_at at time zone 'Asia/Tokyo')::date as month,
        count(*) filter (where loads.state <> 'asked') as failed_loads,
        count(*) filter (
            where not exists (
                select from {{ source('ops', 'incident_load') }} as known
                where known.load_id = loads.load_id
            )
            and not exists (
                select from {{ source('ops', 'cause_code') }} as codes
                where codes.cause is null and codes.code_pattern = loads.error_code
            )
        ) as unnoticed_loads
    from loads
    where loads.state in ('failed', 'rejected', 'asked')
    group by 1

),

asked as (

    select
        date_trunc('month', loads.opened_at at time zone 'Asia/Tokyo')::date as month,
        count(*) as asked_loads
    from loads
    where
        loads.state = 'asked'
        or exists (
            select from {{ source('ops', 'answer') }} as answers
            where answers.load_id = loads.load_id
        )
    group by 1

),

notices as (

    select
        incident_id,
        count(*) filter (where kind = 'open' and state = 'sent') as told,
        sum(lapses) as lapses,
        min(sent_at) filter (where kind = 'open') as told_at,
        bool_or(kind = 'open' and state = 'cancelled') as passed,
        bool_or(kind = 'open' and state in ('digested', 'muted')) as digested,
        bool_or(kind = 'open' and state in ('waiting', 'dead')) as owed,
        bool_or(kind = 'resolve' and state = 'sent') as recovery_told
    from {{ source('ops', 'notification') }}
    where incident_id is not null
    group by 1

),

by_month as (

    select
        date_trunc('month', incidents.opened_at at time zone 'Asia/Tokyo')::date as month,
        count(*) as incidents,
        count(*) filter (where notices.told > 0) as told_incidents,
        count(*) filter (where notices.passed) as passed_incidents,
        count(*) filter (where notices.digested) as digested_incidents,
        count(*) filter (where notices.owed) as owed_incidents,
        sum(notices.lapses)::bigint as repeated_notices,
        count(*) filter (where incidents.resolved_at is not null) as resolved_incidents,
        count(*) filter (where notices.recovery_told) as told_recoveries,
        count(*) filter (where incidents.acknowledged_at is not null) as acknowledged_incidents,
        percentile_cont(0.5) within group (
            order by extract(epoch from notices.told_at - incidents.opened_at) / 60
        )::numeric as median_minutes_to_tell,
        percentile_cont(0.5) within group (
            order by extract(epoch from incidents.resolved_at - incidents.opened_at) / 60
        )::numeric as median_minutes_to_end
    from incidents
    left join notices on incidents.incident_id = notices.incident_id
    group by 1

)

select
    coalesce(failed.month, asked.month, by_month.month) as month,
    coalesce(failed.failed_loads, 0) as failed_loads,
    coalesce(failed.unnoticed_loads, 0) as unnoticed_loads,
    coalesce(by_month.incidents, 0) as incidents,
    coalesce(by_month.told_incidents, 0) as told_incidents,
    coalesce(by_month.passed_incidents, 0) as passed_incidents,
    coalesce(by_month.digested_incidents, 0) as digested_incidents,
    coalesce(by_month.owed_incidents, 0) as owed_incidents,
    coalesce(by_month.repeated_notices, 0) as repeated_notices,
    coalesce(by_month.resolved_incidents, 0) as resolved_incidents,
    coalesce(by_month.told_recoveries, 0) as told_recoveries,
    coalesce(by_month.acknowledged_incidents, 0) as acknowledged_incidents,
    round(by_month.median_minutes_to_tell, 2) as median_minutes_to_tell,
    round(by_month.median_minutes_to_end, 2) as median_minutes_to_end,
    coalesce(asked.asked_loads, 0) as asked_loads
from failed
full outer join asked on failed.month = asked.month
full outer join by_month on coalesce(failed.month, asked.month) = by_month.month
