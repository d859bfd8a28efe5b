with

versions as (

    select
        'target' as kind,
        kpi_id,
        target_version as version,
        daterange(known_from, known_to) as validity
    from {{ ref('kpi_targets') }}
    union all
    select
        'baseline' as kind,
        kpi_id,
        baseline_version as version,
        daterange(known_from, known_to) as validity
    from {{ ref('kpi_baselines') }}
    union all
    select
        'owner' as kind,
        kpi_id,
        owner_version as version,
        daterange(known_from, known_to) as validity
    from {{ ref('kpi_owners') }}
    union all
    select
        'rule pack' as kind,
        pack_id as kpi_id,
        pack_version as version,
        daterange(known_from, known_to) as validity
    from {{ ref('rule_packs') }}
    union all
    select
        'definition' as kind,
        kpi_id,
        definition_version as version,
        daterange(make_date(first_year, 1, 1), make_date(last_year + 1, 1, 1)) as validity
    from {{ ref('kpi_definitions') }}

)

select
    versions.kind,
    versions.kpi_id,
    versions.version,
    others.version as other_version
from versions
inner join versions as others
    on
        versions.kind = others.kind
        and versions.kpi_id = others.kpi_id
        and versions.version < others.version
        and versions.validity && others.validity
