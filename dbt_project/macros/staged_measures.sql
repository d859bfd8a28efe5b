{#- Accepted values of a departmental feed in the shape all of them share; `axes` are its further key columns. -#}
{% macro staged_measures(feed, axes=[]) %}
with

in_force as (

    select * from {{ source('raw', feed) }}
    where {{ known_at_as_of() }}

)

select
    '{{ feed }}' as feed,
    measure_code,
    jsonb_build_object(
        {%- for axis in axes %}
        '{{ axis }}', {{ axis }}{{ "," if not loop.last }}
        {%- endfor %}
    ) as breakdown,
    period as period_start,
    period_end,
    period_kind,
    value,
    value_mark,
    value_text,
    unit,
    qualifier,
    value_status,
    note,
    source_cell,
    load_id,
    known_from as loaded_at
from in_force
{% endmacro %}
