-- One row per body that owns KPIs; its other names stand beside, so that a renamed body stays one owner.
with

owners as (

    select * from {{ ref('owners') }}

),

aliases as (

    select
        owner_id,
        string_agg(alias, '、' order by alias) as other_names
    from {{ ref('owner_aliases') }}
    group by owner_id

)

select
    owners.owner_id,
    owners.owner_name,
    aliases.other_names,
    owners.valid_from,
    owners.valid_to,
    owners.source
from owners
left join aliases on owners.owner_id = aliases.owner_id
