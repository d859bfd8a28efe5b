{#- Accepted values of a departmental feed in the shape all of them share; `axes` are its further key columns.
    `waiting`: instead of those that readers may see, those under embargo. -#}
{% macro staged_measures(feed, axes=[], waiting=false) %}
with

in_force as (

    select * from {{ accepted(feed) }}
    where {{ waiting_at_as_of() if waiting else known_at_as_of() }}

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
    known_from as loaded_at,
    public_from
from in_force
{% endmacro %}
