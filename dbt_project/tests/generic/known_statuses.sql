{#- Every value of these columns (column: domain) is a code that `dim_status` explains under its domain. -#}
{% test known_statuses(model, domains) %}

with found as (
    {%- for column, domain in domains.items() %}
    select distinct
        '{{ column }}' as column_name,
        '{{ domain }}' as domain,
        {{ column }} as code
    from {{ model }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    found.column_name,
    found.code
from found
left join {{ ref('dim_status') }} as vocabulary
    on found.domain = vocabulary.domain and found.code = vocabulary.code
where found.code is not null and vocabulary.code is null

{% endtest %}
