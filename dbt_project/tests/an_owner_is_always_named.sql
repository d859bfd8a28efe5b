-- An owner that ends without a successor would leave a KPI without one from that day on.
with

owners as (

    select * from {{ ref('kpi_owners') }}

)

select
    catalogue.kpi_id,
    owners.known_to as ends_on
from {{ ref('kpi_catalogue') }} as catalogue
left join owners on catalogue.kpi_id = owners.kpi_id
left join owners as successors
    on owners.kpi_id = successors.kpi_id and owners.known_to = successors.known_from
where owners.kpi_id is null or (owners.known_to is not null and successors.kpi_id is null)
