-- Checks that only warned, with the rows that they found: all of them, or none where there were more than
-- are kept.
with

loads as (

    select * from {{ ref('stg_ops__load') }}

),

results as (

    select * from {{ source('ops', 'gate_result') }}
    where not success and severity = 'warning'

)

select
    loads.feed,
    loads.load_id,
    results.expectation,
    case
        when
            results.scope = 'rows'
            and results.unexpected_count = jsonb_array_length(results.observed)
            and not jsonb_path_exists(
                results.observed,
                (
                    '$[*] ? (!exists(@.period) || (!exists(@.source_cell)'
                    || ' && !exists(@.area_code) && !exists(@.origin_area_code)))'
                )::jsonpath
            )
            then results.observed
    end as found_rows
from results
inner join loads on results.load_id = loads.load_id
