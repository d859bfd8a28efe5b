{#- Condition that keeps the rows of a bitemporal table that were in force at `as_of` (empty: that are in force now). -#}
{% macro known_at_as_of() -%}
    {%- if var('as_of') -%}
        known_from <= timestamptz '{{ var("as_of") }}' and known_to > timestamptz '{{ var("as_of") }}'
    {%- else -%}
        known_to = 'infinity'
    {%- endif -%}
{%- endmacro %}


{#- Condition that keeps what had happened by `as_of`. -#}
{% macro happened_by_as_of(instant) -%}
    {%- if var('as_of') -%}
        {{ instant }} <= timestamptz '{{ var("as_of") }}'
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{#- Condition that keeps the version of a target or baseline that had been decided by `as_of`. An empty date means from the
    beginning, or still in force. -#}
{% macro stated_at_as_of() -%}
    {%- set instant = "timestamptz '" ~ var("as_of") ~ "'" if var("as_of") else "now()" -%}
    {%- set day = "(" ~ instant ~ " at time zone 'Asia/Tokyo')::date" -%}
    coalesce(known_from, '-infinity') <= {{ day }} and coalesce(known_to, 'infinity') > {{ day }}
{%- endmacro %}
