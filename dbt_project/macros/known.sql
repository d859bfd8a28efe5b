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
