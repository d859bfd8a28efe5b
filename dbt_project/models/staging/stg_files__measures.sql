-- Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit.
select * from {{ ref('stg_files__company_contacts') }}
union all
select * from {{ ref('stg_files__company_support') }}
union all
select * from {{ ref('stg_files__expo') }}
union all
select * from {{ ref('stg_files__internship_rate') }}
union all
select * from {{ ref('stg_files__kpi_progress') }}
union all
select * from {{ ref('stg_files__line_subscribers') }}
union all
select * from {{ ref('stg_files__migration_briefing') }}
union all
select * from {{ ref('stg_files__private_school_subsidy') }}
union all
select * from {{ ref('stg_files__professional_matching') }}
union all
select * from {{ ref('stg_files__relocation_events') }}
union all
select * from {{ ref('stg_files__semiconductor_training') }}
union all
select * from {{ ref('stg_files__uij_turn') }}
union all
select * from {{ ref('stg_files__vacant_house_support') }}
