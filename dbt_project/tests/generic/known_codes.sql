{#- Every value of these columns is a key of the relation it points to (`relations`, column: {to, field}), a code that
    `dim_status` explains (`domains`, column: domain) or one of a list (`values`, column: list). One scan for all of them, where
    dbt's own tests scan a table of millions of rows for each, and a count, which PostgreSQL shares out over its workers. Only a
    table that holds such a value is looked at again, to name it. -#}
{% test known_codes(model, relations={}, domains={}, values={}) %}

{%- set known = {} -%}
{%- for column, key in relations.items() -%}
    {%- do known.update({column: 'select known.' ~ key.field ~ ' from ' ~ key.to ~ ' as known'}) -%}
{%- endfor -%}
{%- for column, domain in domains.items() -%}
    {%- do known.update({column: "select known.code from " ~ ref('dim_status') ~ " as known where known.domain = '" ~ domain ~ "'"}) -%}
{%- endfor -%}
{%- for column, codes in values.items() -%}
    {%- do known.update({column: "'" ~ codes | join("', '") ~ "'"}) -%}
{%- endfor %}

with unknown as (
    select count(*) > 0 as found
    from {{ model }}
    where
        {%- for column, codes in known.items() %}
        {{ 'or ' if not loop.first }}{{ column }} not in ({{ codes }})
        {%- endfor %}
)

{% for column, codes in known.items() -%}
select distinct
    '{{ column }}' as column_name,
    {{ column }} as code
from {{ model }}
where (select unknown.found from unknown) and {{ column }} not in ({{ codes }})
{%- if not loop.last %}
union all
{% endif %}
{%- endfor %}

{% endtest %}
