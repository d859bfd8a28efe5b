{#- Every value is a code that `dim_status` explains under the domain. -#}
{% test known_status(model, column_name, domain) %}

select statuses.{{ column_name }}
from {{ model }} as statuses
left join {{ ref('dim_status') }} as vocabulary
    on vocabulary.domain = '{{ domain }}' and statuses.{{ column_name }} = vocabulary.code
where statuses.{{ column_name }} is not null and vocabulary.code is null

{% endtest %}
