{#- Accepted history of a feed. Of a feed in `left_out` some steps are set aside, and kpi_warehouse.set_aside has made its history
    without them beside the build. -#}
{% macro accepted(feed) -%}
    {%- set whole = source('raw', feed) -%}
    {%- if feed in var('left_out') -%}
        {{ target.schema }}_history.{{ feed }}
    {%- else -%}
        {{ whole }}
    {%- endif -%}
{%- endmacro %}


{#- Condition on ops.set_aside that keeps what the build in progress leaves out. -#}
{% macro left_out_at_as_of() -%}
    {%- if var('as_of') -%}
        state <> 'proposed'
        and known_from <= {{ build_instant() }}
        and coalesce(ended_at, 'infinity') > {{ build_instant() }}
    {%- else -%}
        state in ('proposed', 'in_force')
    {%- endif -%}
{%- endmacro %}


{#- The same for a view, which is read while later builds try other choices: what the marts in use leave out. -#}
{% macro left_out_of_what_is_shown() -%}
    {%- if var('as_of') -%}
        {{ left_out_at_as_of() }}
    {%- else -%}
        state in ('in_force', 'retrying')
    {%- endif -%}
{%- endmacro %}
