{#- The instant of the build: `as_of`, or when the build in progress began. One for all models, by the clock of the database;
    with no build in progress (dbt by hand) the clock itself. -#}
{% macro build_instant() -%}
    {%- if var('as_of') -%}
        timestamptz '{{ var("as_of") }}'
    {%- else -%}
        (select coalesce(max(started_at), now()) from ops.build where state = 'building')
    {%- endif -%}
{%- endmacro %}


{#- Condition that keeps the rows of a bitemporal table that readers may see at `as_of` (empty: now). Every staging model goes
    through it, so nothing that is built holds a row under embargo. Such a row has `public_from`; the row it replaces has
    `public_to` and stays until then. Rows without the two are shown as long as they are known. -#}
{% macro known_at_as_of() -%}
    {%- if var('as_of') -%}
        known_from <= {{ build_instant() }}
        and (case when public_to is null then known_to else public_to end) > {{ build_instant() }}
        and (public_from is null or public_from <= {{ build_instant() }})
    {%- else -%}
        (
            (known_to = 'infinity' and public_to is null)
            or (public_to is not null and public_to > {{ build_instant() }})
        )
        and (public_from is null or public_from <= {{ build_instant() }})
    {%- endif -%}
{%- endmacro %}


{#- Condition that keeps the newest rows of a bitemporal table that nobody but their owner may see yet. -#}
{% macro waiting_at_as_of() -%}
    {%- if var('as_of') -%}
        known_from <= {{ build_instant() }} and known_to > {{ build_instant() }}
    {%- else -%}
        known_to = 'infinity'
    {%- endif %}
    and public_from > {{ build_instant() }}
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
    {%- set day = "(" ~ (build_instant() | trim) ~ " at time zone 'Asia/Tokyo')::date" -%}
    coalesce(known_from, '-infinity') <= {{ day }} and coalesce(known_to, 'infinity') > {{ day }}
{%- endmacro %}
